"""The overview as JSON: what a GET of the monitor answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from shared.core.figures import Rollup
from shared.core.pauses import Pause
from shared.core.runs import Run
from shared.core.service_level import DAYS, OBJECTIVE, ON_TIME_WITHIN
from shared.monitor.health import Reason, ReasonCode
from shared.monitor.json_values import iso
from shared.monitor.overview import BUILDER, WORKER, Overview, next_run
from shared.monitor.prices import PRICED_OPERATIONS, cost_answer
from shared.monitor.remedies import remedy_for
from shared.monitor.statistics import (
    billed_of,
    causes_of,
    errors_by_code,
    hours_of,
    plans_of,
    served_lately,
    users_late,
    users_of,
)
from shared.services.context import Context
from shared.services.reports import ERRORS_SHOWN_MAX
from shared.store.stored_jobs import StoredJob, UserFailure, failures_of

ACTIVITY_SHOWN_MAX = 20


def overview_answer(context: Context, overview: Overview) -> dict[str, Any]:
    """The contract's fields, and what stands beside them. What is of this moment is null for a day that is past."""
    users = users_of(overview.run, overview.rollup)
    return {
        "runId": overview.day.isoformat(),
        "today": overview.today.isoformat(),
        "runStatus": "not_started" if overview.run is None else overview.run.status.value,
        "scan": None if overview.run is None else overview.run.scan.value,
        "scanReason": None if overview.run is None else overview.run.scan_reason or None,
        "generation": 0 if overview.run is None else overview.run.generation,
        "leftAloneUsers": None if overview.run is None else overview.run.left_alone,
        "adoptedUsers": 0 if overview.run is None else overview.run.counts.adopted,
        **_jobs(overview),
        "successRate": users.success_rate,
        "averageProcessingTime": overview.rollup.average_ms,
        "p95ProcessingTime": overview.rollup.percentile_ms(0.95),
        **_moment(context, overview),
        "users": {
            "refreshed": users.refreshed,
            "skipped": users.skipped,
            "failed": users.failed,
            "pending": users.pending,
        },
        "hours": _hours(context, overview),
        "plans": [{"plan": each.plan, "users": each.users, "share": each.share} for each in plans_of(overview.run)],
        "usersOfUncountedPlans": 0 if overview.run is None else overview.run.users_of_uncounted_plans,
        "failures": _causes(overview),
        "standingFailures": 0 if overview.run is None else overview.run.errors_total,
        **_errors(overview),
        "deadLetters": [_dead_letter(job) for job in overview.dead_letters],
        "recentJobs": [job_summary(job) for job in overview.recent],
        "recentActivity": _activity(context, overview),
        "slo": _slo(overview.run, overview.rollup),
        "cost": _cost(context, overview),
        **_identity(context),
        "generatedAt": iso(overview.now),
    }


def health_answer(reasons: Sequence[Reason]) -> dict[str, Any]:
    """`status`: `unhealthy` if something is wrong, else `paused` or `ok`."""
    fails = any(reason.is_failure for reason in reasons)
    is_paused = any(reason.code is ReasonCode.PAUSED for reason in reasons)
    return {
        "status": "unhealthy" if fails else "paused" if is_paused else "ok",
        "reasons": [
            {"code": reason.code.value, "message": reason.message}
            | ({"runIds": [day.isoformat() for day in reason.days]} if reason.days else {})
            for reason in reasons
        ],
    }


def _identity(context: Context) -> dict[str, Any]:
    """Which of several monitors this is."""
    settings = context.settings
    return {
        "project": context.wire.connection.database.split("/")[1],
        "environment": settings.environment,
        "usersCollection": settings.users_collection,
        "balanceField": settings.balance_field,
        "timezone": settings.timezone,
        "retentionDays": settings.retention_days,
        "prices": {"read": settings.price_read, "write": settings.price_write, "operations": PRICED_OPERATIONS},
    }


