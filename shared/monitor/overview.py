"""Watching a run: what an operator sees of it, and whether all is well.

A view takes 40 reads at most, however many users there are: the run, 3 control documents, 8 shards of the roll-up,
20 recent jobs, 4 dead letters, and 4 queries that count or find one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from shared.core.figures import Rollup
from shared.core.jobs import JobStatus
from shared.core.runs import Run
from shared.monitor.health import Reason, Vitals, diagnose
from shared.monitor.statistics import pending_jobs
from shared.monitor.timetable import ScheduledJob, read_timetable
from shared.services.context import Context
from shared.store.control import Control
from shared.store.job_views import JobDocument

RECENT_JOBS = 20
DEAD_LETTERS_SHOWN = 4
COUNTED_MAX = 1000  # jobs of one kind; as many as one billed read counts
BUILDER, WORKER = "credit_refresh_queue", "credit_refresh_worker"
DAY = timedelta(days=1)
WORKER_INTERVAL_DEFAULT = timedelta(minutes=5)  # where the table has no worker


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was read of one run, and when. `reasons`: why not all is well; None for a run of another day."""

    day: date
    now: datetime
    run: Run | None
    rollup: Rollup
    control: Control
    pending: int
    processing: int
    lag_seconds: int
    dead_letters: Sequence[JobDocument]
    recent: Sequence[JobDocument]
    reasons: Sequence[Reason] | None


def watch(context: Context, day: date | None = None) -> View:
    """Look at today's run, or another day's. Raises SystemFailureError."""
    now = context.clock()
    today = context.schedule.day_of(now)
    day = day or today
    run_id, views = day.isoformat(), context.job_views()
    run, rollup, control = _run(context, day), context.rollups().total(run_id), context.control().read()
    processing = views.count(run_id, JobStatus.PROCESSING, COUNTED_MAX)
    pending = views.count(run_id, JobStatus.PENDING, COUNTED_MAX)
    lag_seconds, dead_letters = _lag_seconds(context, now), views.failed(run_id, DEAD_LETTERS_SHOWN)
    vitals = None
    if day == today:
        dead = len(dead_letters) or _dead_letters(context, day - DAY)
        vitals = _vitals(context, run, control.worker_seen_at, lag_seconds, dead)
    return View(
        day=day,
        now=now,
        run=run,
        rollup=rollup,
        control=control,
        pending=pending_jobs(pending, COUNTED_MAX, run, rollup, processing),
        processing=processing,
        lag_seconds=lag_seconds,
        dead_letters=dead_letters,
        recent=views.recent(RECENT_JOBS),
        reasons=None if vitals is None else diagnose(vitals),
    )


def check_health(context: Context) -> Sequence[Reason]:
    """Why not all is well; nothing if it is. Takes 5 reads. Raises SystemFailureError."""
    now = context.clock()
    day = context.schedule.day_of(now)
    dead_letters = _dead_letters(context, day) + _dead_letters(context, day - DAY)
    seen_at = context.control().worker_seen_at()
    return diagnose(_vitals(context, _run(context, day), seen_at, _lag_seconds(context, now), dead_letters))


def next_run(context: Context, function: str) -> datetime | None:
    """When the schedule table next calls that function; None if it never does."""
    now, zone = context.clock(), context.settings.timezone
    return min((row.next_run(now, zone) for row in _rows(function)), default=None)


def _vitals(
    context: Context, run: Run | None, worker_seen_at: datetime | None, lag_seconds: int, dead_letters: int
) -> Vitals:
    now, zone = context.clock(), context.settings.timezone
    return Vitals(
        now=now,
        day_start=context.schedule.day_start(context.schedule.day_of(now)),
        run=run,
        worker_seen_at=worker_seen_at,
        worker_interval=min((row.interval(now, zone) for row in _rows(WORKER)), default=WORKER_INTERVAL_DEFAULT),
        lag_seconds=lag_seconds,
        dead_letters=dead_letters,
        breaker_is_open=context.wire.connection.breaker.is_open,
    )


def _rows(function: str) -> list[ScheduledJob]:
    return [row for row in read_timetable() if row.function == function]


def _run(context: Context, day: date) -> Run | None:
    stored = context.runs().get(day.isoformat())
    return None if stored is None else stored.run


def _dead_letters(context: Context, day: date) -> int:
    """1 if the day's run has any."""
    return context.job_views().count(day.isoformat(), JobStatus.FAILED, 1)


def _lag_seconds(context: Context, now: datetime) -> int:
    since = context.job_views().waiting_since(now)
    return 0 if since is None else int((now - since).total_seconds())
