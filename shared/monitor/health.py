"""Health: from what was observed, the reasons why the refresh is not doing its work. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from shared.core.pauses import Pause
from shared.core.runs import Run, Scan
from shared.core.scan_choice import NO_INDEX
from shared.core.service_level import ON_TIME_WITHIN

HEARTBEATS_MISSED_MAX = 3
BUILD_WITHIN = timedelta(hours=1)  # from the beginning of the day, the request for a rescan, or the end of a pause
PROVED_WITHIN = timedelta(hours=3)  # from the end of the scan: time for all tries, also if the builder comes hourly


class ReasonCode(StrEnum):
    """Stable codes, for alerts."""

    NO_WORKER_HEARTBEAT = "no_worker_heartbeat"
    QUEUE_LAG = "queue_lag"
    BUILDER_UNFINISHED = "builder_unfinished"
    DEAD_LETTERS = "dead_letters"
    STANDING_FAILURES = "standing_failures"
    INDEX_MISSING = "index_missing"
    PROOF_UNAVAILABLE = "proof_unavailable"
    NOT_PROVED = "not_proved"
    PAUSED = "paused"
    BREAKER_OPEN = "breaker_open"
    DATABASE_UNREACHABLE = "database_unreachable"
    DOCUMENT_UNREADABLE = "document_unreadable"


# Health stays 200 for these. Somebody wanted the pause; the others cost money or certainty, and no user a refresh.
NOTICES = frozenset({ReasonCode.PAUSED, ReasonCode.INDEX_MISSING, ReasonCode.PROOF_UNAVAILABLE, ReasonCode.NOT_PROVED})


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing to know, in words that name no user. `days`: the runs it is about, newest first."""

    code: ReasonCode
    message: str
    days: tuple[date, ...] = ()

    @property
    def is_failure(self) -> bool:
        """False for what is only to be known: health stays 200."""
        return self.code not in NOTICES


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is looked at.

    `worker_interval`: the time between two scheduled calls of the worker. `lag_seconds`: for how long the job that was
    due first has been due. `dead_letter_days`: the days, of today and yesterday, with failed jobs. `rescan_asked_at`:
    when an operator asked for the rescan of today's run. `pause_ended_at`: when the last pause ended, if that is known.
    `standing_failures`: users that the day's scan found to fail by their own data. Each day's scan finds them until
    they are corrected.
    """

    now: datetime
    day_start: datetime
    run: Run | None
    worker_seen_at: datetime | None
    worker_interval: timedelta
    lag_seconds: int
    dead_letter_days: Sequence[date] = ()
    pause: Pause | None = None
    pause_ended_at: datetime | None = None
    rescan_asked_at: datetime | None = None
    standing_failures: int = 0
    standing_failures_max: int = 100
    proof_tolerance: int = 0
    full_scan_days: int = 7
    breaker_is_open: bool = False


def diagnose(vitals: Vitals) -> tuple[Reason, ...]:
    """Every reason why not all is well; none if it is.

    A pause excuses what it causes: lag, an unfinished scan and an open proof. So does a pause that has just ended, for
    as long as each of them may take.
    """
    found = (
        _pause(vitals),
        _no_heartbeat(vitals),
        None if vitals.pause else _lag(vitals),
        None if vitals.pause else _unfinished(vitals),
        _dead_letters(vitals),
        _standing_failures(vitals),
        _unproved(vitals.run),
        None if vitals.pause else _not_proved(vitals),
        Reason(ReasonCode.BREAKER_OPEN, "the circuit breaker is open") if vitals.breaker_is_open else None,
    )
    return tuple(reason for reason in found if reason is not None)


def is_rescanning(vitals: Vitals) -> bool:
    """True while the day's scan is made once more, and has not used up its time.

    A rescan that an operator asked for has an hour from then on. One that the builder began by itself, because plans or
    settings changed, has as long as the builder makes progress.
    """
    run = vitals.run
    if run is None or _is_scanned(run):
        return False
    since = vitals.rescan_asked_at or (run.built_at if run.generation else None)
    return since is not None and since <= vitals.now <= since + BUILD_WITHIN


def _is_scanned(run: Run) -> bool:
    return run.is_completed and not run.rescan_requested


def _pause(vitals: Vitals) -> Reason | None:
    pause = vitals.pause
    if pause is None:
        return None
    since = "" if pause.since is None else f" since {_moment(pause.since)}"
    until = "" if pause.until is None else f", until {_moment(pause.until)}"
    return Reason(ReasonCode.PAUSED, f"the refresh is paused{since}{until}")


def _no_heartbeat(vitals: Vitals) -> Reason | None:
    if vitals.worker_seen_at is None:
        return Reason(ReasonCode.NO_WORKER_HEARTBEAT, "no worker has ever run")
    silent = vitals.now - vitals.worker_seen_at
    if silent <= HEARTBEATS_MISSED_MAX * vitals.worker_interval:
        return None
    return Reason(ReasonCode.NO_WORKER_HEARTBEAT, f"no worker has run for {_span(silent)}")


def _lag(vitals: Vitals) -> Reason | None:
    waited = timedelta(seconds=vitals.lag_seconds)
    if waited <= ON_TIME_WITHIN or _has_just_resumed(vitals, ON_TIME_WITHIN):
        return None
    return Reason(ReasonCode.QUEUE_LAG, f"the oldest due job has been waiting for {_span(waited)}")


def _unfinished(vitals: Vitals) -> Reason | None:
    is_done = vitals.run is not None and _is_scanned(vitals.run)
    if is_done or vitals.now <= vitals.day_start + BUILD_WITHIN or is_rescanning(vitals):
        return None
    if _has_just_resumed(vitals, BUILD_WITHIN):
        return None
    state = "has not begun" if vitals.run is None else "is not finished"
    return Reason(ReasonCode.BUILDER_UNFINISHED, f"the day's scan {state}, more than an hour after it was due")


def _dead_letters(vitals: Vitals) -> Reason | None:
    if not vitals.dead_letter_days:
        return None
    days = " and ".join(day.isoformat() for day in vitals.dead_letter_days)
    message = f"jobs of {days} have failed for good and wait to be requeued"
    return Reason(ReasonCode.DEAD_LETTERS, message, tuple(vitals.dead_letter_days))


def _standing_failures(vitals: Vitals) -> Reason | None:
    if vitals.standing_failures <= vitals.standing_failures_max:
        return None
    message = (
        f"{vitals.standing_failures} users fail by their own data, more than {vitals.standing_failures_max}; "
        "each day's scan finds them until they are corrected"
    )
    return Reason(ReasonCode.STANDING_FAILURES, message)


def _unproved(run: Run | None) -> Reason | None:
    """Why users could not be found by date and balance, or why nothing proves that all were found."""
    if run is None:
        return None
    if run.scan_reason == NO_INDEX:
        message = f"{NO_INDEX}, so every user is read each day; deploy firestore.indexes.json"
        return Reason(ReasonCode.INDEX_MISSING, message)
    if run.scan is Scan.DUE and run.proof is not None and run.proof.unavailable is not None:
        message = f"{run.proof.unavailable}, so nothing proves that today's scan found everybody"
        return Reason(ReasonCode.PROOF_UNAVAILABLE, message)
    return None


def _not_proved(vitals: Vitals) -> Reason | None:
    """Why today's scan of the due may miss users, although its proof has had its time.

    A schedule that calls `due` makes no proof. That is in order as long as everybody is read often enough.
    """
    run = vitals.run
    if run is None or run.scan is not Scan.DUE or run.completed_at is None:
        return None
    proof = run.proof
    is_known = proof is not None and (proof.holds(vitals.proof_tolerance) or proof.unavailable is not None)
    if is_known or vitals.now <= run.completed_at + PROVED_WITHIN or _has_just_resumed(vitals, PROVED_WITHIN):
        return None
    if proof is not None:
        return _may_miss(f"its proof is still open after {_span(vitals.now - run.completed_at)}")
    last_full = run.last_full
    if last_full is None:
        return _may_miss("a call with the scan `due` makes no proof, and everybody was never read")
    if (run.day - last_full.day).days < vitals.full_scan_days:
        return None
    return _may_miss(f"a call with the scan `due` makes no proof, and everybody was last read on {last_full.day}")


def _may_miss(why: str) -> Reason:
    return Reason(ReasonCode.NOT_PROVED, f"nothing proves that today's scan found everybody: {why}")


def _has_just_resumed(vitals: Vitals, within: timedelta) -> bool:
    """True if a pause ended so short a time ago that what it caused may still last."""
    return vitals.pause_ended_at is not None and vitals.now <= vitals.pause_ended_at + within


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
