"""Jobs that are worked after their day. They grant the right day and lose nobody, and the lag is measured."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.monitor.operator_actions import Operator, requeue_job
from tests.support.faults import Mode, ProcessEnded, WireError, nth, on_user
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.monitor import view
from tests.support.world import DAY, EVENING, MIDNIGHT, World, population

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
EVE = Operator("eve")
RUN = "credit_refresh_runs/2026-11-22"


def users_of_added_jobs(world: World) -> list[str]:
    """The users of jobs of today that late grants have added."""
    return [user_id for job_id, job in world.jobs().items() if "-after-" in job_id for user_id in job["userIds"]]


def balances(world: World) -> set[int]:
    return {user["credits"] for user in world.all("users").values()}


def test_users_settled_after_midnight_do_not_lose_the_new_day():
    """The first day has 200 users without a stamp. Its last slots are settled at 00:01, after the new day's scan."""
    world = World(slot_seconds=3600)
    users = population(200)
    world.users(users)
    world.build()
    world.work(MIDNIGHT + 22 * HOUR)
    left = {user_id for user_id, user in world.all("users").items() if user["credits"] == 5}

    world.build(MIDNIGHT + DAY, scan="due")
    world.work(MIDNIGHT + DAY + MINUTE)
    named = users_of_added_jobs(world)
    world.work(MIDNIGHT + DAY + 22 * HOUR)
    before = balances(world)
    world.work(EVENING + DAY)

    assert set(named) == left != set()
    assert (before, balances(world)) == ({15, 25}, {25})
    assert_settled(world)


def test_users_whom_the_new_day_s_scan_has_seen_get_no_second_job():
    """Their `dueOn` had come before they were granted, so the scan queued them for the new day."""
    world = World(slot_seconds=3600)
    world.users(population(60))
    world.day()
    world.build(MIDNIGHT + DAY, scan="due")
    world.work(MIDNIGHT + DAY + 20 * HOUR)
    world.build(MIDNIGHT + 2 * DAY, scan="due")

    late = world.work(MIDNIGHT + 2 * DAY + MINUTE)
    world.work(EVENING + 2 * DAY)

    assert late.tally.refreshed > 0
    assert users_of_added_jobs(world) == []
    assert balances(world) == {35}


@pytest.mark.parametrize("scan", ["all", None])
def test_a_scan_of_everybody_or_a_later_scan_needs_no_second_job(scan):
    """A scan of everybody has read the users without a stamp. A later scan will read the `dueOn` of the late grant."""
    world = World()
    world.users(population(10))
    world.build()
    world.work(MIDNIGHT + HOUR)
    if scan is not None:
        world.build(MIDNIGHT + DAY, scan=scan)

    world.work(MIDNIGHT + DAY + MINUTE)
    world.build(MIDNIGHT + DAY + 2 * MINUTE, scan="due")
    world.work(EVENING + DAY)

    assert users_of_added_jobs(world) == []
    assert balances(world) == {25}


