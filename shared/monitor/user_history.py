"""One user's story: its document, what a refresh would do, and its receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from shared.core.decision import Decision, decide
from shared.core.errors import NotFoundError, UserError
from shared.core.jobs import RUN_ID_LENGTH
from shared.core.users import ABSENT, RawUser, parse_date
from shared.services.context import Context
from shared.store.job_views import JobDocument, JobViews
from shared.store.users import UserDocument

WINDOW = timedelta(days=30)
JOBS_MAX = 100  # of one user in one answer: a job a day, its retries, and calls for this user
JOBS_OF_A_DAY_MAX = 500  # that are read to find its newest
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is known of one user. `problem`: why its document can't be refreshed; `receipts`: newest first."""

    user_id: str
    raw: RawUser | None
    decision: Decision | None
    problem: UserError | None
    receipts: Sequence[Mapping[str, Any]]
    receipts_from: date
    has_more: bool


def tell(context: Context, user_id: str, before: date | None = None) -> Story:
    """Receipts are those of the runs of thirty days, up to today's or before a given day. Raises NotFoundError."""
    document = context.users().read([user_id]).get(user_id)
    if isinstance(document, Exception):
        raise document
    today = context.schedule.day_of(context.clock())
    until = before or today + DAY
    since, jobs = _newest_jobs(context.job_views(), user_id, until)
    newest_first = sorted(jobs, key=_settled_at, reverse=True)
    receipts = [receipt for job in newest_first if (receipt := _receipt(job, user_id)) is not None]
    if document is None and not jobs and before is None:
        raise NotFoundError("user_not_found", "there is no such user, and no receipt of one; check the id", "userId")
    decision, problem = _judged(context, document, today)
    return Story(
        user_id=user_id,
        raw=None if document is None else document.raw,
        decision=decision,
        problem=problem,
        receipts=receipts,
        receipts_from=since,
        has_more=since > today - timedelta(days=context.settings.retention_days),
    )


def _newest_jobs(views: JobViews, user_id: str, until: date) -> tuple[date, list[JobDocument]]:
    """The newest jobs before a day, oldest first, and the day from which on none is missing.

    The index lists the oldest first. So where there are too many, the later half of the days is asked for.
    """
    since = until - WINDOW
    jobs = _jobs_between(views, user_id, since, until)
    if len(jobs) <= JOBS_MAX:
        return since, jobs
    newest = jobs[-JOBS_MAX:]
    cut_day = parse_date(newest[0].job_id[:RUN_ID_LENGTH])
    return min(until - DAY, (cut_day or since) + DAY), newest


def _jobs_between(views: JobViews, user_id: str, since: date, until: date) -> list[JobDocument]:
    """Jobs of [since, until), oldest first: all of them, or more than JOBS_MAX that are the newest."""
    days = (until - since).days
    if days == 1:
        return sorted(views.about(user_id, since, until, JOBS_OF_A_DAY_MAX), key=_settled_at)
    jobs = views.about(user_id, since, until, JOBS_MAX + 1)
    if len(jobs) <= JOBS_MAX:
        return jobs
    middle = since + (days // 2) * DAY
    later = _jobs_between(views, user_id, middle, until)
    return later if len(later) > JOBS_MAX else _jobs_between(views, user_id, since, middle) + later


def _settled_at(job: JobDocument) -> str:
    """For sorting; an open job has no receipts yet."""
    settled_at = job.fields.get("completedAt")
    return settled_at.isoformat() if isinstance(settled_at, datetime) else ""


def _judged(context: Context, document: UserDocument | None, today: date) -> tuple[Decision | None, UserError | None]:
    """What a refresh now would decide, or why it can't."""
    if document is None or document.raw.balance is ABSENT:
        return None, None
    try:
        return decide(context.read_user(document.raw), context.plans, today, None), None
    except UserError as exc:
        return None, exc


def _receipt(job: JobDocument, user_id: str) -> Mapping[str, Any] | None:
    """What the job says of the user; None if it has settled nothing of it."""
    fields = job.fields
    about = [_of(user_id, fields.get(name)) for name in ("receipts", "kept", "errors")]
    receipt = about[0] or about[1]
    if receipt is None:
        return None
    error = about[2] or {}
    return {
        "jobId": job.job_id,
        "runId": fields.get("runId"),
        "time": fields.get("completedAt"),
        "outcome": receipt.get("outcome"),
        "before": receipt.get("before"),
        "after": receipt.get("after"),
        "reason": receipt.get("reason"),
        "code": error.get("code"),
        "error": error.get("error"),
    }


def _of(user_id: str, entries: object) -> Mapping[str, Any] | None:
    if not isinstance(entries, list):
        return None
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get("userId") == user_id), None)
