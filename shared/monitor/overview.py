"""The overview of a run: what is read of one day so that an operator can tell whether all is well.

An overview takes 40 reads at most, however many users there are: the run, 3 control documents, 8 shards of the roll-up,
16 settled jobs, 4 dead letters, and up to 6 queries that count or find one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from shared.core.figures import Rollup
from shared.core.jobs import JobStatus
from shared.core.runs import Run
from shared.monitor.health import Reason, Vitals, diagnose, is_rescanning
from shared.monitor.statistics import pending_jobs
from shared.monitor.timetable import ScheduledJob, read_timetable
from shared.services.context import Context
from shared.store.control import Control
from shared.store.stored_jobs import StoredJob

RECENT_JOBS = 16
DEAD_LETTERS_SHOWN = 4
COUNTED_MAX = 1000  # jobs of one kind; as many as one billed read counts
BUILDER, WORKER = "credit_refresh_queue", "credit_refresh_worker"
DAY = timedelta(days=1)
WORKER_INTERVAL_DEFAULT = timedelta(minutes=5)  # where the table has no worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is true of this moment, and so is shown beside today's run alone."""

    vitals: Vitals
    reasons: Sequence[Reason]
    is_set_up: bool

    @property
    def is_rescanning(self) -> bool:
        return is_rescanning(self.vitals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What was read of one run, and when. `present` is None for the run of another day."""

    day: date
    today: date
    now: datetime
    run: Run | None
    rollup: Rollup
    control: Control
    pending: int
    processing: int
    dead_letters: Sequence[StoredJob]
    recent: Sequence[StoredJob]
    present: Present | None


def read_overview(context: Context, day: date | None = None) -> Overview:
    """Read today's run, or another day's. Raises SystemFailureError."""
    now = context.clock()
    today = context.schedule.day_of(now)
    day = day or today
    run_id, views = day.isoformat(), context.job_views()
    run, rollup, control = _run(context, day), context.rollups().total(run_id), context.control().read(now)
    processing = views.count(run_id, JobStatus.PROCESSING, COUNTED_MAX)
    pending = views.count(run_id, JobStatus.PENDING, COUNTED_MAX)
    dead_letters = views.failed(run_id, DEAD_LETTERS_SHOWN)
    return Overview(
        day=day,
        today=today,
        now=now,
        run=run,
        rollup=rollup,
        control=control,
        pending=pending_jobs(pending, COUNTED_MAX, run, rollup, processing),
        processing=processing,
        dead_letters=dead_letters,
        recent=_recent(context, day, today),
        present=_read_present(context, run, control, bool(dead_letters)) if day == today else None,
    )


def check_health(context: Context) -> Sequence[Reason]:
    """Why not all is well; nothing if it is. Takes 6 reads. Raises SystemFailureError."""
    now = context.clock()
    day = context.schedule.day_of(now)
    control = context.control().read_vitals(now)
    return diagnose(_read_vitals(context, _run(context, day), control, _has_dead_letters(context, day)))


def next_run(context: Context, function: str) -> datetime | None:
    """When the schedule table next calls that function; None if it never does."""
    now, zone = context.clock(), context.settings.timezone
    return min((row.next_run(now, zone) for row in _rows(function)), default=None)


def _recent(context: Context, day: date, today: date) -> Sequence[StoredJob]:
    """Today the jobs settled last; of another day only its own jobs, as far as they were settled on that day."""
    views = context.job_views()
    if day == today:
        return views.recent(RECENT_JOBS)
    since, before = context.schedule.day_start(day), context.schedule.day_start(day + DAY)
    return [job for job in views.settled_between(since, before, RECENT_JOBS) if job.run_id == day.isoformat()]


def _read_present(context: Context, run: Run | None, control: Control, has_dead_letters: bool) -> Present:  # noqa: FBT001
    vitals = _read_vitals(context, run, control, has_dead_letters)
    return Present(vitals=vitals, reasons=diagnose(vitals), is_set_up=_is_set_up(context, run, control))


def _is_set_up(context: Context, run: Run | None, control: Control) -> bool:
    """True once a worker and a builder have run and some scan has found users."""
    if control.worker_seen_at is None:
        return False
    if run is not None:
        return run.counts.scanned > 0 or not run.reads_everybody or bool(run.history)
    return context.runs().latest_before(context.schedule.day_of(context.clock()).isoformat()) is not None


def _read_vitals(context: Context, run: Run | None, control: Control, has_dead_letters: bool) -> Vitals:  # noqa: FBT001
    now, zone = context.clock(), context.settings.timezone
    today = context.schedule.day_of(now)
    days = ((today, has_dead_letters), (today - DAY, _has_dead_letters(context, today - DAY)))
    rescan = control.rescan
    return Vitals(
        now=now,
        day_start=context.schedule.day_start(today),
        run=run,
        worker_seen_at=control.worker_seen_at,
        worker_interval=min((row.interval(now, zone) for row in _rows(WORKER)), default=WORKER_INTERVAL_DEFAULT),
        lag_seconds=_lag_seconds(context, now),
        dead_letter_days=tuple(day for day, has_some in days if has_some),
        pause=control.pause,
        pause_ended_at=control.pause_ended_at,
        rescan_asked_at=rescan.asked_at if rescan is not None and rescan.run_id == today.isoformat() else None,
        standing_failures=0 if run is None else run.errors_total,
        standing_failures_max=context.settings.standing_failures_max,
        proof_tolerance=context.settings.proof_tolerance,
        full_scan_days=context.settings.full_scan_days,
        breaker_is_open=context.wire.connection.breaker.is_open,
    )


def _rows(function: str) -> list[ScheduledJob]:
    return [row for row in read_timetable() if row.function == function]


def _run(context: Context, day: date) -> Run | None:
    stored = context.runs().get(day.isoformat())
    return None if stored is None else stored.run


def _has_dead_letters(context: Context, day: date) -> bool:
    return context.job_views().count(day.isoformat(), JobStatus.FAILED, 1) > 0


def _lag_seconds(context: Context, now: datetime) -> int:
    since = context.job_views().waiting_since(now)
    return 0 if since is None else int((now - since).total_seconds())