def test_a_late_grant_whose_worker_died_does_not_lose_the_new_day():
    """The dead worker wrote `dueOn` after the scan, so `dueOn` does not show which users the scan passed by."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build()
    world.build(MIDNIGHT + DAY, scan="due")
    with world.faulty(nth("Commit", 2, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(MIDNIGHT + DAY + MINUTE)

    world.work(MIDNIGHT + DAY + 10 * MINUTE)
    world.work(EVENING + DAY)

    assert balances(world) == {25}
    assert_settled(world)


def test_after_a_pause_jobs_are_worked_for_the_present_day():
    """Nothing runs for two days after the first build. No later scan has found the users, so they are granted now."""
    world = World()
    users = population(20)
    world.users(users)
    world.build()

    report = world.work(MIDNIGHT + 3 * DAY + MINUTE)
    world.build(MIDNIGHT + 3 * DAY + 2 * MINUTE, scan="due")
    again = world.work(EVENING + 3 * DAY)

    assert (report.tally.refreshed, again.tally.refreshed) == (20, 0)
    assert_granted_once(world, users, 10, run_id="2026-11-25")
    assert_settled(world)


@pytest.mark.parametrize("scanned_days_ago", [0, 1])
def test_an_old_job_is_closed_unread_once_a_later_scan_is_complete(scanned_days_ago):
    """Yesterday's scan is enough, because the users are in yesterday's jobs."""
    world = World()
    world.users(population(4))
    world.build()
    world.build(MIDNIGHT + (3 - scanned_days_ago) * DAY)
    old = {job_id for job_id, job in world.jobs().items() if job["runId"] == "2026-11-22"}

    world.work(EVENING + 3 * DAY)

    jobs = world.jobs()
    assert {receipt["reason"] for job_id in old for receipt in jobs[job_id]["receipts"]} == {"superseded"}
    assert {jobs[job_id]["reads"] for job_id in old} == {1}
    assert balances(world) == {15}


def test_a_grant_that_landed_long_ago_gets_its_receipt_and_nothing_more():
    """A worker died before it could settle the job. Days later the job gets the receipt of that grant."""
    world = World(slot_seconds=86_400)
    users = population(3)
    world.users(users)
    world.build()
    with world.faulty(nth("Commit", 2, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(EVENING)

    late = world.work(EVENING + 4 * DAY)

    assert late.tally.refreshed == 3
    assert_granted_once(world, users, 10)


def test_a_dead_letter_of_last_week_is_worked_for_the_present_day():
    """An operator who requeues it wants its users refreshed now, whatever has been scanned since."""
    world = World()
    world.users({"ann": {"credits": "ten", "plan": "adder"}})
    world.users({"bob": {"credits": 5, "plan": "adder"}})
    world.build()
    (job_id,) = {job_id for job_id, job in world.jobs().items() if "bob" in job["userIds"]}
    world.update("users/bob", credits="five")
    world.work()
    world.update("users/bob", credits=5)
    week = 7 * DAY - HOUR
    world.build(EVENING + week, scan="due")

    requeue_job(world.context(EVENING + week), EVE, job_id)
    waiting = world.context(EVENING + week + MINUTE).job_views().waiting_since(EVENING + week + MINUTE)
    world.work(EVENING + week + MINUTE)

    assert waiting == EVENING + week
    assert world.user("bob")["credits"] == 15
    assert world.user("bob")["creditRefresh"]["periods"] == {"adder": "2026-11-29"}
    assert world.jobs()[job_id]["lateUsers"] == 1


def test_jobs_of_an_older_scan_are_closed_once_the_newer_one_is_complete():
    """The newer scan has queued all users again. No user is refreshed by both, and none counts as failed."""
    world = World(slot_seconds=86_400, job_size=5)
    world.users(population(10))
    world.build()
    old, new = sorted(world.jobs())
    world.update(f"credit_refresh_jobs/{new}", generation=1)
    world.update(RUN, generation=1, completedGeneration=1)

    world.work()

    jobs = world.jobs()
    assert {receipt.get("reason") for receipt in jobs[old]["receipts"]} == {"superseded"}
    assert {receipt["outcome"] for receipt in jobs[new]["receipts"]} == {"refreshed"}
    assert jobs[old]["status"] == "completed"
    assert_settled(world)


def test_the_lag_is_measured_from_when_a_job_was_due():
    """A release or a retry does not change the lag. A settled job has none."""
    world = World(slot_seconds=86_400)
    world.users(population(3))
    world.build()

    def waiting_since(now):
        return world.context(now).job_views().waiting_since(now)

    def down(_number, method, request):
        return Mode.REFUSED if method == "BatchWrite" and "/users/" in str(request) else None

    for number in range(5):
        with world.faulty(down), pytest.raises(SystemFailureError):
            world.work(MIDNIGHT + number * 5 * MINUTE)
    during = waiting_since(MIDNIGHT + HOUR)
    with world.faulty(on_user("user00001", WireError(grpc.StatusCode.INTERNAL))):
        world.work(MIDNIGHT + HOUR)
    retried = waiting_since(MIDNIGHT + HOUR)
    world.work(MIDNIGHT + 2 * HOUR)

    assert (during, retried, waiting_since(MIDNIGHT + 3 * HOUR)) == (MIDNIGHT, MIDNIGHT, None)
    assert not [job_id for job_id, job in world.jobs().items() if "dueAt" in job]


def test_the_schedule_s_own_calls_lose_nobody_at_the_end_of_the_first_day():
    """The proof fails because of users without a stamp, so everybody is read. Those users are settled at 00:01."""
    world = World(slot_seconds=3600)
    users = population(200)
    world.users(users)
    world.build(scan="auto")
    world.work(MIDNIGHT + 22 * HOUR)
    assert 0 < sum(user["credits"] == 5 for user in world.all("users").values()) < 200

    for number in range(4):
        world.build(MIDNIGHT + DAY + number * 10 * MINUTE, scan="auto")
        world.work(MIDNIGHT + DAY + (number * 10 + 1) * MINUTE)
    world.work(EVENING + DAY)

    assert balances(world) == {25}
    assert_settled(world)
    figures = view(world, EVENING + DAY)["users"]
    assert figures["pending"] == figures["failed"] == 0
    assert sum(figures.values()) == 200
