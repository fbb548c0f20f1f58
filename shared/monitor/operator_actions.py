"""What an operator can do. Each action may be repeated: the second time it changes nothing. Who did what, why and with
what result is noted."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from shared import logs
from shared.core.errors import ConflictError, NotFoundError, NotPossibleError, StoreError, UserErrorCode
from shared.core.figures import plan_requeue
from shared.core.pauses import Pause
from shared.core.runs import Run, RunStatus
from shared.core.users import ABSENT, RawUser, parse_date
from shared.monitor.job_details import read_job
from shared.services.context import Context
from shared.services.refresh import refresh_named
from shared.services.reports import PageReport
from shared.store.stored_jobs import StoredJob

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
class RequeueResult:
    """Dead letters sent back. `has_more`: the time was up before the last one."""

    jobs: int = 0
    users: int = 0
    has_more: bool = False


def pause(context: Context, operator: Operator, until: datetime | None = None) -> bool:
    """Hold builder and worker, until a moment or until somebody resumes. True if that changed anything."""
    now = context.clock()
    if until is not None and until <= now:
        raise NotPossibleError("until_is_past", "the pause would end before it begins; choose a later moment", "until")
    held = Pause(by=operator.name, since=now, reason=operator.reason, until=until)
    result = "" if until is None else f"until {until.isoformat(timespec='minutes')}"
    return context.control().pause(held, _entry(context, operator, "pause", "", result), now)


def resume(context: Context, operator: Operator) -> bool:
    """Let builder and worker go on. True if that changed anything."""
    return context.control().resume(_entry(context, operator, "resume", ""), context.clock())


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


def requeue_job(context: Context, operator: Operator, job_id: str) -> RequeueResult:
    """Send a dead letter back. A job that is no dead letter is left as it is. Raises NotFoundError."""
    users = _requeue(context, read_job(context, job_id))
    if users is None:
        return RequeueResult()
    _note(context, operator, "requeue", f"job {job_id}", _requeued(1, users))
    return RequeueResult(1, users)


def requeue_run(context: Context, operator: Operator, run_id: str, code: str | None = None) -> RequeueResult:
    """Send the dead letters of a run back, as far as the time goes. `code`: only jobs with failures of that code."""
    done, after = RequeueResult(), None
    while page := context.job_views().failed(run_id, PAGE_SIZE, after):
        wanted = [job for job in page if code is None or _has_failures_of(job, code)]
        tried_again = [users for job in wanted if (users := _requeue(context, job)) is not None]
        is_late = context.wire.budget.remaining_seconds < LAST_SECONDS
        more = len(page) == PAGE_SIZE
        done = RequeueResult(done.jobs + len(tried_again), done.users + sum(tried_again), has_more=more and is_late)
        after = page[-1].job_id
        if is_late or not more:
            break
    if done.jobs:
        what = f"run {run_id}" if code is None else f"run {run_id}, {code}"
        _note(context, operator, "requeue", what, _requeued(done.jobs, done.users))
    return done


def _has_failures_of(job: StoredJob, code: str) -> bool:
    return any(failure.code == code for failure in job.failed_for_good)


def _requeued(jobs: int, users: int) -> str:
    return f"{jobs} jobs, {users} users"


def _requeue(context: Context, job: StoredJob) -> int | None:
    """How many users are tried again; None if the job is no dead letter, or somebody else was first."""
    if not job.is_dead_letter:
        return None
    now = context.clock()
    day = parse_date(str(job.run_id)) or context.schedule.day_of(now)
    codes = {failure.user_id: failure.code for failure in job.failures}
    plan = plan_requeue(job.receipts, codes, job.completed_at or now, context.schedule.day_start(day))
    try:
        context.jobs().requeue(job, plan, day.isoformat(), now)
    except ConflictError as exc:
        if not exc.may_be_our_own:
            return None
    return len(plan.user_ids or job.user_ids)


def rescan(context: Context, operator: Operator, day: date) -> tuple[bool, Run]:
    """Ask the builder to scan everybody again. A run that is being scanned is left as it is. Raises OperatorError."""
    now = context.clock()
    stored = context.runs().get(day.isoformat())
    if stored is None:
        raise NotFoundError("run_not_found", "there is no run of that day", "runId")
    if day != context.schedule.day_of(now):
        raise NotPossibleError(
            "run_is_over", "only today's run can be scanned again; its users are in later runs", "runId"
        )
    if stored.run.status is not RunStatus.COMPLETED or stored.run.rescan_requested:
        return False, stored.run
    asked = replace(stored.run, rescan_requested=True, flushes=stored.run.flushes + 1)
    try:
        context.runs().save(stored, asked, [context.control().rescan_write(day.isoformat(), now)])
    except ConflictError:
        return False, asked  # a builder has begun it meanwhile
    _note(context, operator, "rescan", f"run {day.isoformat()}")
    return True, asked


def refresh(context: Context, operator: Operator, user_ids: Sequence[str]) -> PageReport:
    """Refresh those users now."""
    report = refresh_named(context, user_ids)
    what = f"{len(user_ids)} users" if len(user_ids) > 1 else f"user {user_ids[0]}"
    tally = report.tally
    result = f"{tally.refreshed} refreshed, {tally.skipped} with nothing due, {tally.failed} failed"
    _note(context, operator, "refresh", what, result, failed=tally.failed > 0)
    return report


def _note(  # noqa: PLR0913 (an entry has so many parts)
    context: Context, operator: Operator, action: str, detail: str, result: str = "", *, failed: bool = False
) -> None:
    """Note what is done already. A failure to note it must not make the action look undone."""
    try:
        context.control().note(_entry(context, operator, action, detail, result, failed=failed))
    except StoreError as exc:
        logs.warning("activity_not_noted", f"{action} is done, and not in the recent activity: {exc}")


def _entry(  # noqa: PLR0913 (as above)
    context: Context, operator: Operator, action: str, detail: str, result: str = "", *, failed: bool = False
) -> Mapping[str, Any]:
    said = " ".join(filter(None, (action, detail, result and f"({result})")))
    log = logs.warning if failed else logs.info
    log(
        "operator_action",
        said,
        what=action,
        actor=operator.uid,
        reason=operator.reason,
        result=result or None,
    )
    return {
        "id": uuid.uuid4().hex,
        "time": context.clock(),
        "action": action,
        "actor": operator.name,
        "actorUid": operator.uid,
        "reason": operator.reason,
        "detail": detail,
        "result": result or None,
        "failed": failed,
    }
