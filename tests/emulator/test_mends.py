"""Corrections of stamps: they outlive no change of settings and no midnight, and no failure loses them.

A wrong `dueOn` that looks right is found by no proof. So each test ends with a day whose scan is by date.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.core.plans import parse_plans
from tests.support.faults import FaultPlan, WireError, either, on_user, refusing
from tests.support.invariants import assert_settled
from tests.support.plans import PLANS, SKIPPING
from tests.support.world import DAY, MIDNIGHT, World, population

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MONTHLY, YEARLY = (
    PLANS.replace('allowance = 10\nperiod = "day"', f'allowance = 10\nperiod = "{period}"')
    for period in ("month", "year")
)
BEFORE_MIDNIGHT = timedelta(hours=23, minutes=50)
SLOTS_AT_2330: dict[str, Any] = {"window_seconds": 60, "slot_seconds": 60, "window_start_seconds": 84_600}


def build_all_day(world: World, midnight: datetime) -> None:
    """Call the builder four times, ten minutes apart: the proof takes three of them."""
    for number in range(4):
        world.build(midnight + number * 10 * MINUTE, "auto")


def live(world: World, midnight: datetime) -> None:
    """Run builder and worker for a whole day."""
    build_all_day(world, midnight)
    world.work(midnight + timedelta(hours=23, minutes=59))


def live_from_midnight(world: World, midnight: datetime) -> None:
    """Run the builder every ten minutes of the first hour, and the worker after it every five, and in the evening."""
    for number in range(13):
        now = midnight + number * 5 * MINUTE
        if number % 2 == 0:
            world.build(now, "auto")
        world.work(now)
    world.work(midnight + timedelta(hours=23, minutes=40))


def started(users: dict[str, Any], plans: str = PLANS, **settings: Any) -> World:
    """A deployment after its first day."""
    world = World(plans=plans, **settings)
    world.users(users)
    live(world, MIDNIGHT)
    return world


def due_on(world: World, user_id: str) -> str:
    return world.user(user_id)["creditRefresh"]["dueOn"]


def start_of(world: World, user_id: str, plan: str = "adder") -> str | None:
    """The start of the last period that was granted on the plan."""
    return world.user(user_id).get("creditRefresh", {}).get("periods", {}).get(plan)


# Changed settings


@pytest.mark.parametrize("scanned_again", [False, True])
def test_a_mend_of_other_settings_replaces_no_data_of_the_app(scanned_again):
    """The stamp moves below a field that holds a text, while a mend waits. A new scan may come before the worker."""
    world = World()
    world.users({"ada": {"credits": "oops", "plan": "adder", "billing": "invoice, net 30"}, **population(1)})
    world.build(MIDNIGHT + BEFORE_MIDNIGHT, "auto")
    assert any("mends" in job for job in world.jobs().values())
    world.settings = world.settings.model_copy(update={"stamp_field": "billing.creditRefresh"})
    if scanned_again:
        world.build(MIDNIGHT + DAY, "auto")

    world.work(MIDNIGHT + DAY + MINUTE)

    assert world.user("ada")["billing"] == "invoice, net 30"


def test_a_mend_of_other_plans_is_decided_again():
    """Yearly plans are deployed, their mends are queued, and the monthly plans come back before the worker."""
    world = started(population(3), MONTHLY, slot_seconds=86_400)
    monthly, world.plans = world.plans, parse_plans(YEARLY)
    world.build(MIDNIGHT + DAY + BEFORE_MIDNIGHT, "auto")
    world.plans = monthly
    world.build(MIDNIGHT + 2 * DAY, "auto")

    world.work(MIDNIGHT + 2 * DAY + MINUTE)

    assert {due_on(world, user_id) for user_id in population(3)} == {"2026-12-01"}


# A due user whose `dueOn` lies ahead


@pytest.fixture
def daily():
    """Users of monthly plans have been queued once under daily plans. Their `dueOn` still said next month."""
    world = started(population(5), MONTHLY, slot_seconds=86_400, max_attempts=1)
    world.plans = parse_plans(PLANS)
    build_all_day(world, MIDNIGHT + DAY)
    return world


def test_users_are_granted_after_the_worker_was_down_for_days(daily):
    for day in (2, 3, 4):
        build_all_day(daily, MIDNIGHT + day * DAY)
    daily.work(MIDNIGHT + 4 * DAY + timedelta(hours=23, minutes=59))

    live(daily, MIDNIGHT + 5 * DAY)

    assert {start_of(daily, user_id) for user_id in population(5)} == {"2026-11-27"}


@pytest.mark.parametrize("worker_first", [False, True])
def test_users_are_granted_after_a_pause_of_days(daily, worker_first):
    daily.pause()
    for day in (2, 3):
        build_all_day(daily, MIDNIGHT + day * DAY)
        daily.work(MIDNIGHT + day * DAY + HOUR)
    daily.pause(paused=False)
    if worker_first:
        daily.work(MIDNIGHT + 4 * DAY)

    live(daily, MIDNIGHT + 4 * DAY)
    live(daily, MIDNIGHT + 5 * DAY)

    assert {start_of(daily, user_id) for user_id in population(5)} == {"2026-11-27"}


def pause(world: World, *, paused: bool) -> None:
    stamp = world.user("user00001")["creditRefresh"]
    world.update("users/user00001", creditRefresh={**stamp, "paused": paused})


def test_a_user_who_was_paused_at_the_slot_is_granted_after_the_resume(daily):
    pause(daily, paused=True)
    daily.work(MIDNIGHT + DAY + HOUR)
    pause(daily, paused=False)

    live(daily, MIDNIGHT + 2 * DAY)

    assert start_of(daily, "user00001") == "2026-11-24"


def test_a_user_who_was_broken_at_the_slot_is_granted_after_the_correction(daily):
    daily.update("users/user00001", credits="text")
    daily.work(MIDNIGHT + DAY + HOUR)
    daily.update("users/user00001", credits=7)

    live(daily, MIDNIGHT + 2 * DAY)

    assert start_of(daily, "user00001") == "2026-11-24"


def test_a_user_whose_document_kept_changing_is_found_by_the_next_scan(daily):
    """No write and no lock succeeds, and the job has one attempt."""

    def locked(_number: int, method: str, request: Any) -> WireError | None:
        is_lock = method == "BatchGetDocuments" and "new_transaction" in str(request)
        return WireError(grpc.StatusCode.ABORTED) if is_lock else None

    with daily.faulty(either(refusing(9, "user00001"), locked)):
        daily.work(MIDNIGHT + DAY + BEFORE_MIDNIGHT)
    assert start_of(daily, "user00001") == "2026-11-01"

    for day in (2, 3):
        live(daily, MIDNIGHT + day * DAY)

    assert start_of(daily, "user00001") == "2026-11-25"


def test_a_due_user_whose_due_on_has_come_costs_no_further_write():
    """The day's jobs hold no mends, whether they were made by a scan of everybody or by date."""
    world = started(population(5))

    world.build(MIDNIGHT + DAY, "all")

    assert [job["userIds"] for job in world.jobs().values() if "mends" in job] == []
    assert world.run("2026-11-23")["queuedUsers"] == 5


