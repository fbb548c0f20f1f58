"""Late jobs: when a newer scan has replaced a job, and which users today's scan did not see."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shared.core.jobs import Job
from shared.core.late import is_outdated, is_scanned, was_passed_by
from shared.core.periods import days_of_longest_period
from shared.core.plans import parse_plans
from shared.core.ranges import due
from shared.core.runs import Run, Scan
from shared.core.users import LastGrant, User

DAY_1, DAY_2 = date(2026, 11, 22), date(2026, 11, 23)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
PLANS = parse_plans("""
default_plan = "free"
[plans.free]
allowance = 50
period = "day"
policy = "top_up"
[plans.dormant]
allowance = 50
period = "day"
policy = "top_up"
when_full = "skip"
[plans.monthly]
allowance = 50
period = "month"
policy = "top_up"
""")
RANGES = due(DAY_2, days_of_longest_period(PLANS), PLANS.low_below)


def job(generation: int = 0) -> Job:
    return Job(
        job_id="j",
        root_id="j",
        run_id="2026-11-22",
        day=DAY_1,
        scheduled_for=MIDNIGHT,
        user_ids=("ann",),
        max_attempts=3,
        created_at=MIDNIGHT,
        visible_at=MIDNIGHT,
        generation=generation,
    )


def run(completed_generation: int | None = None) -> Run:
    return Run(run_id="2026-11-22", scan=Scan.ALL, created_at=MIDNIGHT, completed_generation=completed_generation)


@pytest.mark.parametrize(
    ("generation", "completed", "outdated"),
    [(0, None, False), (0, 0, False), (0, 1, True), (1, 1, False), (1, 2, True), (2, 1, False)],
)
def test_a_job_is_outdated_once_a_newer_scan_is_complete(generation, completed, outdated):
    """An unfinished scan has not queued everybody yet."""
    assert outdated == is_outdated(job(generation), run(completed))


def test_a_job_without_its_run_is_not_outdated():
    """Somebody may have deleted the run document to have the day scanned again."""
    assert not is_outdated(job(), None)


@pytest.mark.parametrize(
    ("found", "scanned"),
    [(None, False), (run(), False), (run(0), True), (run(1), True)],
)
def test_a_day_is_scanned_once_a_scan_of_it_is_complete(found, scanned):
    """A restart of the scan does not undo that."""
    assert scanned == is_scanned(found)


def user(
    due_on: object, plan: str = "free", granted_on: date | None = None, job_id: str | None = None, balance: int = 0
) -> User:
    return User(
        balance=balance,
        plan=plan,
        periods={} if granted_on is None else {plan: granted_on},
        anchor=DAY_1,
        last_grant=None if job_id is None else LastGrant(job_id, 0, 50),
        due_on=due_on,
    )


@pytest.mark.parametrize(
    ("known", "passed_by"),
    [
        (None, True),
        (user(None), True),
        (user("2026-11-22"), False),
        (user("2026-11-23"), False),
        (user("2026-11-24"), True),
        (user("when-low"), False),
        (user("2027-11-23"), False),
        (user(7), False),
        (user("when-low", balance=60), True),
        (user("when-low", plan="dormant"), False),
        (user("when-low", plan="dormant", granted_on=DAY_1, job_id="j"), False),
        (user(None, plan="dormant"), False),
        (user(None, plan="monthly"), False),
        (user(None, plan="unknown"), False),
        (user(None, granted_on=DAY_2), False),
        (user("2026-11-23", granted_on=DAY_1, job_id="j"), True),
        (user("2026-11-23", granted_on=DAY_1, job_id="other"), False),
    ],
)
def test_a_user_due_today_whom_the_scan_did_not_see_was_passed_by(known, passed_by):
    """The scan sees users by their `dueOn`, also by one that can't be right, or by a low balance.

    If an earlier try of this job wrote it, that may have been after the scan.
    """
    assert passed_by == was_passed_by(known, PLANS, job(), DAY_2, RANGES)
