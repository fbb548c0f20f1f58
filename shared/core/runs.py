"""The run: one day's scan of the users. It can be resumed, restarted, and is superseded by the next day's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from shared.core.packing import SlotPosition
from shared.core.proof import Proof
from shared.core.ranges import Cursor
from shared.core.service_level import DayServed

ERRORS_KEPT_MAX = 100
PLANS_COUNTED_MAX = 100  # by name; users of further plans are counted together
CHECKPOINTS_MAX = 10  # each was left by a builder that ended in the middle of a flush


class Scan(StrEnum):
    """What a run reads. `all`: every user; `due`: those found by date, balance and name; `adopt`: every user, and
    grants nothing."""

    ALL = "all"
    DUE = "due"
    ADOPT = "adopt"


class ScanRequest(StrEnum):
    """What a caller may request. `auto` is `due`, or `all` if that is necessary."""

    ALL = "all"
    DUE = "due"
    ADOPT = "adopt"
    AUTO = "auto"


class RunStatus(StrEnum):
    """The state of a run. `superseded`: it was unfinished when a later day's run began."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class FlushCheckpoint:
    """Progress of a flush that needs several commits.

    Of the users read up to `until`, those who are due and stand up to `position` are in jobs. It holds as long as users
    have the same positions (`spread`).
    """

    until: Cursor
    position: SlotPosition
    spread: str

    def has_scanned(self, cursor: Cursor) -> bool:
        return cursor.order <= self.until.order

    def has_queued(self, position: SlotPosition) -> bool:
        return position <= self.position

    def is_behind(self, cursor: Cursor | None) -> bool:
        return cursor is not None and self.until.order <= cursor.order


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """Users by the result of the scan, and the jobs it created. `adopted` users are also counted as skipped."""

    scanned: int = 0
    queued: int = 0
    skipped: int = 0
    failed: int = 0
    jobs_created: int = 0
    adopted: int = 0

    def __add__(self, other: ScanCounts) -> ScanCounts:
        return ScanCounts(
            self.scanned + other.scanned,
            self.queued + other.queued,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.jobs_created + other.jobs_created,
            self.adopted + other.adopted,
        )


@dataclass(frozen=True, slots=True)
class LastFull:
    """The last completed scan of every user: its day, and the fingerprint it ran under."""

    day: date
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Billed:
    """Billed reads and writes of a run's builders."""

    reads: int = 0
    writes: int = 0

    def __add__(self, other: Billed) -> Billed:
        return Billed(self.reads + other.reads, self.writes + other.writes)


