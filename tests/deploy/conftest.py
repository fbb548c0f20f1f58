"""The fixtures of the deployment's tests. A deployment takes a while, so all tests of a module share one project."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.project import project, tools_on_path


@pytest.fixture(scope="session")
def tools():
    """The folder with a fast `gcloud` and `python3`. Its path is short, because paths of sockets have to be."""
    with TemporaryDirectory(prefix="tools.") as folder, tools_on_path(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory, tools):
    """A project with an app, without anything of ours."""
    with project(tmp_path_factory.mktemp("project"), tools) as found:
        yield found
