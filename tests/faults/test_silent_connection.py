"""A silent connection drops packets and is not closed."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest

from shared.core.errors import SystemFailureError
from shared.store import wire
from shared.store.users import UserDocument
from tests.support.relay import relay
from tests.support.world import NOON, World

WITHOUT_KEEPALIVE = [
    (name, value) for name, value in wire.CHANNEL_OPTIONS if "keepalive" not in name and "ping" not in name
]


def reads(world: World) -> bool:
    """True if a call gets an answer. It has only one try."""
    with patch.object(wire, "TRIES_MAX", 1), patch.object(wire, "READ_SECONDS_MAX", 8.0):
        try:
            found = world.context(NOON).users().read(["ann"])
        except SystemFailureError:
            return False
    return isinstance(found["ann"], UserDocument)


@pytest.mark.parametrize(("options", "recovers"), [(wire.CHANNEL_OPTIONS, True), (WITHOUT_KEEPALIVE, False)])
def test_keepalive_replaces_a_silent_connection(options, recovers):
    """With it, a later call is answered over a new connection. Without it, no call is answered."""
    with relay(os.environ["FIRESTORE_EMULATOR_HOST"]) as relayed, patch.object(wire, "CHANNEL_OPTIONS", options):
        world = World(host=relayed.address, breaker_failures=1000)
        world.users({"ann": {"credits": 3}})
        assert reads(world)
        relayed.fall_silent()

        assert not reads(world)
        assert any(reads(world) for _ in range(10 if recovers else 3)) is recovers  # it ends with the first answer
        assert relayed.connections == (2 if recovers else 1)


def test_the_tries_of_one_call_outlast_the_keepalive():
    """So a call that meets a silent connection can still succeed."""
    seconds = (wire.KEEPALIVE_MS + wire.PING_TIMEOUT_MS) / 1000

    assert seconds < wire.TRIES_MAX * wire.WRITE_SECONDS_MAX