@dataclass(frozen=True, slots=True)
class SettledUsers:
    """Users of a run whose jobs are settled: those who ended well, and those who failed."""

    well: int = 0
    failed: int = 0
    #: All of them, by the hour in which they were settled.
    by_hour: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanTally:
    """The results of a scan for some users."""

    counts: ScanCounts = ScanCounts()
    errors: Sequence[Mapping[str, Any]] = ()
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    #: Users queued, by hours since the day began.
    planned_by_hour: Mapping[int, int] = field(default_factory=dict)
    #: Users who have to be kept by name.
    named: int = 0
    #: Users met by balance, whose `dueOn` says that they are found by balance.
    low: int = 0
    #: Users queued, by the name of their plan.
    users_by_plan: Mapping[str, int] = field(default_factory=dict)
    #: Users queued or failed whom a job of this run had refreshed before.
    refreshed_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A day's run. A builder goes on behind `cursor`."""

    #: The run's day, in the schedule's zone, as 2026-11-22.
    run_id: str
    scan: Scan
    created_at: datetime
    #: Why it is this scan, in words for an operator.
    scan_reason: str = ""
    status: RunStatus = RunStatus.IN_PROGRESS
    cursor: Cursor | None = None
    #: Where a scan of everybody began if not at the first user; it goes on from the first user to there.
    wrap_until: str | None = None
    checkpoints: Sequence[FlushCheckpoint] = ()
    counts: ScanCounts = ScanCounts()
    #: The first users who failed in the scan, at most ERRORS_KEPT_MAX; `errors_total` counts all.
    errors: Sequence[Mapping[str, Any]] = ()
    errors_total: int = 0
    #: No other builder may go on with the run before this moment.
    lease_until: datetime | None = None
    #: A text that identifies the builder that has the lease.
    token: str = ""
    #: How often a builder wrote the run.
    flushes: int = 0
    completed_at: datetime | None = None
    last_full: LastFull | None = None
    #: A hash of all settings and plans that the scan depends on.
    fingerprint: str = ""
    #: When a builder last wrote the run.
    built_at: datetime | None = None
    #: Users queued, by hours since the day began.
    planned_by_hour: Mapping[int, int] = field(default_factory=dict)
    #: Users queued, by the name of their plan, as far as that is known: see `users_of_uncounted_plans`.
    users_by_plan: Mapping[str, int] = field(default_factory=dict)
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    billed: Billed = Billed()
    #: On-time and late users of the days before.
    history: Sequence[DayServed] = ()
    #: Each restart of the day's scan has the next number. Jobs carry it.
    generation: int = 0
    #: The last generation whose scan found everybody; None: none has yet. Jobs of older ones are closed unread.
    completed_generation: int | None = None
    #: The moment, by the database's clock, at which every page of this generation is read.
    read_time_ns: int | None = None
    #: The proof that every user has a `dueOn`; None: no count was tried yet.
    proof: Proof | None = None
    #: Users whom this generation keeps by name, in its follow-up list.
    named: int = 0
    #: The run and generation of the earlier follow-up list whose users this generation reads.
    names_from: tuple[str, int] | None = None
    #: Users who are found by balance, as counted at the end of a scan of the due. None: no plan has such users.
    when_low: int | None = None
    #: Of these, the users whom this generation met, as they were low.
    low: int = 0
    #: It adopts only users that an earlier adoption could not stamp.
    adopts_marked: bool = False
    #: An operator wants everybody to be read again.
    rescan_requested: bool = False
    #: Users of older generations who failed. This generation queues them again, so they are not failed any more.
    failed_before: int = 0
    #: Users whom a job of this run had refreshed, and whom this generation found to fail or queued again. They count as
    #: what it found them to be.
    refreshed_before: int = 0

    @property
    def day(self) -> date:
        return date.fromisoformat(self.run_id)

    @property
    def is_completed(self) -> bool:
        return self.status is RunStatus.COMPLETED

    @property
    def left_alone(self) -> int | None:
        """Full users whom a scan of the due has not read; None if no plan leaves full users alone."""
        return None if self.when_low is None else max(0, self.when_low - self.low)

    @property
    def users_of_uncounted_plans(self) -> int:
        """Users queued who are not in `users_by_plan`: those of plans beyond the first PLANS_COUNTED_MAX, and those
        settled before a restart of the scan."""
        return max(0, self.counts.queued - sum(self.users_by_plan.values()))

    @property
    def reads_everybody(self) -> bool:
        return self.scan is not Scan.DUE

    @property
    def reads_everybody_by_id(self) -> bool:
        return self.reads_everybody and not self.adopts_marked

    def has_found_everybody(self, tolerance: int) -> bool:
        """True when the scan is complete and can have missed nobody: it read everybody, or the proof holds."""
        return self.is_completed and (self.reads_everybody or (self.proof or Proof()).holds(tolerance))

    @property
    def next_names_from(self) -> tuple[str, int] | None:
        """Where the next scan finds the users who are kept by name."""
        if self.is_completed:
            return (self.run_id, self.generation) if self.named else None
        return self.names_from  # this scan has not met all of them yet

    def is_leased(self, now: datetime) -> bool:
        return self.lease_until is not None and now < self.lease_until

    def restarted(self, scan: Scan, reason: str, fingerprint: str, settled: SettledUsers) -> Run:
        """The same day's run from the first user on, as another generation.

        Users whose jobs are settled stay counted as queued; all others are found again. Users who failed in a job are
        found again too. Nobody knows which plans the settled users are on, unless they are all that were queued.
        """
        return replace(
            self,
            scan=scan,
            scan_reason=reason,
            fingerprint=fingerprint,
            generation=self.generation + 1,
            counts=ScanCounts(queued=settled.well, jobs_created=self.counts.jobs_created),
            failed_before=settled.failed,
            refreshed_before=0,
            planned_by_hour=settled.by_hour,
            users_by_plan=self.users_by_plan if settled.well == self.counts.queued else {},
            errors=(),
            errors_total=0,
            errors_by_code={},
            status=RunStatus.IN_PROGRESS,
            cursor=None,
            wrap_until=None,
            checkpoints=(),
            completed_at=None,
            read_time_ns=None,
            proof=None if scan is Scan.DUE else self.proof,
            named=0,
            when_low=None,
            low=0,
            names_from=self.next_names_from,
            rescan_requested=False,
            adopts_marked=False,
        )

    def adopting_marked(self, reason: str, fingerprint: str) -> Run:
        """The same adoption again, but only for the users whom it could not stamp."""
        counts = self.counts
        again = self.restarted(Scan.ADOPT, reason, fingerprint, SettledUsers())
        kept = replace(counts, scanned=counts.scanned - counts.failed, failed=0)
        return replace(again, counts=kept, adopts_marked=True)

    def reading_everybody(self, reason: str) -> Run:
        """A scan of the due that has not begun yet, as one of everybody."""
        return replace(self, scan=Scan.ALL, scan_reason=reason)

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
            users_by_plan=_counted_plans(self.users_by_plan, found.users_by_plan),
            flushes=self.flushes + 1,
            named=self.named + found.named,
            low=self.low + found.low,
            refreshed_before=self.refreshed_before + found.refreshed_before,
        )

    def with_checkpoint(self, checkpoint: FlushCheckpoint) -> Run:
        """The run in the middle of a flush. The cursor stays, because other users up to it are in no job yet."""
        others = [other for other in self.checkpoints if other.until != checkpoint.until]
        return replace(self, checkpoints=(*others, checkpoint)[-CHECKPOINTS_MAX:])

    def advanced(self, cursor: Cursor | None) -> Run:
        """The run at the end of a flush: each user up to the cursor is in a job or needs none."""
        checkpoints = tuple(checkpoint for checkpoint in self.checkpoints if not checkpoint.is_behind(cursor))
        return replace(self, cursor=cursor, checkpoints=checkpoints)

    def written(self, now: datetime, billed: Billed) -> Run:
        """The run as a builder is about to write it, with the builder's cost since its last write."""
        return replace(self, built_at=now, billed=self.billed + billed)

    def proved(self, proof: Proof, tolerance: int) -> Run:
        """The run with one more try of its proof. A proof that holds makes a completed scan count as complete."""
        return _close_older(replace(self, proof=proof), tolerance)

    def completed(self, now: datetime, tolerance: int) -> Run:
        last_full = LastFull(self.day, self.fingerprint) if self.reads_everybody_by_id else self.last_full
        ended = replace(
            self,
            status=RunStatus.COMPLETED,
            completed_at=now,
            lease_until=None,
            cursor=None,
            checkpoints=(),
            last_full=last_full,
        )
        return _close_older(ended, tolerance)

    def released(self) -> Run:
        return replace(self, lease_until=None)

    def superseded(self) -> Run:
        return replace(self, status=RunStatus.SUPERSEDED, lease_until=None, flushes=self.flushes + 1)


def _counted_plans(known: Mapping[str, int], found: Mapping[str, int]) -> Mapping[str, int]:
    """The sum by plan, of no more than PLANS_COUNTED_MAX plans: those that were met first."""
    names = list(dict.fromkeys((*known, *found)))[:PLANS_COUNTED_MAX]
    return {name: known.get(name, 0) + found.get(name, 0) for name in names}


def _close_older(run: Run, tolerance: int) -> Run:
    """Once everybody is found, jobs of older generations are closed unread."""
    return replace(run, completed_generation=run.generation) if run.has_found_everybody(tolerance) else run
