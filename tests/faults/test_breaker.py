"""The circuit breaker around the store: it opens after failed calls in a row, lets begun work end, and closes again."""

from __future__ import annotations

import time

import grpc
import pytest

from shared.core.errors import BreakerOpenError, SystemFailureError
from tests.support.faults import Mode, WireError, on
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.world import EVENING, World, population


def refused(_number, _method, _request):
    """Refuse every call, like a database that is down."""
    return Mode.REFUSED


def test_it_opens_after_failed_calls_in_a_row_and_makes_no_more_calls():
    """Each call is tried four times. After two failed calls the third is not made."""
    world = World(breaker_failures=2)
    with world.faulty(refused) as faults:
        for _ in range(2):
            with pytest.raises(SystemFailureError):
                world.work()
        tries = len(faults.calls)
        with pytest.raises(BreakerOpenError) as caught:
            world.work()
        with pytest.raises(BreakerOpenError):
            world.build()

        assert tries == len(faults.calls) == 8
        assert 1 <= caught.value.retry_after_seconds <= 60


def test_it_lets_one_call_through_after_its_time_and_closes():
    """The first call that succeeds closes a half-open breaker."""
    world = World(breaker_failures=1, breaker_reset_seconds=1)
    users = population(10)
    world.users(users)
    world.build()
    with world.faulty(on("BatchGetDocuments", Mode.REFUSED, times=4)):
        with pytest.raises(SystemFailureError):
            world.work()
        with pytest.raises(BreakerOpenError):
            world.work()
        time.sleep(1.1)
        report = world.work()

    assert report.tally.refreshed == 10
    assert_granted_once(world, users, 10)


def test_begun_jobs_are_settled_and_other_claimed_jobs_are_released():
    """The breaker opens in the middle of a call. No attempt of a released job counts, and no user is lost."""
    world = World(job_size=10, slot_seconds=86_400, breaker_failures=1)
    users = population(100)
    world.users(users)
    world.build()
    seen = []

    def down_for_users(_number, method, request):
        if method == "BatchWrite" and "/users/" in str(request):
            seen.append(method)
            return Mode.REFUSED if len(seen) > 3 else None
        return None

    with world.faulty(down_for_users), pytest.raises(SystemFailureError):
        world.work()
    jobs = world.jobs().values()
    healed = world.work(EVENING.replace(minute=0) + (EVENING - EVENING.replace(minute=0)) * 2)

    assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1), ("pending", 0)}
    assert world.rollup()["refreshedUsers"] == 100
    assert healed.tally.refreshed == 100 - 10 * sum(job["status"] == "completed" for job in jobs)
    assert_granted_once(world, users, 10)
    assert_settled(world)


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL])
def test_requests_that_a_bad_user_breaks_do_not_open_the_breaker(code):
    """Several requests are refused until the user stands alone."""
    world = World(slot_seconds=86_400, breaker_failures=1)
    world.users(population(64))
    world.build()

    def spoil(_number, method, request):
        return WireError(code) if method == "BatchWrite" and "users/user00000" in str(request) else None

    with world.faulty(spoil):
        report = world.work()

    assert report.tally.refreshed == 63
