"""Plans that leave full users alone. Such users are neither read nor written while they have the allowance."""

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


def world_of_full_users(number: int, **settings: Any) -> World:
    """A world with this many full users after its first day. Later days have `due` scans in spite of few users."""
    world = World(plans=SKIPPING, full_scan_below=0, slot_seconds=43_200, **settings)
    world.users({f"user{n:05d}": {"credits": 50} for n in range(number)})
    world.build(MIDNIGHT, "auto")
    world.work()
    return world


def day(world: World, midnight: datetime) -> tuple[int, int, Scan | None]:
    """Run a day's builder and worker. Returns their reads, their writes, and which scan it was."""
    building, working = world.context(midnight), world.context(midnight + (EVENING - MIDNIGHT))
    report = build(building, ScanRequest.AUTO, 60)
    work(working, 1000, 60)
    costs = [context.wire.cost for context in (building, working)]
    return sum(cost.reads for cost in costs), sum(cost.writes for cost in costs), report.scan


def spend(world: World, *numbers: int, left: float = 3) -> None:
    for number in numbers:
        world.update(f"users/user{number:05d}", credits=left)


def test_only_users_below_the_allowance_cost_anything():
    """A fifth of the users spends each day and is topped up once that day. The other documents do not change."""
    world = world_of_full_users(300)
    before = world.all("users")

    for number in (1, 2, 3):
        spenders = range(number, 300, 5)
        spend(world, *spenders)
        reads, writes, scan = day(world, MIDNIGHT + number * DAY)

        assert scan == "due"
        assert reads <= 0.3 * 300  # a fifth of them, and the fixed cost of a day
        assert writes <= 0.25 * 300
        users = world.all("users")
        assert {user["credits"] for user in users.values()} == {50}
        topped_up = [f"user{n:05d}" for n in spenders]
        today = (MIDNIGHT + number * DAY).date().isoformat()
        assert all(users[user_id]["creditRefresh"]["periods"] == {"free": today} for user_id in topped_up)
        assert {user_id for user_id in users if users[user_id] != before[user_id]} == set(topped_up)
        before = users


def test_a_day_without_spending_costs_next_to_nothing():
    """Counting the users costs a read for each thousand."""
    world = world_of_full_users(300)
    before = world.all("users")

    reads, writes, scan = day(world, MIDNIGHT + DAY)

    assert scan == "due"
    assert reads <= 20
    assert writes <= 6
    assert world.all("users") == before


def test_the_first_scan_notes_that_a_full_user_is_found_by_balance():
    """The stamp gets `dueOn` and nothing else."""
    world = world_of_full_users(5)

    assert {tuple(user["creditRefresh"].items()) for user in world.all("users").values()} == {(("dueOn", "when-low"),)}


def test_a_user_who_spends_again_after_a_grant_waits_for_the_next_day():
    """A period is granted once, however low the balance is."""
    world = world_of_full_users(10)
    spend(world, 1)
    day(world, MIDNIGHT + DAY)
    spend(world, 1)
    again = world.refresh("user00001", now=EVENING + DAY)

    assert again.tally.skipped == 1
    assert world.user("user00001")["credits"] == 3
    day(world, MIDNIGHT + 2 * DAY)
    assert world.user("user00001")["credits"] == 50


def test_users_who_left_the_plan_are_found_in_the_same_scan():
    """They are found by balance or by date, and from then on by date. A paused user is left out."""
    world = world_of_full_users(10)
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


def test_users_with_bought_credits_or_own_allowance_are_found_by_date():
    """Their first refresh gives them a date, and they are refreshed every day."""
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
def test_a_user_whose_balance_is_no_finite_number_is_named_every_day(odd):
    """Once the balance is corrected, the next day's scan finds the user to refresh."""
    world = world_of_full_users(10)
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
spendings = st.one_of(
    st.just(("never", 50)),
    st.tuples(moments, st.sampled_from([*LOW, 50, 700])),
    st.tuples(moments, st.sampled_from(ODD)),
)


def write_balances(world: World, balances: dict[str, tuple[str, Any]], moment: str) -> None:
    """Write the balances that are drawn for this moment."""
    for user_id, (when, balance) in balances.items():
        if when == moment:
            world.update(f"users/{user_id}", credits=balance)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(spendings, min_size=8, max_size=8), st.integers(1, 8))
def test_a_user_who_spends_is_found_that_day_or_the_next(drawn, job_size):
    """Users spend before the scan, between scan and work, or after the work. Users who stay full are not written."""
    world = world_of_full_users(8, job_size=job_size)
    balances = dict(zip(sorted(world.all("users")), drawn, strict=True))
    before = world.all("users")

    write_balances(world, balances, "before the scan")
    world.build(MIDNIGHT + DAY, "auto")
    write_balances(world, balances, "after the scan")
    world.work(EVENING + DAY)
    first = world.all("users")
    write_balances(world, balances, "after the work")
    report = world.build(MIDNIGHT + 2 * DAY, "auto")
    world.work(EVENING + 2 * DAY)
    second = world.all("users")

    odd = {user_id for user_id, (_, balance) in balances.items() if any(balance is value for value in ODD)}
    assert {error["userId"] for error in report.errors.shown} == odd
    assert report.scan == "due"
    for user_id, (when, balance) in balances.items():
        if user_id in odd:
            assert repr(second[user_id]["credits"]) == repr(balance)
        elif balance >= 50:
            assert second[user_id] == {**before[user_id], "credits": balance}
        else:
            assert (first if when == "before the scan" else second)[user_id]["credits"] == 50
