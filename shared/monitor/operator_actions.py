"""The operator's levers. Each may be pulled twice: the second time it changes nothing. Who pulled, and why, is kept."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from shared import logs
from shared.core.errors import ConflictError, NotFoundError, NotPossibleError, StoreError, UserErrorCode
from shared.core.figures import requeued
from shared.core.jobs import JobStatus
from shared.core.runs import Run, RunStatus
from shared.core.users import ABSENT, RawUser, parse_date
from shared.services.context import Context
from shared.services.refresh import refresh_named
from shared.services.reports import PageReport
from shared.store.job_views import JobDocument

PAGE_SIZE = 20  # dead letters at a time; each holds the receipts of all its users
LAST_SECONDS = 5  # of the time budget, in which no further page is begun
ROUNDS_MAX = 5  # of a document that somebody else keeps writing


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and why. The log names them by `uid`, as no e-mail address gets into it."""

    name: str
    reason: str | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Requeueing:
    """Dead letters sent back; `has_more`: the time was up before the last one."""

    jobs: int = 0
    users: int = 0
    has_more: bool = False


def pause(context: Context, operator: Operator, *, paused: bool) -> bool:
    """Hold builder and worker, or let them go on. True if that changed anything."""
    action = "pause" if paused else "resume"
    return context.control().pause(paused=paused, entry=_entry(context, operator, action, ""))


def pause_user(context: Context, operator: Operator, user_id: str, *, paused: bool) -> bool:
    """Leave one user out of every refresh, or let it in again. True if that changed anything."""
    users = context.users()
    for tries_left in reversed(range(ROUNDS_MAX)):
        document = users.read([user_id]).get(user_id)
        if isinstance(document, Exception):
            raise document
        if document is None:
            raise NotFoundError("user_not_found", "there is no such user; check the id", "userId")
        if _is_paused(document.raw) is paused:
            return False
        try:
            users.pause(document, paused=paused)
        except ConflictError:
            if not tries_left:
                raise
        else:
            break
    _note(context, operator, "pause" if paused else "resume", f"user {user_id}")
    return True


def _is_paused(raw: RawUser) -> bool:
    stamp = {} if raw.stamp in (ABSENT, None) else raw.stamp
    if not isinstance(stamp, dict):
        raise NotPossibleError(UserErrorCode.BAD_STAMP, "the user's stamp is not a map; remove it first", "userId")
    return stamp.get("paused") is True


def requeue_job(context: Context, operator: Operator, job_id: str) -> Requeueing:
    """Send a dead letter back. One that is none any more is left as it is. Raises NotFoundError."""
    job = context.job_views().get(job_id)
    if job is None:
        raise NotFoundError("job_not_found", "there is no such job; it may be past its retention", "jobId")
    users = _requeue(context, job)
    if users is None:
        return Requeueing()
    _note(context, operator, "requeue", f"job {job_id}")
    return Requeueing(1, users)


def requeue_run(context: Context, operator: Operator, run_id: str) -> Requeueing:
    """Send all dead letters of a run back, as far as the time goes."""
    done, after = Requeueing(), None
    while page := context.job_views().failed(run_id, PAGE_SIZE, after):
        tried_again = [users for job in page if (users := _requeue(context, job)) is not None]
        is_late = context.wire.budget.remaining_seconds < LAST_SECONDS
        more = len(page) == PAGE_SIZE
        done = Requeueing(done.jobs + len(tried_again), done.users + sum(tried_again), has_more=more and is_late)
        after = page[-1].job_id
        if is_late or not more:
            break
    if done.jobs:
        _note(context, operator, "requeue", f"{done.jobs} jobs of run {run_id}")
    return done


def _requeue(context: Context, job: JobDocument) -> int | None:
    """How many users are tried again; None if the job is no dead letter, or somebody else was first."""
    if job.fields.get("status") != JobStatus.FAILED:
        return None
    now = context.clock()
    ended_at = job.fields.get("completedAt")
    day = parse_date(str(job.fields.get("runId"))) or context.schedule.day_of(now)
    back = requeued(job.fields, ended_at if isinstance(ended_at, datetime) else now, context.schedule.day_start(day))
    try:
        context.job_views().requeue(job, back, day.isoformat(), now)
    except ConflictError as exc:
        if not exc.may_be_our_own:
            return None
    return len(back.user_ids or job.fields.get("userIds", ()))


def rescan(context: Context, operator: Operator, day: date) -> tuple[bool, Run]:
    """Ask the builder to scan everybody again. A run that is being scanned is left as it is. Raises NotFoundError."""
    stored = context.runs().get(day.isoformat())
    if stored is None:
        raise NotFoundError("run_not_found", "there is no run of that day", "runId")
    if day != context.schedule.day_of(context.clock()):
        raise NotPossibleError(
            "run_is_over", "only today's run can be scanned again; its users are in later runs", "runId"
        )
    if stored.run.status is not RunStatus.COMPLETED or stored.run.rescan_requested:
        return False, stored.run
    asked = replace(stored.run, rescan_requested=True, flushes=stored.run.flushes + 1)
    try:
        context.runs().save(stored, asked)
    except ConflictError:
        return False, asked  # a builder has begun it meanwhile
    _note(context, operator, "rescan", f"run {day.isoformat()}")
    return True, asked


def refresh(context: Context, operator: Operator, user_ids: Sequence[str]) -> PageReport:
    """Refresh those users now."""
    report = refresh_named(context, user_ids)
    _note(context, operator, "refresh", f"{len(user_ids)} users" if len(user_ids) > 1 else f"user {user_ids[0]}")
    return report


def _note(context: Context, operator: Operator, action: str, detail: str) -> None:
    """Of what is done already: that it can't be noted must not make it look undone."""
    try:
        context.control().note(_entry(context, operator, action, detail))
    except StoreError as exc:
        logs.warning("activity_not_noted", f"{action} is done, and not in the recent activity: {exc}")


def _entry(context: Context, operator: Operator, action: str, detail: str) -> dict[str, object]:
    logs.info("operator_action", f"{action} {detail}".strip(), what=action, actor=operator.uid, reason=operator.reason)
    return {
        "id": uuid.uuid4().hex,
        "time": context.clock(),
        "action": action,
        "actor": operator.name,
        "actorUid": operator.uid,
        "reason": operator.reason,
        "detail": detail,
    }