def _moment(context: Context, overview: Overview) -> dict[str, Any]:
    """What is true of this moment: nothing of it belongs to a day that is past."""
    present, run, control = overview.present, overview.run, overview.control
    if present is None:
        return {
            "paused": control.paused,
            "pause": None,
            "health": None,
            "rescanning": False,
            "setup": None,
            "queueLagSeconds": None,
            "lastRunTime": None if run is None else iso(run.built_at),
            "nextScheduledRun": None,
            "builder": _builder(run, None),
            "worker": None,
        }
    next_runs = {name: next_run(context, name) for name in (BUILDER, WORKER)}
    return {
        "paused": control.paused,
        "pause": None if control.pause is None else _pause(context, overview, control.pause),
        "health": health_answer(present.reasons),
        "rescanning": present.is_rescanning,
        "setup": None if present.is_set_up else _setup(overview),
        "queueLagSeconds": present.vitals.lag_seconds,
        "lastRunTime": iso(_latest(control.worker_seen_at, None if run is None else run.built_at)),
        "nextScheduledRun": iso(min(filter(None, next_runs.values()), default=None)),
        "builder": _builder(run, next_runs[BUILDER]),
        "worker": {"lastRun": iso(control.worker_seen_at), "nextRun": iso(next_runs[WORKER])},
    }


def _pause(context: Context, overview: Overview, pause: Pause) -> dict[str, Any]:
    day_start = context.schedule.day_start(overview.day)
    return {
        "by": pause.by,
        "since": iso(pause.since),
        "reason": pause.reason,
        "until": iso(pause.until),
        "usersLate": users_late(overview.run, overview.rollup, day_start, overview.now),
    }


def _setup(overview: Overview) -> dict[str, bool]:
    """The steps of a first run, and which of them have been seen."""
    worker_ran, builder_ran = overview.control.worker_seen_at is not None, overview.run is not None
    return {
        "scheduleSeen": worker_ran or builder_ran,
        "builderRan": builder_ran,
        "workerRan": worker_ran,
        "usersFound": overview.run is not None and overview.run.counts.scanned > 0,
    }


def _jobs(overview: Overview) -> dict[str, int]:
    completed, failed = overview.rollup["completedJobs"], overview.rollup["failedJobs"]
    return {
        "totalJobs": overview.pending + overview.processing + completed + failed,
        "pendingJobs": overview.pending,
        "processingJobs": overview.processing,
        "completedJobs": completed,
        "failedJobs": failed,
    }


def _builder(run: Run | None, next_builder_run: datetime | None) -> dict[str, Any]:
    counts = None if run is None else run.counts
    return {
        "lastRun": None if run is None else iso(run.built_at),
        "nextRun": iso(next_builder_run),
        "completedAt": None if run is None else iso(run.completed_at),
        "scannedUsers": 0 if counts is None else counts.scanned,
        "queuedUsers": 0 if counts is None else counts.queued,
        "skippedUsers": 0 if counts is None else counts.skipped,
        "failedUsers": 0 if counts is None else counts.failed,
    }


def _hours(context: Context, overview: Overview) -> list[dict[str, Any]]:
    begins = context.schedule.day_start(overview.day)
    ends = context.schedule.day_start(overview.day + timedelta(days=1))
    return [
        {"hour": hour.number, "start": iso(hour.start), "planned": hour.planned, "done": hour.done}
        for hour in hours_of(overview.run, overview.rollup, begins, ends)
    ]


def _causes(overview: Overview) -> list[dict[str, Any]]:
    """Failures by cause, with one message as an example where one of its users was read."""
    examples = {failure.code: failure.error for _, failure, _ in reversed(list(_failures(overview)))}
    return [
        {
            "code": cause.code,
            "users": cause.users,
            "jobs": cause.jobs,
            "foundByBuilder": cause.found_by_builder,
            "remedy": remedy_for(cause.code, is_in_jobs=cause.jobs > 0, found_by_builder=cause.found_by_builder),
            "example": examples.get(cause.code),
        }
        for cause in causes_of(overview.run, overview.rollup)
    ]


def _errors(overview: Overview) -> dict[str, Any]:
    """The newest errors, at most 100. All of them are in the view `failures`."""
    by_code = errors_by_code(overview.run, overview.rollup)
    errors = [failure_answer(failure, job_id, at) for job_id, failure, at in _failures(overview)]
    newest = sorted(errors, key=lambda error: error["timestamp"] or "", reverse=True)
    return {
        "errorsByCode": by_code,
        "errors": newest[:ERRORS_SHOWN_MAX],
        "errorsTotal": sum(by_code.values()),
    }


