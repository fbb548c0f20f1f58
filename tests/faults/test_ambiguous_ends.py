"""Attempts with an unknown end: a grant that landed is reported as one, and a passing failure is retried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc

from shared.services.limits import Limits
from tests.support.faults import Mode, WireError, nth
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.world import EVENING, NOON, World, population

ONE_ROUND = Limits(grant_rounds=1)


def test_a_grant_that_landed_in_the_last_attempt_is_reported_as_a_refresh():
    """The reply of its last round is lost. The receipt is written from the stamp."""
    world = World(limits=ONE_ROUND, slot_seconds=86_400, max_attempts=1)
    users = population(3)
    world.users(users)
    world.build()
    with world.faulty(nth("BatchWrite", 2, Mode.LOST)):
        report = world.work()

    assert (report.tally.refreshed, report.tally.failed, report.failed) == (3, 0, 0)
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_a_direct_refresh_that_landed_in_its_last_round_is_reported():
    """The caller gets no failure."""
    world = World(limits=ONE_ROUND)
    world.users(population(1))
    with world.faulty(nth("BatchWrite", 1, Mode.LOST)):
        report = world.refresh("user00000", now=NOON)

    assert (report.tally.refreshed, report.tally.failed) == (1, 0)
    assert world.user("user00000")["credits"] == 15


def test_a_user_whose_read_fails_is_tried_again():
    """The user leaves for a retry job, because the reason is a passing one. The other users go on."""
    world = World(slot_seconds=86_400)
    users = population(4)
    world.users(users)
    world.build()
    for user_id in users:
        world.update(f"users/{user_id}", seen=True)  # no snapshot is valid, so each user must be read

    def spoil(_number: int, method: str, request: Any) -> WireError | None:
        reads = method == "BatchGetDocuments" and "users/user00002" in str(request)
        return WireError(grpc.StatusCode.INTERNAL) if reads else None

    with world.faulty(spoil):
        first = world.work(EVENING)
    second = world.work(EVENING + timedelta(minutes=10))

    assert (first.tally.refreshed, first.tally.failed, first.retried) == (3, 0, 1)
    assert (second.tally.refreshed, second.tally.failed) == (1, 0)
    assert_granted_once(world, users, 10)
    assert_settled(world)
