"""What an action would do, before anybody does it: how many users and jobs, and what it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from shared.core.errors import MissingIndexError, NotFoundError, RejectedError
from shared.core.runs import Billed, Run, Scan
from shared.monitor.failures import FailedUser, all_failures
from shared.monitor.job_details import read_job
from shared.monitor.prices import cost_answer
from shared.monitor.statistics import causes_of
from shared.monitor.user_history import decide_now
from shared.services.context import Context

CHECKED_MAX = 300  # users that are read to see whether they were corrected
COUNTED_USERS_MAX = 1_000_000  # which costs 1,000 reads
READS_OF_JOB, WRITES_OF_JOB = 2, 4  # sent back, claimed and settled


def preview_requeue_job(context: Context, job_id: str) -> dict[str, Any]:
    """What a requeue of one job would do. Costs a read for the job and for each of its failed users."""
    job = read_job(context, job_id)
    if not job.is_dead_letter:
        return _requeue(context, 0, 0, ())
    failed = [FailedUser(failure, job.job_id, job.completed_at) for failure in job.failed_for_good]
    return _requeue(context, 1, len(failed), failed[:CHECKED_MAX])


def preview_requeue_run(context: Context, day: date, code: str | None) -> dict[str, Any]:
    """What a requeue of a run's failed jobs would do, or of those with failures of one code.

    Jobs and users are the roll-up's; some users, at most 300, are read to see whether they were corrected.
    """
    stored = context.runs().get(day.isoformat())
    rollup = context.rollups().total(day.isoformat())
    causes = [
        cause for cause in causes_of(None if stored is None else stored.run, rollup) if code in (None, cause.code)
    ]
    jobs = rollup["failedJobs"] if code is None else sum(cause.jobs for cause in causes)
    users = sum(cause.users - cause.found_by_builder for cause in causes)
    return _requeue(context, jobs, users, list(all_failures(context, day, code, CHECKED_MAX)))


def _requeue(context: Context, jobs: int, users: int, checked: Sequence[FailedUser]) -> dict[str, Any]:
    verdicts = Counter(_is_ready(context, [user.failure.user_id for user in checked if user.failure.user_id]))
    billed = Billed(users + READS_OF_JOB * jobs, users + WRITES_OF_JOB * jobs)
    return {
        "jobs": jobs,
        "users": users,
        "checkedUsers": verdicts.total(),
        "readyUsers": verdicts[True],
        "failingUsers": verdicts[False],
        "cost": cost_answer(billed, context.settings),
    }


def _is_ready(context: Context, user_ids: Sequence[str]) -> list[bool]:
    """For each user, whether a refresh now would get past the user's own data."""
    found = context.users().read(user_ids) if user_ids else {}
    documents = [found.get(user_id) for user_id in user_ids]
    return [not isinstance(each, Exception) and decide_now(context, each)[1] is None for each in documents]


def preview_rescan(context: Context, day: date) -> dict[str, Any]:
    """What a rescan of today's run would cost, and how many users it would queue at most.

    Takes up to six reads for each thousand users, to count them.
    """
    stored = context.runs().get(day.isoformat())
    if stored is None:
        raise NotFoundError("run_not_found", "there is no run of that day", "runId")
    users = context.users().count_documents(COUNTED_USERS_MAX)
    return {
        "users": users,
        "isAtLeast": users >= COUNTED_USERS_MAX,
        "queuedUsersAtMost": _queued_at_most(context, stored.run, users),
        "cost": cost_answer(Billed(reads=users), context.settings),
    }


def _queued_at_most(context: Context, run: Run, users: int) -> int | None:
    """How many users a rescan would queue at most; None if that can't be counted.

    Their stamps tell who is due. A stamp can't tell of a plan that was changed without a request.
    """
    if run.scan is Scan.ADOPT:
        return 0  # so is its rescan, and it grants nothing
    if users >= COUNTED_USERS_MAX:
        return None
    if run.fingerprint != context.fingerprint:
        return users  # under the plans and settings of now, anybody may be due
    try:
        return min(users, _count_waiting(context, run.day))
    except (RejectedError, MissingIndexError):
        return None


def _count_waiting(context: Context, day: date) -> int:
    """Users whose day has come, who were never granted anything, or who are found by balance and are low.

    Among them are users who are paused, who would fail again, or who spent what they were granted today.
    """
    users, low_below = context.users(), context.plans.low_below
    undated = max(0, users.count_balances() - users.count_due_ons())
    low = 0 if low_below is None else min(users.count_when_low(), users.count_balances_below(low_below))
    return users.count_due_until(day) + undated + low