# Failures

BREAKING = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL]


def mended_late(faults: FaultPlan, calls: int) -> World:
    """Full users of a plan that skips are to be mended shortly before midnight. Others are written in each call."""
    world = started(population(10, plan="free"), SKIPPING)
    world.plans = parse_plans(PLANS)
    late = MIDNIGHT + BEFORE_MIDNIGHT
    world.build(late, "auto")
    for number in range(calls):
        requests = {"credits": 5, "plan": "adder", "creditRefresh": {"refreshRequested": True}}
        world.users({f"other{number}": requests})
        with world.faulty(faults), suppress(SystemFailureError):
            world.work(late + number * 5 * MINUTE)
    return world


def unmended(world: World) -> set[str]:
    return {user_id for user_id in population(10) if due_on(world, user_id) == "when-low"}


@pytest.mark.parametrize(
    "fault", [refusing(14, "user00001"), refusing(8, "user00001")], ids=["unavailable", "exhausted"]
)
def test_a_mend_that_was_refused_is_made_by_a_retry_job(fault):
    world = mended_late(fault, calls=1)
    assert unmended(world) == {"user00001"}

    world.work(MIDNIGHT + BEFORE_MIDNIGHT + 5 * MINUTE)

    assert unmended(world) == set()
    assert_settled(world)


