"""One project for each story: a deployment takes a while, so that the tests of a story share it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.project import gcloud_on_path, project


@pytest.fixture(scope="session")
def gcloud():
    """The folder of the real gcloud, started once. A short path: a socket's has to be."""
    with TemporaryDirectory(prefix="gcloud.") as folder, gcloud_on_path(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory, gcloud):
    """A project with an app, nothing of ours in it yet."""
    with project(tmp_path_factory.mktemp("project"), gcloud) as found:
        yield found
