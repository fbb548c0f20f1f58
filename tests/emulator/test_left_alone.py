"""Full users who are left alone: their count, plan changes, pauses, a missing index. Small slots that share a job."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.core.runs import ScanRequest
from shared.core.scan_choice import NO_INDEX
from shared.services.build import build
from shared.services.limits import Limits
from shared.services.work import work
from tests.support.faults import WireError
from tests.support.monitor import view
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World

PLANS = """
default_plan = "free"

[plans.free]
allowance = 50
period = "day"
policy = "top_up"
when_full = "skip"

[plans.pro]
allowance = 2000
period = "month"
policy = "reset"
"""
TOMORROW = "2026-11-23"


def world_of(users: dict[str, dict[str, Any]], **settings: Any) -> World:
    world = World(plans=PLANS, **settings)
    world.users(users)
    return world


def live(world: World, midnight: datetime) -> None:
    """Run builder and worker for a whole day."""
    for number in range(4):
        world.build(midnight + timedelta(minutes=10) * number, "auto")
    world.work(midnight + timedelta(hours=23, minutes=59))


def full(number: int) -> dict[str, dict[str, Any]]:
    return {f"user{n:04}": {"credits": 50} for n in range(number)}


def documents(world: World) -> dict[str, Any]:
    return world.all("users")


def test_full_users_are_met_once_and_then_left_alone():
    """The first day's scan of everybody notes that they are found by balance. Nothing else is written."""
    world = world_of(full(20))

    live(world, MIDNIGHT)
    first = documents(world)
    live(world, MIDNIGHT + DAY)

    assert {user["credits"] for user in first.values()} == {50}
    assert all(user["creditRefresh"] == {"dueOn": "when-low"} for user in first.values())
    assert documents(world) == first
    run = world.run(TOMORROW)
    assert (run["scan"], run["proof"]["differences"], run["scannedUsers"]) == ("due", [0], 0)
    assert (run["whenLowUsers"], run["lowUsers"]) == (20, 0)


def test_users_may_change_to_such_a_plan_and_away_from_it():
    """Both are refreshed directly, and get the `dueOn` of the new plan."""
    world = world_of({"up": {"credits": 50}, "down": {"credits": 2000, "plan": "pro"}})
    live(world, MIDNIGHT)
    world.update("users/up", plan="pro")
    world.update("users/down", plan="free", credits=10)
    world.refresh("up", "down", now=NOON)

    live(world, MIDNIGHT + DAY)

    assert world.user("up")["credits"] == 2000
    assert world.user("up")["creditRefresh"]["dueOn"] == "2026-12-01"
    assert world.user("down")["credits"] == 50
    assert world.user("down")["creditRefresh"]["dueOn"] == "when-low"


def test_a_paused_user_below_the_allowance_waits():
    """The user is topped up after the resume."""
    world = world_of({**full(2), "ann": {"credits": 3, "creditRefresh": {"paused": True}}})
    live(world, MIDNIGHT)
    live(world, MIDNIGHT + DAY)
    assert world.user("ann")["credits"] == 3
    stamp = world.user("ann")["creditRefresh"]
    world.update("users/ann", creditRefresh={name: value for name, value in stamp.items() if name != "paused"})

    live(world, MIDNIGHT + 2 * DAY)

    assert world.user("ann")["credits"] == 50


def test_everybody_is_read_if_no_index_serves_the_balance():
    """The run says why, and so does health."""
    world = world_of(full(5))
    live(world, MIDNIGHT)
    world.update("users/user0001", credits=3)

    def exempt(_number: int, method: str, request: Any) -> WireError | None:
        by_balance = method == "RunQuery" and 'field_path: "credits"' in str(request).partition("order_by")[2]
        return WireError(grpc.StatusCode.FAILED_PRECONDITION) if by_balance else None

    with world.faulty(exempt):
        report = world.build(MIDNIGHT + DAY, "auto")
    world.work(EVENING + DAY)

    assert (report.scan, report.scan_reason, report.status) == ("all", NO_INDEX, "completed")
    answer = view(world, EVENING + DAY)["health"]
    assert (answer["status"], [reason["code"] for reason in answer["reasons"]]) == ("ok", ["index_missing"])
    assert world.user("user0001")["credits"] == 50


@pytest.mark.parametrize("seed", range(6))
def test_spenders_during_the_scan_are_found_that_day_or_the_next(seed):
    """Users spend at random between the builder's pages and the workers' jobs."""
    drawn = random.Random(seed)
    world = World(plans=PLANS, limits=Limits(page_users=4), job_size=3)
    world.users(full(24))
    live(world, MIDNIGHT)
    untouched = documents(world)
    spent: set[str] = set()
    for day in (1, 2):
        midnight = MIDNIGHT + day * DAY
        report = world.build_a_page(midnight, "auto")
        while report.has_more:
            for _ in range(3 if day == 1 else 0):
                user_id = f"user{drawn.randrange(24):04}"
                world.update(f"users/{user_id}", credits=drawn.choice([0, 7, 49, -3, 12.5]))
                spent.add(user_id)
            world.work(midnight + timedelta(hours=drawn.randrange(24)), jobs_max=2)
            report = world.build_a_page(midnight, "auto")
        world.work(midnight + timedelta(hours=23, minutes=59))

    after = documents(world)
    assert {user["credits"] for user in after.values()} == {50}
    assert {user_id for user_id in after if after[user_id] != untouched[user_id]} <= spent


@pytest.mark.parametrize(("users", "reads", "writes"), [(1000, 1.1, 1.12), (100, 1.3, 1.9)])
def test_small_populations_share_jobs(users, reads, writes):
    """Users wait an hour at most. The cost does not include calls that find nothing to do."""
    world = World(slot_seconds=300, merge_minutes=60, full_scan_below=20_000)
    world.users({f"user{n:04}": {"credits": 5, "plan": "adder"} for n in range(users)})
    world.day(MIDNIGHT)

    context = world.context(MIDNIGHT + DAY)
    build(context, ScanRequest.AUTO, 60)
    spent = [context.wire.cost.reads, context.wire.cost.writes]
    worker = world.context(MIDNIGHT + DAY + timedelta(hours=23, minutes=59))
    work(worker, 1000, 60)

    total = [spent[0] + worker.wire.cost.reads, spent[1] + worker.wire.cost.writes]
    print("cost", users, total, spent, len(world.jobs()))
    assert total[0] / users <= reads
    assert total[1] / users <= writes
    for user in documents(world).values():
        assert user["credits"] == 25
