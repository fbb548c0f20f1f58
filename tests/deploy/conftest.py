"""One project for each story: a deployment takes a while, so that the tests of a story share it."""

from __future__ import annotations

import pytest

from tests.deploy.project import project


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A project with an app, nothing of ours in it yet."""
    with project(tmp_path_factory.mktemp("project")) as found:
        yield found
