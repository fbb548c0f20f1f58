"""Flush: write what a scan has found, and move the run's cursor past it.

A flush is the checkpoint of a run. It takes one Commit or more, each guarded by the run document. After each Commit the
run document says who is in a job: all users up to its cursor, and those that its checkpoints name. A crash loses what
was scanned since the last flush, and nothing else. If another builder has taken the run over, the next Commit fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from shared import logs
from shared.core.errors import UserErrorCode
from shared.core.jobs import Job, Snapshot, new_job_id
from shared.core.mending import Mend
from shared.core.outcomes import Outcome
from shared.core.own_days import OwnDays
from shared.core.packing import CommitBatch, JobDraft, JobTerms, Packer, SlotPosition
from shared.core.ranges import Cursor
from shared.core.runs import Billed, FlushCheckpoint, Run, ScanCounts, ScanTally
from shared.services.context import GRACE_PERIOD_SECONDS, Context
from shared.services.reports import Errors
from shared.store.budget import Budget
from shared.store.runs import StoredRun
from shared.store.wire import Wire

HOUR = timedelta(hours=1)
FEW_JOBS = 64  # a run with no more jobs than this needs only one shard of the roll-up


@dataclass(frozen=True, slots=True)
class DueUser:
    """A user to be queued.

    `snapshot` is of the first of `local_dates`. None: the worker has to read the document.
    `local_dates`: the user gets a job for each. There are two if two of the user's midnights lie in the run's day.
    `plan`: the present name of the user's plan.
    `activity`: at which hours the user was seen active, by the stamp. The slot depends on it.
    """

    snapshot: Snapshot | None
    local_dates: tuple[date, ...]
    plan: str
    own_days: OwnDays | None = None
    activity: object = None


class Flusher:
    """Holds what one call of the builder finds, until it is flushed. `dry`: nothing is written, only counted."""

    def __init__(self, context: Context, stored: StoredRun, *, dry: bool) -> None:
        self._context = context
        self._dry = dry
        self.stored = stored
        self._day_start = context.schedule.day_start(stored.run.day)
        self._packer = Packer(
            context.settings.job_size,
            context.clock(),
            context.limits.flush,
            timedelta(minutes=context.settings.merge_minutes),
            context.schedule.hour_limit(stored.run.day),
        )
        self._unsaved: CommitBatch | None = None  # taken from the packer, and its Commit has not succeeded yet
        self._tally = FlushTally()  # since the last flush
        self.flushed = FlushTally()  # all flushes of this call
        self._recorded_cost = Billed(context.wire.cost.reads, context.wire.cost.writes)  # what the run document knows
        self._flush_by = self._half_a_lease()

    @property
    def is_due(self) -> bool:
        """True if no more must be read before a flush: too much is held, or it has been held for too long."""
        return self._packer.is_full or self._tally.is_full or self._flush_by.remaining_seconds == 0

    def queue(self, position: SlotPosition, due: DueUser, due_at: datetime | None, local_date: date) -> None:
        """Hold a user for a job of that local date. `due_at`: since when the user waits, if the slot has passed."""
        window = self._context.schedule.window(local_date, due.own_days)
        own_date = None if local_date == self.stored.run.day else local_date
        self._packer.add(position, due.snapshot, JobTerms(due_at, own_date, window, due.plan))

    def mend(self, mend: Mend) -> None:
        self._packer.add_mend(mend)

    def count(
        self,
        found: DueUser | Outcome | None,
        follow_up: Mapping[str, Any] | None = None,
        *,
        is_low: bool = False,
        was_refreshed: bool = False,
    ) -> None:
        """Count a user as scanned, and as skipped, adopted or failed. A user who is due is counted with the job.

        `found`: None for a user to whom nothing happens. `is_low`: the user was found by balance. `was_refreshed`: a
        job of this run has refreshed the user before.
        """
        self._tally.count(found, follow_up)
        self._tally.low += is_low
        self._tally.refreshed_before += was_refreshed and _is_of_the_day(found)

    def warn(self, user_id: str, code: UserErrorCode, message: str) -> None:
        """Name a user whose data is bad, but who is refreshed all the same. The user is not counted as failed."""
        self._tally.warn(Outcome.failed(user_id, code, message))

    def flush(self, cursor: Cursor | None, ended: Callable[[Run], Run] | None = None) -> None:
        """Create the jobs of all users held, move the cursor, and extend the lease.

        `ended`: gives the run as it is after the call's last flush, in place of the run with a longer lease.
        """
        while True:
            batch = self._unsaved = self._unsaved or self._packer.take(self.stored.run.planned_by_hour)
            found = self._tally.with_jobs(batch, self._day_start, created=not self._dry)
            if not self._dry:
                self._save(batch, found, cursor, ended or self._extend_lease)
            self.flushed.add(found)
            self._tally, self._unsaved = FlushTally(), None
            if self._packer.is_empty:
                return

    def _save(self, batch: CommitBatch, found: FlushTally, cursor: Cursor | None, ended: Callable[[Run], Run]) -> None:
        """Make one Commit of a flush. The flush's last Commit moves the cursor."""
        run = self.stored.run.found(found.as_scan_tally())
        if self._packer.is_empty:
            run = ended(run.advanced(cursor))
        else:
            run = self._extend_lease(self._with_checkpoint(run, batch, cursor))
        wire = self._context.wire.bypassing_breaker()
        wire = wire.within(wire.budget.shifted_by(GRACE_PERIOD_SECONDS))
        other_writes = self._other_writes(run, batch, found, wire)
        billed = self._unrecorded_cost(1 + len(other_writes))
        written = run.written(self._context.clock(), billed)
        self.stored = self._context.runs(wire).save(self.stored, written, other_writes)
        self._recorded_cost += billed
        self._flush_by = self._half_a_lease()
        logs.info("build_flushed", f"{len(batch.drafts)} jobs created", jobs=len(batch.drafts))

    def _other_writes(self, run: Run, batch: CommitBatch, found: FlushTally, wire: Wire) -> list[Any]:
        """The writes of the Commit that are not of the run document: jobs and follow-up entries."""
        jobs = self._context.jobs(wire)
        writes = [
            jobs.create_write(self._job(run, number, draft), draft.snapshots, draft.mends)
            for number, draft in enumerate(batch.drafts)
        ]
        if found.follow_ups:
            follow_up = self._context.follow_up(wire)
            now = self._context.clock()
            writes.append(follow_up.add_write(run.run_id, run.generation, run.flushes, found.follow_ups, now))
        return writes

    def _unrecorded_cost(self, writes: int) -> Billed:
        """What the run document does not know yet: the cost since the last Commit, and the writes of the next one."""
        cost = self._context.wire.cost
        return Billed(cost.reads - self._recorded_cost.reads, cost.writes - self._recorded_cost.writes + writes)

    def _with_checkpoint(self, run: Run, batch: CommitBatch, cursor: Cursor | None) -> Run:
        """The run in the middle of a flush. If the Commit holds mends and no users, there is no checkpoint."""
        if cursor is None or batch.last is None:
            return run
        return run.with_checkpoint(FlushCheckpoint(cursor, batch.last, self._context.schedule.spread))

    def _extend_lease(self, run: Run) -> Run:
        return replace(run, lease_until=self._context.clock() + self._context.lease)

    def _job(self, run: Run, number: int, draft: JobDraft) -> Job:
        # If somebody deletes the run document, the day's next run counts from 0 again. The token keeps their ids apart.
        job_id = new_job_id(run.run_id, f"{run.flushes:05d}-{number:03d}", run.token[:6])
        return Job(
            job_id=job_id,
            root_id=job_id,
            run_id=run.run_id,
            day=date.fromisoformat(run.run_id),
            scheduled_for=draft.scheduled_for,
            visible_at=draft.scheduled_for,
            due_at=draft.due_at,
            user_ids=draft.user_ids,
            max_attempts=max(self._context.settings.max_attempts, MEND_ATTEMPTS if draft.mends else 0),
            created_at=self._context.clock(),
            fingerprint=self._context.fingerprint,
            generation=run.generation,
            is_of_few=run.is_completed and run.counts.jobs_created <= FEW_JOBS,
            local_date=draft.local_date,
        )

    def _half_a_lease(self) -> Budget:
        return Budget.of(self._context.settings.lease_seconds / 2)