def _failures(overview: Overview) -> Iterable[tuple[str | None, UserFailure, datetime | None]]:
    """Those of the dead letters shown and the builder's: job, failure, time."""
    for job in overview.dead_letters:
        for failure in job.failed_for_good:
            yield job.job_id, failure, job.completed_at
    if overview.run is not None:
        for failure in failures_of(overview.run.errors):
            yield None, failure, overview.run.built_at


def failure_answer(failure: UserFailure, job_id: str | None, at: datetime | None) -> dict[str, Any]:
    """One failed user. `jobId` is null for one that the builder found."""
    return {
        "jobId": job_id,
        "userId": failure.user_id or None,
        "code": failure.code,
        "error": failure.error,
        "timestamp": iso(at),
    }


def _dead_letter(job: StoredJob) -> dict[str, Any]:
    first = next(iter(job.failed_for_good), UserFailure("", None, None))
    return {
        "jobId": job.job_id,
        "runId": job.run_id,
        "users": len(job.user_ids),
        "failedUsers": job.failed,
        "code": first.code,
        "codes": sorted({str(failure.code) for failure in job.failed_for_good}),
        "error": first.error,
        "attempts": job.attempts,
        "completedAt": iso(job.completed_at),
    }


def job_summary(job: StoredJob) -> dict[str, Any]:
    """A settled job by its figures."""
    return {
        "jobId": job.job_id,
        "runId": job.run_id,
        "status": job.status,
        "users": job.settled_users,
        "refreshedUsers": job.refreshed,
        "skippedUsers": job.skipped,
        "failedUsers": job.failed,
        "retriedUsers": job.retried,
        "attempts": job.attempts,
        "processingMs": job.processing_ms,
        "scheduledFor": iso(job.scheduled_for),
        "completedAt": iso(job.completed_at),
    }


def _activity(context: Context, overview: Overview) -> list[dict[str, Any]]:
    """What jobs and operators did on the day, newest first."""
    jobs = [
        {
            "kind": "job",
            "time": iso(job.completed_at),
            "jobId": job.job_id,
            "status": job.status,
            "users": job.settled_users,
            "failedUsers": job.failed,
        }
        for job in overview.recent
    ]
    entries = overview.control.activity
    if overview.present is None:
        entries = [entry for entry in entries if _is_of_day(context, overview, entry.get("time"))]
    newest = sorted([*map(action_answer, entries), *jobs], key=lambda entry: entry["time"] or "", reverse=True)
    return newest[:ACTIVITY_SHOWN_MAX]


def _is_of_day(context: Context, overview: Overview, time: object) -> bool:
    return isinstance(time, datetime) and context.schedule.day_of(time) == overview.day


def action_answer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One action of an operator. `failed`: it did not do what it was to do."""
    names = ("action", "actor", "actorUid", "reason", "detail", "result")
    return {
        "kind": "action",
        "time": iso(entry.get("time")),
        **dict(zip(names, itemgetter(*names)({**dict.fromkeys(names), **entry}), strict=True)),
        "failed": entry.get("failed") is True,
    }


def _slo(run: Run | None, rollup: Rollup) -> dict[str, Any]:
    served = served_lately(run, rollup)
    return {
        "objective": OBJECTIVE,
        "days": DAYS,
        "withinMinutes": ON_TIME_WITHIN // timedelta(minutes=1),
        "users": served.users,
        "onTimeUsers": served.on_time,
        "share": served.share,
        "errorBudgetLeft": served.error_budget_left,
    }


def _cost(context: Context, overview: Overview) -> dict[str, Any]:
    cost = cost_answer(billed_of(overview.run, overview.rollup), context.settings)
    refreshed = overview.rollup["refreshedUsers"]
    return {**cost, "usdPer100kUsers": cost["usd"] / refreshed * 100_000 if refreshed else None}


def _latest(*times: datetime | None) -> datetime | None:
    return max(filter(None, times), default=None)
