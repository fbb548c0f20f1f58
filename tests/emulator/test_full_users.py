"""Plans that leave full users alone: found by balance, not read and not written while they have the allowance."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.runs import Scan, ScanRequest
from shared.services.build import build
from shared.services.work import work
from tests.support.plans import SKIPPING
from tests.support.world import DAY, EVENING, MIDNIGHT, World


def dormant(number: int, **settings: Any) -> World:
    """So many users who have their allowance, met once by a scan of everybody; small populations prove nothing."""
    world = World(plans=SKIPPING, full_scan_below=0, slot_seconds=43_200, **settings)
    world.users({f"user{n:05d}": {"credits": 50} for n in range(number)})
    world.build(MIDNIGHT, "auto")
    world.work()
    return world


def day(world: World, midnight: datetime) -> tuple[int, int, Scan | None]:
    """A day's scan of the due and its work: reads, writes, and which scan it was."""
    building, working = world.context(midnight), world.context(midnight + (EVENING - MIDNIGHT))
    report = build(building, ScanRequest.AUTO, 60)
    work(working, 1000, 60)
    costs = [context.wire.cost for context in (building, working)]
    return sum(cost.reads for cost in costs), sum(cost.writes for cost in costs), report.scan


def spend(world: World, *numbers: int, left: float = 3) -> None:
    for number in numbers:
        world.update(f"users/user{number:05d}", credits=left)


def test_only_who_is_below_the_allowance_costs_anything():
    """A fifth spends each day and is topped up once that day; the others' documents stay as they are."""
    world = dormant(300)
    before = world.all("users")

    for number in (1, 2, 3):
        spenders = range(number, 300, 5)
        spend(world, *spenders)
        reads, writes, scan = day(world, MIDNIGHT + number * DAY)

        assert scan == "due"
        assert reads <= 0.3 * 300  # a fifth of them, and what a day costs however many users there are
        assert writes <= 0.25 * 300
        users = world.all("users")
        assert {user["credits"] for user in users.values()} == {50}
        topped_up = [f"user{n:05d}" for n in spenders]
        today = (MIDNIGHT + number * DAY).date().isoformat()
        assert all(users[user_id]["creditRefresh"]["periods"] == {"free": today} for user_id in topped_up)
        assert {user_id for user_id in users if users[user_id] != before[user_id]} == set(topped_up)
        before = users


def test_a_day_without_spending_costs_next_to_nothing():
    """Counting everybody is a read for a thousand."""
    world = dormant(300)
    before = world.all("users")

    reads, writes, scan = day(world, MIDNIGHT + DAY)

    assert scan == "due"
    assert reads <= 20
    assert writes <= 6
    assert world.all("users") == before


def test_the_first_meeting_says_that_a_full_user_is_found_by_balance():
    """That is the one write it ever gets."""
    world = dormant(5)

    assert {tuple(user["creditRefresh"].items()) for user in world.all("users").values()} == {(("dueOn", "when-low"),)}


def test_who_is_granted_and_spends_again_waits_for_the_next_day():
    """At most one grant a period, however low the balance is."""
    world = dormant(10)
    spend(world, 1)
    day(world, MIDNIGHT + DAY)
    spend(world, 1)
    again = world.refresh("user00001", now=EVENING + DAY)

    assert again.tally.skipped == 1
    assert world.user("user00001")["credits"] == 3
    day(world, MIDNIGHT + 2 * DAY)
    assert world.user("user00001")["credits"] == 50


def test_the_old_and_the_new_plan_meet_in_one_scan():
    """A user who leaves the plan is found by balance or date, and is found by date from then on."""
    world = dormant(10)
    world.update("users/user00001", plan="adder", credits=3)
    world.update("users/user00002", credits=700, plan="adder")
    world.update("users/user00002", creditRefresh={"dueOn": "2026-11-23"})
    world.update("users/user00003", creditRefresh={"dueOn": "2026-11-23", "paused": True}, credits=3)

    day(world, MIDNIGHT + DAY)

    users = world.all("users")
    assert [users[f"user0000{n}"]["credits"] for n in (1, 2, 3, 4)] == [13, 710, 3, 50]
    assert [users[f"user0000{n}"]["creditRefresh"]["dueOn"] for n in (1, 2, 3, 4)] == [
        "2026-11-24",
        "2026-11-24",
        "when-low",
        "when-low",
    ]


