"""One user's history: the document, what a refresh would do now, and what past jobs did to the balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from shared.core.decision import Decision, Grant, Skip, decide
from shared.core.errors import NotFoundError, UserError
from shared.core.jobs import RUN_ID_LENGTH
from shared.core.plans import Balance
from shared.core.users import ABSENT, RawUser, parse_date, stamp_of
from shared.monitor.explanation import OwnTime, Past, explain, foretell, tell_own_time
from shared.monitor.json_values import iso, number, plain
from shared.services.context import Context
from shared.store.job_views import JobViews
from shared.store.stored_jobs import StoredJob, UserFailure
from shared.store.users import UserDocument

WINDOW = timedelta(days=30)
JOBS_MAX = 100  # of one user in one answer: a job a day, its retries, and calls for this user
JOBS_OF_A_DAY_MAX = 500  # that are read to find its newest
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserHistory:
    """What is known of one user. `raw` is None for a deleted user. `problem`: why the document can't be refreshed.
    `receipts` are those of [receipts_from, the end asked for), newest first; `has_more`: there may be older ones.
    `own_time`: of a user with a zone of their own; `zone_problem`: why that zone can't be used."""

    user_id: str
    raw: RawUser | None
    decision: Decision | None
    problem: UserError | None
    receipts: Sequence[Mapping[str, Any]]
    receipts_from: date
    has_more: bool
    own_time: OwnTime | None
    zone_problem: str


def read_user_history(context: Context, user_id: str, before: date | None = None) -> UserHistory:
    """Read the user, and the receipts of thirty days: up to today, or before a given day. Raises NotFoundError."""
    document = context.users().read([user_id]).get(user_id)
    if isinstance(document, Exception):
        raise document
    today = context.schedule.day_of(context.clock())
    until = before or today + DAY
    since, jobs = _newest_jobs(context.job_views(), user_id, until)
    newest_first = sorted(jobs, key=_settled_at, reverse=True)
    if document is None and not jobs and before is None:
        raise NotFoundError("user_not_found", "there is no such user, and no receipt of one; check the id", "userId")
    decision, problem = decide_now(context, document)
    own_time, zone_problem = (None, "") if document is None else _own_time(context, document.raw)
    return UserHistory(
        user_id=user_id,
        raw=None if document is None else document.raw,
        decision=decision,
        problem=problem,
        receipts=[receipt for job in newest_first if (receipt := _receipt(job, user_id)) is not None],
        receipts_from=since,
        has_more=since > today - timedelta(days=context.settings.retention_days),
        own_time=own_time,
        zone_problem=zone_problem,
    )


def _newest_jobs(views: JobViews, user_id: str, until: date) -> tuple[date, list[StoredJob]]:
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


def _jobs_between(views: JobViews, user_id: str, since: date, until: date) -> list[StoredJob]:
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


def _settled_at(job: StoredJob) -> str:
    """For sorting; an open job has no receipts yet."""
    return "" if job.completed_at is None else job.completed_at.isoformat()


def decide_now(context: Context, document: UserDocument | None) -> tuple[Decision | None, UserError | None]:
    """What a refresh at this moment would decide, or why it can't."""
    if document is None or document.raw.balance is ABSENT:
        return None, None
    try:
        user = context.read_user(document.raw)
        return decide(user, context.plans, context.day_of(user), None), None
    except UserError as exc:
        return None, exc


def _own_time(context: Context, raw: RawUser) -> tuple[OwnTime | None, str]:
    """The user's own time, also where other fields of the document are bad; None if it is the deployment's."""
    user = context.read_user(replace(raw, balance=0, plan=None, created_at=None, stamp=None, purchased=None))
    own_days = None if user is None else user.own_days
    problem = "" if user is None else user.zone_problem
    if own_days is None:
        return None, problem
    next_at = (stamp_of(raw) or {}).get("nextAt")
    return OwnTime(
        zone=own_days.zone,
        local_date=own_days.day_of(context.clock()),
        next_at=next_at if isinstance(next_at, datetime) else None,
    ), problem


def _receipt(job: StoredJob, user_id: str) -> Mapping[str, Any] | None:
    """What the job did to the user; None if it has not settled that user."""
    receipt = job.receipt_of(user_id)
    if receipt is None:
        return None
    failure = job.failure_of(user_id) or UserFailure(user_id, None, None)
    return {
        "jobId": job.job_id,
        "kind": job.kind,
        "runId": job.run_id,
        "time": iso(job.completed_at),
        **receipt_answer(receipt),
        "code": failure.code,
        "error": failure.error,
    }


def receipt_answer(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt by its outcome, balances and reason. `granted` is what the balance rose by."""
    before, after = number(receipt.get("before")), number(receipt.get("after"))
    return {
        "outcome": receipt.get("outcome"),
        "before": before,
        "after": after,
        "granted": None if before is None or after is None else after - before,
        "reason": receipt.get("reason"),
    }


def user_answer(history: UserHistory) -> dict[str, Any]:
    """The history as JSON. Only a user with a zone of their own has the fields of `_own_time_answer`."""
    raw = history.raw
    stamp = raw.stamp if raw is not None and isinstance(raw.stamp, dict) else None
    balance = None if raw is None else number(raw.balance)
    past = _past(stamp or {})
    return {
        "userId": history.user_id,
        "found": raw is not None,
        "balance": balance,
        "plan": raw.plan if raw is not None and isinstance(raw.plan, str) else None,
        "paused": bool(stamp and stamp.get("paused") is True),
        **_own_time_answer(history),
        "stamp": None if stamp is None else plain(stamp),
        "lastRefresh": iso(past.refreshed_at),
        "lastGranted": past.granted,
        "nextRefresh": iso((stamp or {}).get("nextAt")),
        "problem": _problem(history.problem),
        "decision": _decision(history.decision),
        "explanation": _explanation(history, balance, past),
        "receipts": list(history.receipts),
        "receiptsFrom": history.receipts_from.isoformat(),
        "hasMore": history.has_more,
    }


def _explanation(history: UserHistory, balance: Balance | None, past: Past) -> str:
    if history.raw is None:
        return "There is no such user any more."
    own = history.own_time
    said = [
        explain(balance, past, None if own is None else own.zone),
        "" if history.decision is None else foretell(history.decision),
        "" if own is None else tell_own_time(own),
    ]
    return " ".join(filter(None, said))


def _own_time_answer(history: UserHistory) -> dict[str, Any]:
    """The zone and what day it is there; or why the user's zone can't be used."""
    own = history.own_time
    if own is not None:
        return {"zone": own.zone.key, "localDate": own.local_date.isoformat()}
    return {"zoneProblem": history.zone_problem} if history.zone_problem else {}


def _problem(problem: UserError | None) -> dict[str, Any] | None:
    return None if problem is None else {"code": problem.code, "message": str(problem)}


def _past(stamp: Mapping[str, Any]) -> Past:
    plan, refreshed_at = stamp.get("plan"), stamp.get("refreshedAt")
    return Past(
        plan=plan if isinstance(plan, str) else None,
        before=number(stamp.get("before")),
        granted=number(stamp.get("granted")),
        refreshed_at=refreshed_at if isinstance(refreshed_at, datetime) else None,
    )


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    match decision:
        case Grant():
            return {"action": "grant", "reason": None, "granted": decision.granted}
        case Skip(reason):
            return {"action": "skip", "reason": reason.value, "granted": None}
    return None
