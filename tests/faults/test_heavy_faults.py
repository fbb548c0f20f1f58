"""Heavy faults: one call in six fails, and each user is still granted exactly once."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.core.runs import ScanRequest
from shared.services.build import build
from shared.services.context import Context
from shared.services.reports import WorkReport
from shared.services.work import work
from shared.store import wire
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.wire import Wire
from tests.support.core_checks import CALLS_MAX, SPOILED, TRIES, Day, note_circumstances, small_steps
from tests.support.faults import (
    FaultPlan,
    Faults,
    Mode,
    WireError,
    all_tries_at,
    at,
    at_random,
    either,
    on_user,
    since,
)
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.world import DAY, MIDNIGHT, World, population

R = TypeVar("R")

REFUSED, LOST = 0.06, 0.10  # of all calls
USERS = 1500
TICK = timedelta(minutes=30)  # longer than any lease or back-off
TICKS_MAX = 96
SMALL_DAYS = 12
BROKEN = WireError(grpc.StatusCode.INTERNAL)


class Instance:
    """A function's instance with a connection of its own that fails often."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self.faults = Faults(at_random(seed, REFUSED, LOST))
        self._connection = world.connect(world.settings.emulator_host, self.faults)
        self.failed = 0

    def call(self, service: Callable[[Context], R], now: datetime) -> R | None:
        """Call a service as Cloud Scheduler does. Returns None if it failed: it is called again at the next tick."""
        over = Wire(self._connection, Budget.of(60), Cost())
        try:
            return service(Context(self._world.settings, self._world.plans, over, lambda: now, draw=self._world.draw))
        except SystemFailureError:
            self.failed += 1
            return None


@pytest.mark.parametrize("tries", [4, 1])
def test_everybody_is_granted_once_however_many_calls_fail(tries, monkeypatch):
    """With as many tries as in production a call survives its faults. With one try each fault fails a whole call."""
    monkeypatch.setattr(wire, "WAIT_SECONDS_MAX", 0.01)
    monkeypatch.setattr(wire, "TRIES_MAX", tries)
    world = World(job_size=50, breaker_failures=1000, max_attempts=3 if tries > 1 else 12)
    users = population(USERS)
    world.users(users)
    seed = random.randrange(2**32)

    with note_circumstances(seed=seed, tries=tries):
        instances = [Instance(world, seed + number) for number in range(3)]
        answers = a_day_of_ticks(*instances)

        calls = sum(len(instance.faults.calls) for instance in instances)
        spoiled = sum(instance.faults.spoiled for instance in instances)
        failed = sum(instance.failed for instance in instances)
        print(f"seed {seed}: {spoiled} of {calls} requests and {failed} service calls failed, {tries} tries each")
        assert calls * (REFUSED + LOST) / 4 < spoiled
        assert_granted_once(world, users, 10)
        assert_settled(world)
        assert (world.run()["queuedUsers"], world.run()["status"]) == (USERS, "completed")
        assert world.rollup()["refreshedUsers"] == USERS
        refreshed = sum(answer.tally.refreshed for answer in answers)
        assert refreshed == USERS if not failed else refreshed <= USERS


def test_a_small_day_is_completed_in_spite_of_many_failures():
    """Many calls of builder and worker fail at some moment. The calls without faults at the end complete the day."""
    seed = random.randrange(2**32)
    for number in range(seed, seed + SMALL_DAYS):
        drawn = random.Random(number)
        world = World(job_size=drawn.choice([1, 2, 3]), slot_seconds=86_400, max_attempts=CALLS_MAX)
        with note_circumstances(seed=number), small_steps(lanes=drawn.choice([1, 4])):
            day = Day(world)
            day.build(*(some_fault(drawn) for _ in range(3)))
            day.disturb()
            day.work(*(either(some_fault(drawn), on_user(SPOILED, BROKEN)) for _ in range(4)))
            day.check()


def some_fault(drawn: random.Random) -> FaultPlan:
    """A random fault at one or several random calls."""
    number, mode = drawn.randrange(1, 20), drawn.choice(list(Mode))
    if mode in (Mode.ENDED, Mode.ENDED_AFTER):
        return at(number, mode)
    plans = [at(number, mode), all_tries_at(number, mode, TRIES), since(number, mode)]
    return drawn.choice([*plans, at_random(number, REFUSED, LOST)])


def a_day_of_ticks(builder: Instance, *workers: Instance) -> list[WorkReport]:
    """Call builder and workers side by side at every tick of the day, then workers until no job is due."""
    answers: list[WorkReport | None] = []
    with ThreadPoolExecutor(1 + len(workers)) as threads:
        for number in range(TICKS_MAX):
            now = MIDNIGHT + number * TICK
            building = now < MIDNIGHT + DAY
            if building:
                built = threads.submit(builder.call, lambda context: build(context, ScanRequest.AUTO, 60), now)
            calls = [threads.submit(one.call, lambda context: work(context, 1000, 60), now) for one in workers]
            latest = [call.result() for call in calls]
            answers += latest
            built.result()
            if not building and all(answer is not None and not answer.claimed for answer in latest):
                return [answer for answer in answers if answer is not None]
    raise AssertionError(f"jobs are still due after {TICKS_MAX} ticks")