def test_bought_credits_and_own_allowances_are_found_by_date():
    """Whoever has either gets a date with the first meeting, and is refreshed every day like anybody else."""
    world = World(plans=SKIPPING, full_scan_below=0, purchased_field="bought")
    world.users(
        {
            "buyer": {"credits": 530, "bought": 500},
            "team": {"credits": 50, "creditRefresh": {"override": {"plan": "free", "allowance": 200}}},
            "plain": {"credits": 50, "bought": 0},
        }
    )
    world.day()
    for user_id, left in (("buyer", 100), ("team", 180), ("plain", 50)):
        world.update(f"users/{user_id}", credits=left)

    _, _, scan = day(world, MIDNIGHT + DAY)

    users = world.all("users")
    assert scan == "due"
    assert {user_id: user["credits"] for user_id, user in users.items()} == {"buyer": 150, "team": 200, "plain": 50}
    assert {user_id: user["creditRefresh"]["dueOn"] for user_id, user in users.items()} == {
        "buyer": "2026-11-24",
        "team": "2026-11-24",
        "plain": "when-low",
    }


@pytest.mark.parametrize(
    "odd", ["50", None, math.nan, math.inf, -math.inf, {"amount": 5}, [5], True, b"5", MIDNIGHT], ids=str
)
def test_a_balance_that_is_no_finite_number_is_named_and_left(odd):
    """Found beyond the numbers, every day until it is corrected; then the user is refreshed by the next day."""
    world = dormant(10)
    world.update("users/user00001", credits=odd)

    named = []
    for number in (1, 2):
        report = world.build(MIDNIGHT + number * DAY, "auto")
        world.work(EVENING + number * DAY)
        named.append([(error["userId"], error["code"]) for error in report.errors.shown])
    world.update("users/user00001", credits=7)
    day(world, MIDNIGHT + 3 * DAY)

    assert named == [[("user00001", "bad_balance")]] * 2
    assert world.user("user00001")["credits"] == 50


ODD = ["50", None, math.nan, math.inf, -math.inf, {"amount": 5}, True]
LOW = [-4, 0, 3.5, 49, 49.5]
moments = st.sampled_from(["before the scan", "after the scan", "after the work"])
fates = st.one_of(
    st.just(("never", 50)),
    st.tuples(moments, st.sampled_from([*LOW, 50, 700])),
    st.tuples(moments, st.sampled_from(ODD)),
)


def happen(world: World, histories: dict[str, tuple[str, Any]], moment: str) -> None:
    for user_id, (when, balance) in histories.items():
        if when == moment:
            world.update(f"users/{user_id}", credits=balance)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(fates, min_size=8, max_size=8), st.integers(1, 8))
def test_whoever_spends_is_found_that_day_or_the_next(drawn, job_size):
    """Before the scan, between scan and slot, or afterwards. Neighbours who never spent are not touched."""
    world = dormant(8, job_size=job_size)
    histories = dict(zip(sorted(world.all("users")), drawn, strict=True))
    before = world.all("users")

    happen(world, histories, "before the scan")
    world.build(MIDNIGHT + DAY, "auto")
    happen(world, histories, "after the scan")
    world.work(EVENING + DAY)
    first = world.all("users")
    happen(world, histories, "after the work")
    report = world.build(MIDNIGHT + 2 * DAY, "auto")
    world.work(EVENING + 2 * DAY)
    second = world.all("users")

    odd = {user_id for user_id, (_, balance) in histories.items() if any(balance is value for value in ODD)}
    assert {error["userId"] for error in report.errors.shown} == odd
    assert report.scan == "due"
    for user_id, (when, balance) in histories.items():
        if user_id in odd:
            assert repr(second[user_id]["credits"]) == repr(balance)
        elif balance >= 50:
            assert second[user_id] == {**before[user_id], "credits": balance}
        else:
            assert (first if when == "before the scan" else second)[user_id]["credits"] == 50