SCANNED, SKIPPED, FAILED = ScanCounts(1), ScanCounts(1, skipped=1), ScanCounts(1, failed=1)
ADOPTED = ScanCounts(1, skipped=1, adopted=1)
# With delays of up to 1, 2, 4 minutes and so on they last for a day. Then the next day's decision replaces the mend.
MEND_ATTEMPTS = 12
FOLLOW_UPS_MAX = 1000  # entries of one flush, in one document


@dataclass(slots=True)
class FlushTally:
    """What was found about users who were scanned."""

    counts: ScanCounts = field(default_factory=ScanCounts)
    errors: Errors = field(default_factory=Errors)
    errors_by_code: Counter[str] = field(default_factory=Counter)
    planned_by_hour: Counter[int] = field(default_factory=Counter)
    follow_ups: list[Mapping[str, Any]] = field(default_factory=list)
    low: int = 0
    users_by_plan: Counter[str] = field(default_factory=Counter)
    refreshed_before: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.follow_ups) >= FOLLOW_UPS_MAX

    def count(self, found: DueUser | Outcome | None, follow_up: Mapping[str, Any] | None) -> None:
        if isinstance(found, DueUser):
            self.counts += SCANNED
        elif found is None or found.code is None:
            self.counts += ADOPTED if found is not None and found.is_adopted else SKIPPED
        else:
            self.counts += FAILED
            self.errors.add([found.as_error()])
            self.errors_by_code[found.code] += 1
        if follow_up is not None:
            self.follow_ups.append(follow_up)

    def warn(self, outcome: Outcome) -> None:
        self.errors.add([outcome.as_error()])
        self.errors_by_code[str(outcome.code)] += 1

    def with_jobs(self, batch: CommitBatch, day_start: datetime, *, created: bool) -> FlushTally:
        """The tally with the users and jobs of one Commit. `created`: the jobs are really created."""
        jobs = ScanCounts(queued=batch.users, jobs_created=len(batch.drafts) if created else 0)
        hours, by_plan = Counter[int](), Counter[str]()
        for draft in batch.drafts:
            hours[(draft.scheduled_for - day_start) // HOUR] += len(draft.user_ids)
            by_plan.update(draft.users_by_plan)
        planned = +hours  # without hours of no users: a job may hold mends alone
        return replace(self, counts=self.counts + jobs, planned_by_hour=planned, users_by_plan=by_plan)

    def add(self, other: FlushTally) -> None:
        self.counts += other.counts
        self.errors.merge(other.errors)

    def as_scan_tally(self) -> ScanTally:
        named = sum(bool(entry.get("named")) for entry in self.follow_ups)
        return ScanTally(
            self.counts,
            self.errors.shown,
            self.errors_by_code,
            self.planned_by_hour,
            named,
            self.low,
            self.users_by_plan,
            self.refreshed_before,
        )


def _is_of_the_day(found: DueUser | Outcome | None) -> bool:
    """True for a user who counts among the day's users: one who is due, or fails."""
    return isinstance(found, DueUser) or (found is not None and found.code is not None)


def follow_up_entry(outcome: Outcome, since: str, *, named: bool, adopt: bool) -> dict[str, Any]:
    """An entry of the follow-up list: a user who fails, and since when.

    `named`: scans read the user by name. `adopt`: an adoption met the user, who is still to be adopted.
    """
    return {
        **outcome.as_error(),
        "since": since,
        **({"named": True} if named else {}),
        **({"adopt": True} if adopt else {}),
    }
