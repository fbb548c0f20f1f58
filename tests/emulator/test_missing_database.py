"""A missing database is a failure of the system, which the schedule sees. It is no conflict."""

from __future__ import annotations

import grpc
import pytest

from shared.core.errors import SystemFailureError
from tests.support.faults import WireError, on
from tests.support.world import World

NOT_FOUND = WireError(grpc.StatusCode.NOT_FOUND, "The database (default) does not exist for project acme")


def test_a_heartbeat_that_finds_no_database_fails_as_an_outage_does():
    """The heartbeat has no precondition, so NOT_FOUND can't mean a conflict."""
    world = World()

    with world.faulty(on("Commit", NOT_FOUND, times=100)), pytest.raises(SystemFailureError, match="check project"):
        world.work()
