"""A database that is not there: a failure of the system, which the schedule sees, and no conflict with anybody."""

from __future__ import annotations

import grpc
import pytest

from shared.core.errors import SystemFailureError
from tests.support.faults import WireError, on
from tests.support.world import World

NOT_FOUND = WireError(grpc.StatusCode.NOT_FOUND, "The database (default) does not exist for project acme")


def test_a_heartbeat_that_finds_no_database_fails_as_an_outage_does():
    """It is written blindly: that its document is not found can't be a conflict with somebody else."""
    world = World()

    with world.faulty(on("Commit", NOT_FOUND, times=100)), pytest.raises(SystemFailureError, match="check project"):
        world.work()
