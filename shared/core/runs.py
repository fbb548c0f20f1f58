"""The run: one day's scan of the users, resumable, superseded by the next day's."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.core.packing import SlotPosition
from shared.core.service_level import DayServed

FULL_SCAN_EVERY = timedelta(days=7)
ERRORS_KEPT_MAX = 100
CHECKPOINTS_MAX = 10  # a builder that ended in the middle of a flush leaves one

_NUMBERED = re.compile(r"__id([0-9]+)__")  # ids that Datastore's imports bring, which come before all others


class Scan(StrEnum):
    """What a run reads. `all`: every user; `due`: those whose dueOn has come; `adopt`: every user, grants nothing."""

    ALL = "all"
    DUE = "due"
    ADOPT = "adopt"


class ScanRequest(StrEnum):
    """What a caller may ask for. `auto` is `due`, but `all` when that is called for."""

    ALL = "all"
    DUE = "due"
    ADOPT = "adopt"
    AUTO = "auto"


class RunStatus(StrEnum):
    """Where a run stands. `superseded`: unfinished when a later day's run began."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last user scanned; in a `due` scan, ordered by dueOn first, with its dueOn."""

    user_id: str
    due_on: str | None = None

    def __str__(self) -> str:
        return self.user_id if self.due_on is None else f"{self.due_on}/{self.user_id}"

    @property
    def order(self) -> tuple[str, int | float, str]:
        """Compares as a scan goes: by dueOn, then as Firestore orders ids."""
        number = _NUMBERED.fullmatch(self.user_id)
        return self.due_on or "", math.inf if number is None else int(number[1]), self.user_id

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """The inverse of str(); a user id never holds a slash, a dueOn that somebody wrote by hand may."""
        if text is None:
            return None
        due_on, slash, user_id = text.rpartition("/")
        return cls(user_id, due_on) if slash else cls(text)


@dataclass(frozen=True, slots=True)
class FlushCheckpoint:
    """How far a flush has come that takes several commits: of the users scanned `until` there, those up to `position`
    are in jobs. It holds as long as users have the same positions (`spread`)."""

    until: Cursor
    wrapped: bool
    position: SlotPosition
    spread: str

    def has_scanned(self, cursor: Cursor, *, wrapped: bool) -> bool:
        return _position(cursor, wrapped=wrapped) <= self._position

    def has_queued(self, position: SlotPosition) -> bool:
        return position <= self.position

    def is_behind(self, cursor: Cursor | None, *, wrapped: bool) -> bool:
        return self._position <= _position(cursor, wrapped=wrapped)

    @property
    def _position(self) -> tuple[Any, ...]:
        return _position(self.until, wrapped=self.wrapped)


def _position(cursor: Cursor | None, *, wrapped: bool) -> tuple[Any, ...]:
    """Compares as a run goes, which may wrap around."""
    return wrapped, () if cursor is None else cursor.order


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """Users by what the scan made of them, and the jobs it created."""

    scanned: int = 0
    queued: int = 0
    skipped: int = 0
    failed: int = 0
    jobs_created: int = 0

    def __add__(self, other: ScanCounts) -> ScanCounts:
        return ScanCounts(
            self.scanned + other.scanned,
            self.queued + other.queued,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.jobs_created + other.jobs_created,
        )


@dataclass(frozen=True, slots=True)
class LastFull:
    """The last scan that read every user to the end: its day, and the configuration it ran under."""

    day: date
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Billed:
    """Documents read and written by the builders of a run, as billed."""

    reads: int = 0
    writes: int = 0

    def __add__(self, other: Billed) -> Billed:
        return Billed(self.reads + other.reads, self.writes + other.writes)


