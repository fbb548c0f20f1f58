"""The monitor's answers: a view of a run, one user's story, what a lever did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from shared.core.decision import Decision, Grant, Skip
from shared.core.figures import Rollup
from shared.core.runs import Run
from shared.core.service_level import DAYS, OBJECTIVE, ON_TIME_WITHIN
from shared.core.users import ABSENT, RawUser
from shared.monitor.explanation import Past, explain, foretell
from shared.monitor.health import Reason
from shared.monitor.overview import BUILDER, WORKER, View, next_run
from shared.monitor.statistics import billed_of, dollars, errors_by_code, hours_of, served_lately, users_of
from shared.monitor.user_history import Story
from shared.services.context import Context
from shared.services.reports import ERRORS_SHOWN_MAX
from shared.store.job_views import JobDocument

ACTIVITY_SHOWN_MAX = 20


def view_answer(context: Context, view: View) -> dict[str, Any]:
    users = users_of(view.run, view.rollup)
    next_runs = {name: next_run(context, name) for name in (BUILDER, WORKER)}
    return {
        "runId": view.day.isoformat(),
        "runStatus": "not_started" if view.run is None else view.run.status.value,
        "scan": None if view.run is None else view.run.scan.value,
        "paused": view.control.paused,
        **_jobs(view),
        "successRate": users.success_rate,
        "averageProcessingTime": view.rollup.average_ms,
        "p95ProcessingTime": view.rollup.percentile_ms(0.95),
        "lastRunTime": _iso(_latest(view.control.worker_seen_at, None if view.run is None else view.run.built_at)),
        "nextScheduledRun": _iso(min(filter(None, next_runs.values()), default=None)),
        "builder": _builder(view.run, next_runs[BUILDER]),
        "worker": {"lastRun": _iso(view.control.worker_seen_at), "nextRun": _iso(next_runs[WORKER])},
        "users": {
            "refreshed": users.refreshed,
            "skipped": users.skipped,
            "failed": users.failed,
            "pending": users.pending,
        },
        "hours": _hours(context, view),
        **_errors(view),
        "deadLetters": [_dead_letter(job) for job in view.dead_letters],
        "recentJobs": [_job(job) for job in view.recent],
        "recentActivity": _activity(view),
        "queueLagSeconds": view.lag_seconds,
        "slo": _slo(view.run, view.rollup),
        "health": None if view.reasons is None else health_answer(view.reasons),
        "cost": _cost(context, view),
        "timezone": context.settings.timezone,
        "generatedAt": _iso(view.now),
    }


def health_answer(reasons: Sequence[Reason]) -> dict[str, Any]:
    return {
        "status": "unhealthy" if reasons else "ok",
        "reasons": [{"code": reason.code.value, "message": reason.message} for reason in reasons],
    }


def _jobs(view: View) -> dict[str, int]:
    completed, failed = view.rollup["completedJobs"], view.rollup["failedJobs"]
    return {
        "totalJobs": view.pending + view.processing + completed + failed,
        "pendingJobs": view.pending,
        "processingJobs": view.processing,
        "completedJobs": completed,
        "failedJobs": failed,
    }


def _builder(run: Run | None, next_builder_run: datetime | None) -> dict[str, Any]:
    counts = None if run is None else run.counts
    return {
        "lastRun": None if run is None else _iso(run.built_at),
        "nextRun": _iso(next_builder_run),
        "completedAt": None if run is None else _iso(run.completed_at),
        "scannedUsers": 0 if counts is None else counts.scanned,
        "queuedUsers": 0 if counts is None else counts.queued,
        "skippedUsers": 0 if counts is None else counts.skipped,
        "failedUsers": 0 if counts is None else counts.failed,
    }


def _hours(context: Context, view: View) -> list[dict[str, Any]]:
    begins = context.schedule.day_start(view.day)
    ends = context.schedule.day_start(view.day + timedelta(days=1))
    return [
        {"hour": hour.number, "start": _iso(hour.start), "planned": hour.planned, "done": hour.done}
        for hour in hours_of(view.run, view.rollup, begins, ends)
    ]


def _errors(view: View) -> dict[str, Any]:
    by_code = errors_by_code(view.run, view.rollup)
    return {
        "errorsByCode": by_code,
        "errors": list(islice(_all_errors(view), ERRORS_SHOWN_MAX)),
        "errorsTotal": sum(by_code.values()),
    }


def _all_errors(view: View) -> Iterable[dict[str, Any]]:
    """Those of the dead letters shown, then the builder's."""
    for job in view.dead_letters:
        for error in _maps(job.fields.get("errors")):
            yield _error(error, job.job_id, job.fields.get("completedAt"))
    if view.run is not None:
        for error in view.run.errors:
            yield _error(error, None, view.run.built_at)


