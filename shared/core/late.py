"""Jobs that are worked after their own day: the day they count for, and the users that a newer scan missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from shared.core.decision import Grant, decide
from shared.core.errors import UserError
from shared.core.jobs import Job
from shared.core.plans import PlanTable
from shared.core.ranges import WHEN_LOW, ScanRange, is_found_by_date
from shared.core.runs import Run
from shared.core.users import User

OWN_DAY_ENDS_AFTER = timedelta(days=1)  # how long after its day a job still counts for its day


def is_outdated(job: Job, own_run: Run | None) -> bool:
    """True for a job of a scan that a newer scan of the same day has replaced: its users are in that scan's jobs."""
    complete = None if own_run is None else own_run.completed_generation
    return complete is not None and job.generation < complete


def is_scanned(run: Run | None) -> bool:
    """True for a day whose scan was completed: each user who was due is in a job of that day."""
    return run is not None and run.completed_generation is not None


def is_met(user: User, plans: PlanTable, ranges: Sequence[ScanRange]) -> bool:
    """True for a user whom a `due` scan of these ranges meets by the stamp's `dueOn`, or by a low balance."""
    if user.due_on == WHEN_LOW and plans.low_below is not None and user.balance < plans.low_below:
        return True
    return user.due_on is not None and is_found_by_date(user.due_on, ranges)


def was_passed_by(user: User | None, plans: PlanTable, job: Job, today: date, ranges: Sequence[ScanRange]) -> bool:
    """True for a user whom a late job grants, who is due again today, and whom today's scan did not meet.

    `user`: as before the grant; None if that is not known. `ranges`: those of today's scan. If an earlier try of this
    job wrote the `dueOn`, it may have been written after the scan.
    """
    if user is None:
        return True
    written_by_us = user.last_grant is not None and user.last_grant.job_id == job.root_id
    if is_met(user, plans, ranges) and not written_by_us:
        return False
    try:
        local_dates = job.local_date or job.day, user.days_in_run(today)[-1]
        first, second = (decide(user, plans, day, None) for day in local_dates)
    except UserError:
        return False
    if not isinstance(second, Grant) or second.when_low:  # the scan by balance has seen low users
        return False
    return not (isinstance(first, Grant) and first.period == second.period)