@dataclass(frozen=True, slots=True)
class ScanTally:
    """What a scan made of some users. `planned_by_hour`: those queued, by hours since the day began."""

    counts: ScanCounts = ScanCounts()
    errors: Sequence[Mapping[str, Any]] = ()
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    planned_by_hour: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A day's run. It scans from `cursor` on; where it began elsewhere than at the first user
    (`wrap_until`), it goes on from the first user once it has come to the last (`wrapped`)."""

    run_id: str
    scan: Scan
    created_at: datetime
    status: RunStatus = RunStatus.IN_PROGRESS
    cursor: Cursor | None = None
    wrap_until: str | None = None
    wrapped: bool = False
    checkpoints: Sequence[FlushCheckpoint] = ()
    counts: ScanCounts = ScanCounts()
    errors: Sequence[Mapping[str, Any]] = ()
    errors_total: int = 0
    lease_until: datetime | None = None
    token: str = ""
    flushes: int = 0
    completed_at: datetime | None = None
    last_full: LastFull | None = None
    fingerprint: str = ""  # of the plans and schedule the scan began under
    built_at: datetime | None = None  # when a builder last wrote it
    planned_by_hour: Mapping[int, int] = field(default_factory=dict)  # users queued, by hours since the day began
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    billed: Billed = Billed()
    history: Sequence[DayServed] = ()  # of the days before

    @property
    def day(self) -> date:
        return date.fromisoformat(self.run_id)

    @property
    def is_completed(self) -> bool:
        return self.status is RunStatus.COMPLETED

    @property
    def reads_everybody(self) -> bool:
        return self.scan is not Scan.DUE

    def is_leased(self, now: datetime) -> bool:
        return self.lease_until is not None and now < self.lease_until

    def covers(self, requested: ScanRequest, fingerprint: str) -> bool:
        """True when the run is, or already does more than, what is requested now. An unfinished adoption is
        finished first, or those it has not reached would be granted; a finished one covers no refresh."""
        if self.scan is Scan.ADOPT:
            return not self.is_completed or requested is ScanRequest.ADOPT
        wanted = resolve(requested, self.last_full, fingerprint, self.day)
        return wanted in (self.scan, Scan.DUE)

    def restarted(self, scan: Scan, fingerprint: str) -> Run:
        """The same day's run, from the first user on, as another scan. What was queued stays queued; the rest is
        found again."""
        return replace(
            self,
            fingerprint=fingerprint,
            counts=ScanCounts(queued=self.counts.queued, jobs_created=self.counts.jobs_created),
            errors=(),
            errors_total=0,
            errors_by_code={},
            scan=scan,
            status=RunStatus.IN_PROGRESS,
            cursor=None,
            wrap_until=None,
            wrapped=False,
            checkpoints=(),
            completed_at=None,
        )

    def leased(self, token: str, until: datetime) -> Run:
        return replace(self, token=token, lease_until=until, flushes=self.flushes + 1)

    def found(self, found: ScanTally) -> Run:
        """The run after one more commit of a flush."""
        return replace(
            self,
            counts=self.counts + found.counts,
            errors=(*self.errors, *found.errors)[:ERRORS_KEPT_MAX],
            errors_total=self.errors_total + found.counts.failed,
            errors_by_code=Counter(self.errors_by_code) + Counter(found.errors_by_code),
            planned_by_hour=Counter(self.planned_by_hour) + Counter(found.planned_by_hour),
            flushes=self.flushes + 1,
        )

    def with_checkpoint(self, checkpoint: FlushCheckpoint) -> Run:
        """In the middle of a flush: the cursor stays, as others of its users are in no job yet."""
        others = [
            other
            for other in self.checkpoints
            if (other.until, other.wrapped) != (checkpoint.until, checkpoint.wrapped)
        ]
        return replace(self, checkpoints=(*others, checkpoint)[-CHECKPOINTS_MAX:])

    def advanced(self, cursor: Cursor | None, *, wrapped: bool) -> Run:
        """At the end of a flush: everybody up to the cursor is in a job, or has been left out."""
        checkpoints = tuple(
            checkpoint for checkpoint in self.checkpoints if not checkpoint.is_behind(cursor, wrapped=wrapped)
        )
        return replace(self, cursor=cursor, wrapped=wrapped, checkpoints=checkpoints)

    def written(self, now: datetime, billed: Billed) -> Run:
        """The run as a builder is about to write it, with what that builder cost since it last did."""
        return replace(self, built_at=now, billed=self.billed + billed)

    def completed(self, now: datetime) -> Run:
        last_full = LastFull(self.day, self.fingerprint) if self.reads_everybody else self.last_full
        return replace(
            self,
            status=RunStatus.COMPLETED,
            completed_at=now,
            lease_until=None,
            cursor=None,
            checkpoints=(),
            last_full=last_full,
        )

    def released(self) -> Run:
        return replace(self, lease_until=None)

    def superseded(self) -> Run:
        return replace(self, status=RunStatus.SUPERSEDED, lease_until=None, flushes=self.flushes + 1)


def resolve(requested: ScanRequest, last_full: LastFull | None, fingerprint: str, today: date) -> Scan:
    """Which scan a new run makes. `auto` reads everybody after a change of plans, zone or window, and weekly."""
    if requested is not ScanRequest.AUTO:
        return Scan(requested.value)
    if last_full is None or last_full.fingerprint != fingerprint:
        return Scan.ALL
    return Scan.ALL if today - last_full.day >= FULL_SCAN_EVERY else Scan.DUE


def new_run(day: date, requested: ScanRequest, previous: Run | None, fingerprint: str, now: datetime) -> Run:
    """The day's run. Where the run before was left unfinished the scan begins there, so that nobody starves."""
    last_full = None if previous is None else previous.last_full
    scan = resolve(requested, last_full, fingerprint, day)
    run = Run(run_id=day.isoformat(), scan=scan, created_at=now, last_full=last_full, fingerprint=fingerprint)
    if previous is None or previous.status is RunStatus.COMPLETED:
        return run
    if previous.scan is Scan.ADOPT:
        # No wrap: those adopted already are due for what came after.
        return replace(run, scan=Scan.ADOPT, cursor=previous.cursor)
    if requested is ScanRequest.AUTO and previous.scan is Scan.ALL:
        run = replace(run, scan=Scan.ALL)
    if previous.cursor is None or not (run.reads_everybody and previous.reads_everybody):
        return run
    return replace(run, cursor=previous.cursor, wrap_until=previous.cursor.user_id)