def _error(error: Mapping[str, Any], job_id: str | None, at: Any) -> dict[str, Any]:
    return {
        "jobId": job_id,
        "userId": error.get("userId"),
        "code": error.get("code"),
        "error": error.get("error"),
        "timestamp": _iso(at),
    }


def _dead_letter(job: JobDocument) -> dict[str, Any]:
    first = next(iter(_maps(job.fields.get("errors"))), {})
    return {
        "jobId": job.job_id,
        "runId": job.fields.get("runId"),
        "users": len(job.fields.get("userIds") or ()),
        "failedUsers": job.fields.get("failedUsers", 0),
        "code": first.get("code"),
        "error": first.get("error"),
        "attempts": job.fields.get("attempts"),
        "completedAt": _iso(job.fields.get("completedAt")),
    }


def _job(job: JobDocument) -> dict[str, Any]:
    names = ("refreshedUsers", "skippedUsers", "failedUsers", "retriedUsers")
    counts = {name: job.fields.get(name, 0) for name in names}
    return {
        "jobId": job.job_id,
        "runId": job.fields.get("runId"),
        "status": job.fields.get("status"),
        "users": sum(counts.values()),
        **counts,
        "attempts": job.fields.get("attempts"),
        "processingMs": job.fields.get("processingMs", 0),
        "scheduledFor": _iso(job.fields.get("scheduledFor")),
        "completedAt": _iso(job.fields.get("completedAt")),
    }


def _activity(view: View) -> list[dict[str, Any]]:
    """What jobs and operators did, newest first."""
    jobs = [
        {
            "kind": "job",
            "time": _iso(job.fields.get("completedAt")),
            "jobId": job.job_id,
            "status": job.fields.get("status"),
            "users": _job(job)["users"],
            "failedUsers": job.fields.get("failedUsers", 0),
        }
        for job in view.recent
    ]
    actions = [
        {"kind": "action", "time": _iso(entry.get("time"))}
        | {name: entry.get(name) for name in ("action", "actor", "reason", "detail")}
        for entry in view.control.activity
    ]
    newest = sorted([*actions, *jobs], key=lambda entry: entry["time"] or "", reverse=True)
    return newest[:ACTIVITY_SHOWN_MAX]


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


def _cost(context: Context, view: View) -> dict[str, Any]:
    billed, settings = billed_of(view.run, view.rollup), context.settings
    usd = dollars(billed, settings.price_read, settings.price_write)
    refreshed = view.rollup["refreshedUsers"]
    return {
        "reads": billed.reads,
        "writes": billed.writes,
        "usd": usd,
        "usdPer100kUsers": usd / refreshed * 100_000 if refreshed else None,
    }


def story_answer(story: Story) -> dict[str, Any]:
    stamp = story.raw.stamp if story.raw is not None and isinstance(story.raw.stamp, dict) else None
    balance = None if story.raw is None else _number(story.raw.balance)
    past = _past(stamp or {})
    said = explain(balance, past) if story.raw is not None else "There is no such user any more."
    return {
        "userId": story.user_id,
        "found": story.raw is not None,
        "balance": balance,
        "plan": _plan(story.raw),
        "paused": bool(stamp and stamp.get("paused") is True),
        "stamp": None if stamp is None else _plain(stamp),
        "lastRefresh": _iso(past.refreshed_at),
        "nextRefresh": _iso((stamp or {}).get("nextAt")),
        "problem": None if story.problem is None else {"code": story.problem.code, "message": str(story.problem)},
        "decision": _decision(story.decision),
        "explanation": said if story.decision is None else f"{said} {foretell(story.decision)}",
        "receipts": [{**receipt, "time": _iso(receipt["time"])} for receipt in story.receipts],
        "receiptsFrom": story.receipts_from.isoformat(),
        "hasMore": story.has_more,
    }


def _past(stamp: Mapping[str, Any]) -> Past:
    plan, refreshed_at = stamp.get("plan"), stamp.get("refreshedAt")
    return Past(
        plan=plan if isinstance(plan, str) else None,
        before=_number(stamp.get("before")),
        granted=_number(stamp.get("granted")),
        refreshed_at=refreshed_at if isinstance(refreshed_at, datetime) else None,
    )


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    match decision:
        case Grant():
            return {"action": "grant", "reason": None, "granted": decision.granted}
        case Skip(reason):
            return {"action": "skip", "reason": reason.value, "granted": None}
    return None


def _plan(raw: RawUser | None) -> str | None:
    return raw.plan if raw is not None and raw.plan is not ABSENT and isinstance(raw.plan, str) else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list | tuple) else []


def _latest(*times: datetime | None) -> datetime | None:
    return max(filter(None, times), default=None)


def _iso(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else None


def _plain(value: Any) -> Any:
    """A document's value as JSON can hold it."""
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case bool() | int() | str() | None:
            return value
        case float() if math.isfinite(value):
            return value
    return str(value)