@pytest.mark.parametrize("code", BREAKING, ids=lambda code: code.name)
def test_one_user_who_breaks_every_request_costs_no_other_their_mend(code):
    world = mended_late(on_user("user00001", WireError(code)), calls=30)

    assert unmended(world) <= {"user00001"}


# Midnight


def test_a_user_mended_after_midnights_scan_is_granted_on_the_new_day():
    """An evening's scan meets a broken user, who is corrected at once. The mend comes after the new day's scan."""
    world = started(population(5))
    world.users({"ada": {"credits": "text", "plan": "adder"}})
    build_all_day(world, MIDNIGHT + DAY + timedelta(hours=23, minutes=10))
    world.update("users/ada", credits=5)

    live_from_midnight(world, MIDNIGHT + 2 * DAY)

    assert world.user("ada")["creditRefresh"]["periods"] == {"adder": "2026-11-24"}
    assert_settled(world)


def test_a_period_that_was_stamped_after_midnights_scan_does_not_cost_the_new_day():
    """The app gave the first period, so the first day's job only stamps it. The real day is the one of sign-up."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world = World(sign_up="stamp", **SLOTS_AT_2330)
    world.users(population(5))
    build_all_day(world, today)

    live_from_midnight(world, today + DAY)

    assert {start_of(world, user_id) for user_id in population(5)} == {(today + DAY).date().isoformat()}


def test_a_user_of_a_plan_that_skipped_is_granted_on_the_day_after_a_late_job():
    """At noon the plan stops to skip. The day's jobs are settled after the new day's scan."""
    world = World(plans=SKIPPING, **SLOTS_AT_2330)
    world.users(population(5, plan="free", credits_each=50))
    build_all_day(world, MIDNIGHT)
    world.work(MIDNIGHT + BEFORE_MIDNIGHT)
    build_all_day(world, MIDNIGHT + DAY)
    world.plans = parse_plans(PLANS)
    world.build(MIDNIGHT + DAY + 12 * HOUR, "auto")

    live_from_midnight(world, MIDNIGHT + 2 * DAY)

    assert {start_of(world, user_id, "free") for user_id in population(5)} == {"2026-11-24"}


def test_a_late_job_takes_no_user_whom_the_new_days_scan_met_by_an_odd_due_on():
    world = started(population(5), window_seconds=60, slot_seconds=60, window_start_seconds=86_000)
    build_all_day(world, MIDNIGHT + DAY)
    world.update("users/user00001", creditRefresh={**world.user("user00001")["creditRefresh"], "dueOn": "soon"})

    live_from_midnight(world, MIDNIGHT + 2 * DAY)
    world.work(MIDNIGHT + 2 * DAY + timedelta(hours=23, minutes=59))

    jobs = [job for job in world.jobs().values() if job["runId"] == "2026-11-24" and "user00001" in job["userIds"]]
    assert len(jobs) == 1


# The proof


def test_a_corrected_user_who_was_kept_by_name_hides_no_wiped_one():
    """The corrected user is granted between the first and the second count."""
    world = started(population(5), window_seconds=60, slot_seconds=60)
    world.update("users/user00000", creditRefresh="text")
    live(world, MIDNIGHT + DAY)
    live(world, MIDNIGHT + 2 * DAY)
    world.update("users/user00000", creditRefresh={})
    world.put("users/user00003", {"credits": 0, "plan": "adder"})

    live_from_midnight(world, MIDNIGHT + 3 * DAY)

    assert start_of(world, "user00003") == "2026-11-25"
