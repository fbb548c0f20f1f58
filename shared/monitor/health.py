"""Health: is the refresh doing its work? Pure: from what was observed to reasons why not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.core.runs import Run

HEARTBEATS_MISSED_MAX = 3
LAG_SECONDS_MAX = 1800  # a job that waits longer has its users late
BUILD_WITHIN = timedelta(hours=1)  # from the beginning of the day


class Ailment(StrEnum):
    """Stable codes, for alerts."""

    NO_WORKER_HEARTBEAT = "no_worker_heartbeat"
    QUEUE_LAG = "queue_lag"
    BUILDER_UNFINISHED = "builder_unfinished"
    DEAD_LETTERS = "dead_letters"
    BREAKER_OPEN = "breaker_open"
    DATABASE_UNREACHABLE = "database_unreachable"
    DOCUMENT_UNREADABLE = "document_unreadable"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong, in words that name no user."""

    code: Ailment
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is looked at. `worker_interval`: between two scheduled calls of the worker."""

    now: datetime
    day_start: datetime
    run: Run | None
    worker_seen_at: datetime | None
    worker_interval: timedelta
    lag_seconds: int
    dead_letters: int
    breaker_is_open: bool = False


def diagnose(vitals: Vitals) -> tuple[Reason, ...]:
    """Every reason why not all is well; none if it is."""
    found = (
        _no_heartbeat(vitals),
        _lag(vitals),
        _unfinished(vitals),
        _dead_letters(vitals),
        Reason(Ailment.BREAKER_OPEN, "the circuit breaker is open") if vitals.breaker_is_open else None,
    )
    return tuple(reason for reason in found if reason is not None)


def _no_heartbeat(vitals: Vitals) -> Reason | None:
    if vitals.worker_seen_at is None:
        return Reason(Ailment.NO_WORKER_HEARTBEAT, "no worker has ever run")
    silent = vitals.now - vitals.worker_seen_at
    if silent <= HEARTBEATS_MISSED_MAX * vitals.worker_interval:
        return None
    return Reason(Ailment.NO_WORKER_HEARTBEAT, f"no worker has run for {_minutes(silent)}")


def _lag(vitals: Vitals) -> Reason | None:
    if vitals.lag_seconds <= LAG_SECONDS_MAX:
        return None
    waited = timedelta(seconds=vitals.lag_seconds)
    return Reason(Ailment.QUEUE_LAG, f"the oldest due job has been waiting for {_minutes(waited)}")


def _unfinished(vitals: Vitals) -> Reason | None:
    if vitals.now <= vitals.day_start + BUILD_WITHIN or (vitals.run is not None and vitals.run.is_completed):
        return None
    state = "has not begun" if vitals.run is None else "is not finished"
    return Reason(Ailment.BUILDER_UNFINISHED, f"the day's scan {state}, more than an hour after the day began")


def _dead_letters(vitals: Vitals) -> Reason | None:
    if not vitals.dead_letters:
        return None
    return Reason(Ailment.DEAD_LETTERS, "jobs of today or yesterday have failed for good and wait to be requeued")


def _minutes(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
