"""A user whose document is written all the time is refreshed all the same, or is named and no dead letter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import grpc
import pytest

from shared.store.users import UserStore
from tests.support.faults import WireError
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.world import DAY, EVENING, MIDNIGHT, World, population

WRITERS = 3
HOUR = timedelta(hours=1)
ABORTED = WireError(grpc.StatusCode.ABORTED, "Transaction lock timeout.")


@contextmanager
def rewritten(world: World, user_id: str) -> Iterator[list[int]]:
    """Write a field of the user's document as fast as possible until the block ends. Yields the count of writes."""
    stop, written = threading.Event(), [0]

    def write() -> None:
        while not stop.is_set():
            world.update(f"users/{user_id}", theme=written[0])
            written[0] += 1

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_constant_writes_to_a_user_do_not_put_off_the_refresh():
    """The first attempt grants the user once, with a receipt. The other users are granted as well."""
    world = World()
    users = population(30)
    world.users(users)
    world.build()
    user_id = sorted(users)[7]

    with rewritten(world, user_id) as written:
        while not written[0]:
            pass
        report = world.work()

    assert (report.tally.refreshed, report.tally.failed) == (30, 0)
    assert report.failed == 0
    assert_granted_once(world, users, 10)
    assert_settled(world)
    assert world.user(user_id)["theme"] > 0


def refusing_locks_of(user_id: str):
    """Each lock of that user's document is refused."""

    def plan(_number, method, request):
        text = str(request)
        named = f"/users/{user_id}" in text
        if method == "BatchGetDocuments" and named and "new_transaction" in text:
            return ABORTED
        return None

    return plan


@pytest.fixture
def contended(monkeypatch):
    """A world in which one user can be neither written under a precondition nor locked."""
    world = World(max_attempts=2)
    world.users(population(5))
    world.build()
    victim = "user00002"
    genuine = UserStore._write_chunk

    def changed_before(self, writes, **more):
        for each in writes:
            if each.user_id == victim:
                world.update(f"users/{victim}", theme=str(each.update_time_ns))
        return genuine(self, writes, **more)

    monkeypatch.setattr(UserStore, "_write_chunk", changed_before)
    return world, victim


def test_contention_is_named_and_never_a_dead_letter(contended, monkeypatch):
    """After the last attempt the user is left to the next scan, which grants the user once."""
    world, victim = contended

    with world.faulty(refusing_locks_of(victim)):
        reports = [world.work(EVENING - HOUR + n * timedelta(minutes=10)) for n in range(4)]

    assert sum(report.tally.refreshed for report in reports) == 4
    assert [report.failed for report in reports] == [0] * 4
    jobs = world.jobs().values()
    assert {job["status"] for job in jobs} == {"completed"}
    errors = {(error["userId"], error["code"]) for job in jobs for error in job["errors"]}
    assert errors == {(victim, "contention")}
    last = [receipt for job in jobs for receipt in job["receipts"] if receipt["userId"] == victim]
    assert [(receipt["outcome"], receipt["reason"]) for receipt in last] == [("skipped", "contended")]

    monkeypatch.undo()
    world.build(MIDNIGHT + DAY, scan="all")
    world.work(EVENING + DAY)

    assert world.user(victim)["credits"] == 15
    assert_settled(world)
