"""If any call to the database fails in any way, no user is lost and no user is granted twice."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import pytest

from shared.core.errors import SystemFailureError
from shared.core.runs import ScanCounts
from shared.services.reports import PageReport
from tests.support.core_checks import (
    ALLOWANCE,
    LATER,
    PERIODS,
    TRIES,
    Day,
    no_fault,
    note_circumstances,
    small_steps,
    work_a_day,
)
from tests.support.faults import FaultPlan, Mode, ProcessEnded, all_tries_at, at, since
from tests.support.spender import spend
from tests.support.world import DAY, MIDNIGHT, NOON, World, population

# The faults at the k-th call, by name.
FAULTS: dict[str, Callable[[int], FaultPlan]] = {
    "refused once": partial(at, mode=Mode.REFUSED),
    "reply lost once": partial(at, mode=Mode.LOST),
    "refused in every try": partial(all_tries_at, mode=Mode.REFUSED, tries=TRIES),
    "reply lost in every try": partial(all_tries_at, mode=Mode.LOST, tries=TRIES),
    "refused from then on": partial(since, mode=Mode.REFUSED),
    "every reply lost from then on": partial(since, mode=Mode.LOST),
    "process ends before": partial(at, mode=Mode.ENDED),
    "process ends after": partial(at, mode=Mode.ENDED_AFTER),
}
PASSING = ("refused once", "reply lost once")  # faults that a call survives; it does not survive the others
IN_EVERY_TRY = ("refused in every try", "reply lost in every try")  # an adoption writes the users in smaller parts then
PAGE = 3
GOOD = population(7)
BAD = {"user00004b": {"credits": "ten"}}

# Runs a part of the system over a faulty wire. Returns the number of calls made, and whether it died of a fault.
Scenario = Callable[[FaultPlan], tuple[int, bool]]

every_fault = pytest.mark.parametrize("fault", FAULTS)


def fail_at_every_call(fault: str, scenario: Scenario, lanes: int = 1, survived: Collection[str] = PASSING) -> None:
    """Run once without a fault to count the calls, then once for each call with the fault at that call."""
    with small_steps(lanes):
        calls, _ = scenario(no_fault)
        for number in range(1, calls + 1):
            with note_circumstances(fault=fault, call=number, of=calls):
                _, died = scenario(FAULTS[fault](number))

                assert died or fault in survived


@every_fault
def test_a_builder_may_fail_at_every_call(fault):
    """The next builder goes on from the last checkpoint. Each user is queued, counted and granted once."""

    def scenario(plan: FaultPlan) -> tuple[int, bool]:
        day = Day()
        day.build(plan)
        calls = len(day.calls)
        day.work()
        day.check()
        return calls, "build" in day.died

    fail_at_every_call(fault, scenario)


def a_worker_fails(plan: FaultPlan) -> tuple[int, bool]:
    """A worker fails on a day when users spend, are deleted or paused, turn bad, or must be tried again."""
    day = work_a_day(Day(), plan)
    day.check()
    return len(day.calls), "work" in day.died


@every_fault
def test_a_worker_may_fail_at_every_call(fault):
    """The next workers end what it began. Each user has one grant, one receipt and one count."""
    fail_at_every_call(fault, a_worker_fails)


@pytest.mark.parametrize("fault", ["process ends before", "process ends after"])
def test_a_worker_with_many_lanes_may_end_at_every_call(fault):
    """The next workers end what the lanes had begun."""
    fail_at_every_call(fault, a_worker_fails, lanes=4)


@every_fault
def test_a_direct_refresh_may_fail_at_every_call(fault):
    """The page without an answer is called again. That call skips users who were granted and grants the others."""

    def scenario(plan: FaultPlan) -> tuple[int, bool]:
        world, answers = new_world(), list[PageReport]()

        calls, died = over_a_faulty_wire(world, plan, lambda: go_on_paging(world, answers))
        assert spend(world, "user00000")
        go_on_paging(world, answers)

        users = {user_id: world.user(user_id) for user_id in GOOD}
        tallies = [answer.tally for answer in answers]
        skipped = sum(tally.skipped for tally in tallies)
        granted = {user_id: balance + ALLOWANCE for user_id, balance in balances_after_spending().items()}
        assert granted == {user_id: user["credits"] for user_id, user in users.items()}
        assert [user["creditRefresh"]["periods"] for user in users.values()] == [PERIODS] * 7
        assert {user["creditRefresh"]["granted"] for user in users.values()} == {ALLOWANCE}
        assert sum(tally.refreshed for tally in tallies) + skipped == 7
        assert sum(tally.failed for tally in tallies) == 1
        assert died or skipped == 0
        assert world.user("user00004b") == BAD["user00004b"]
        return calls, died

    fail_at_every_call(fault, scenario)


@every_fault
def test_an_adoption_may_fail_at_every_call(fault):
    """The next builder goes on adopting. Each user is stamped and counted once, and no balance changes."""

    def scenario(plan: FaultPlan) -> tuple[int, bool]:
        world, answers = new_world(), list[ScanCounts]()

        calls, died = over_a_faulty_wire(world, plan, lambda: answers.append(world.build(MIDNIGHT, "adopt").counts))
        assert spend(world, "user00000")
        answers.append(world.build(MIDNIGHT + LATER, "adopt").counts)
        run = world.run()
        same_day = world.build(NOON, "all")
        next_day = world.preview(MIDNIGHT + DAY, "due")

        users = {user_id: world.user(user_id) for user_id in GOOD}
        total = sum(answers, ScanCounts())  # a user who can't be adopted is tried again by each call
        counts = {"scannedUsers": 8, "queuedUsers": 0, "skippedUsers": 7, "failedUsers": 1, "jobsCreated": 0}
        assert balances_after_spending() == {user_id: user["credits"] for user_id, user in users.items()}
        assert [user["creditRefresh"]["periods"] for user in users.values()] == [PERIODS] * 7
        assert not any("granted" in user["creditRefresh"] for user in users.values())
        assert run["status"] == "completed"
        assert counts == {name: run[name] for name in counts}
        assert died or (total.skipped, total.scanned) == (7, 7 + total.failed)
        assert (same_day.counts.queued, next_day.counts.queued) == (0, 7)
        assert world.jobs() == {}
        return calls, died

    fail_at_every_call(fault, scenario, survived=(*PASSING, *IN_EVERY_TRY))


def new_world() -> World:
    """A world with seven users who are due and one who can't be refreshed."""
    world = World(slot_seconds=86_400)
    world.users(GOOD | BAD)
    return world


def balances_after_spending() -> dict[str, int]:
    """The good users' balances after the first has spent a credit."""
    return {user_id: user["credits"] - (user_id == "user00000") for user_id, user in GOOD.items()}


def over_a_faulty_wire(world: World, plan: FaultPlan, call: Callable[[], None]) -> tuple[int, bool]:
    """Call over a wire with these faults. Returns the number of calls made, and whether it died of a fault."""
    with world.faulty(plan) as faults:
        try:
            call()
        except (ProcessEnded, SystemFailureError):
            return len(faults.calls), True
        return len(faults.calls), False


def go_on_paging(world: World, answers: list[PageReport]) -> None:
    """Refresh page after page, behind the last page that was answered."""
    while not answers or answers[-1].has_more:
        last = answers[-1].after if answers else None
        answers.append(world.page(last, size=PAGE))
