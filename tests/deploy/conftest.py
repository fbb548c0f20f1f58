"""One project for each story: a deployment takes a while, so that the tests of a story share it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.project import project, tools_on_path


@pytest.fixture(scope="session")
def tools():
    """The folder of the real gcloud, started once. A short path: a socket's has to be."""
    with TemporaryDirectory(prefix="tools.") as folder, tools_on_path(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory, tools):
    """A project with an app, nothing of ours in it yet."""
    with project(tmp_path_factory.mktemp("project"), tools) as found:
        yield found
