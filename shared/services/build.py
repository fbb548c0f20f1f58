"""The builder: reads each user once and packs those who are due into jobs.

A flush is the checkpoint: it creates the jobs of every user scanned so far and moves the run's cursor behind them. It
takes one Commit or more, each guarded by the run document. After each Commit the run document says who is in a job: all
users up to its cursor, and those that its checkpoints name. A crash loses the scan since the last flush and nothing
else. A second builder finds the run leased. If the lease has ended, the first builder's next Commit fails.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from shared import logs
from shared.core.decision import Grant, decide
from shared.core.errors import ConflictError, OutOfTimeError, StoreError, SystemFailureError
from shared.core.jobs import Job, Snapshot, new_job_id
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.packing import CommitBatch, JobDraft, Packer, SlotPosition
from shared.core.runs import (
    Billed,
    Cursor,
    FlushCheckpoint,
    Run,
    RunStatus,
    Scan,
    ScanCounts,
    ScanRequest,
    ScanTally,
    new_run,
    resolve,
)
from shared.core.service_level import DayServed, remembered
from shared.core.users import read_user, waiting_since
from shared.services.context import GRACE_PERIOD_SECONDS, Context, until_reserve
from shared.services.grant import Candidate, Granter, GrantRequest, candidate_of, capture_user_error
from shared.services.reports import BuildReport, BuildStatus, Errors
from shared.store.budget import Budget
from shared.store.runs import StoredRun
from shared.store.users import UserDocument
from shared.store.values import get_instant

HOUR = timedelta(hours=1)
PAGE_SHARE = 500  # users a query for each second of a call's time: short calls get past a page as well

SCANNED, SKIPPED, FAILED = ScanCounts(1), ScanCounts(1, skipped=1), ScanCounts(1, failed=1)


def build(context: Context, requested: ScanRequest, process_seconds: float) -> BuildReport:
    """Go on with the day's run, or begin it. Raises SystemFailureError; what was flushed by then stays."""
    now = context.clock()
    run_id = context.schedule.day_of(now).isoformat()
    stored = context.runs().get(run_id)
    if stored is not None and stored.run.is_completed and stored.run.covers(requested, context.fingerprint):
        return _report(stored.run, BuildStatus.COMPLETED)
    if context.control().is_paused():
        return BuildReport(run_id, BuildStatus.PAUSED, ScanCounts(), None, Errors())
    if stored is not None and stored.run.is_leased(now):
        return _report(stored.run, BuildStatus.IN_PROGRESS)
    try:
        leased = _lease(context, stored, requested, now)
    except ConflictError:
        logs.info("build_beaten", "another builder leased the run first", runId=run_id)
        return BuildReport(run_id, BuildStatus.IN_PROGRESS, ScanCounts(), None, Errors())
    return Builder(context, leased, process_seconds).run()


def preview(context: Context, requested: ScanRequest, process_seconds: float) -> BuildReport:
    """Count what a scan from the first user on would queue. Writes nothing."""
    now = context.clock()
    day = context.schedule.day_of(now)
    previous = context.runs().latest_before(day.isoformat())
    run = replace(
        new_run(day, requested, None if previous is None else previous.run, context.fingerprint, now),
        cursor=None,
        wrap_until=None,
    )
    return Builder(context, StoredRun(run, None), process_seconds, dry=True).run()


def _report(run: Run, status: BuildStatus) -> BuildReport:
    return BuildReport(run.run_id, status, ScanCounts(), run.cursor, Errors())


def _lease(context: Context, stored: StoredRun | None, requested: ScanRequest, now: datetime) -> StoredRun:
    """Take the run: no other builder scans it until the lease ends. Raises ConflictError if one was first."""
    token, until = uuid.uuid4().hex, now + context.lease
    runs = context.runs()
    if stored is not None:
        run = stored.run
        if not run.covers(requested, context.fingerprint):
            scan = resolve(requested, run.last_full, context.fingerprint, run.day)
            run = run.restarted(scan, context.fingerprint)
        return _saved(context, stored, run.leased(token, until), [])
    day = context.schedule.day_of(now)
    previous = runs.latest_before(day.isoformat())
    before = None if previous is None else previous.run
    history = () if before is None else _history(context, before, day)
    run = replace(new_run(day, requested, before, context.fingerprint, now), history=history)
    unfinished = previous is not None and previous.run.status is RunStatus.IN_PROGRESS
    beside = [runs.supersede_write(previous)] if previous is not None and unfinished else []
    return _saved(context, StoredRun(run, None), run.leased(token, until), beside)


def _history(context: Context, previous: Run, today: date) -> Sequence[DayServed]:
    """How the days before were served. Jobs are settled until their day is two days past, so two are looked up anew."""
    days = {previous.day, *(entry.day for entry in previous.history[-1:])}
    rollups = context.rollups()
    fresh = [DayServed(day, rollups.total(day.isoformat()).served) for day in sorted(days)]
    return remembered(previous.history, fresh, today)


def _saved(context: Context, stored: StoredRun, run: Run, beside: Sequence[Any]) -> StoredRun:
    """The first write of a call: all it has cost so far goes with it."""
    cost = context.wire.cost
    billed = Billed(cost.reads, cost.writes + 1 + len(beside))
    return context.runs().save(stored, run.written(context.clock(), billed), beside)


class Builder:
    """One call's scan of a leased run. `dry`: counts and writes nothing."""

    def __init__(self, context: Context, stored: StoredRun, process_seconds: float, *, dry: bool = False) -> None:
        self._context = context
        self._stored = stored
        self._dry = dry
        self._scan_budget = until_reserve(context.wire.budget, process_seconds)
        self._page_size = min(context.limits.page_users, max(1, int(process_seconds * PAGE_SHARE)))
        self._now = context.clock()
        self._day = stored.run.day
        self._day_start = context.schedule.day_start(self._day)
        self._packer = Packer(context.settings.job_size, self._now, context.limits.flush)
        self._cursor = stored.run.cursor
        self._wrapped = stored.run.wrapped
        self._checkpoints = [
            checkpoint for checkpoint in stored.run.checkpoints if checkpoint.spread == context.schedule.spread
        ]
        self._paused = False
        self._unsaved: CommitBatch | None = None  # taken from the packer, and not in a commit yet
        self._flush_by = self._lease_half()
        self._pending = _Findings()  # since the last flush
        self._flushed = _Findings()
        self._recorded_cost = Billed(
            context.wire.cost.reads, context.wire.cost.writes
        )  # what the run document knows of

    def run(self) -> BuildReport:
        try:
            with logs.context(runId=self._stored.run.run_id):
                return self._scan()
        except ConflictError:
            logs.warning("build_beaten", "the lease ended and another builder took the run over")
            return self._answer(BuildStatus.IN_PROGRESS)
        except OutOfTimeError:
            self._keep_what_was_scanned()
            return self._answer(BuildStatus.IN_PROGRESS)
        except StoreError:
            self._keep_what_was_scanned()
            raise

    def _scan(self) -> BuildReport:
        take = self._adopt if self._stored.run.scan is Scan.ADOPT and not self._dry else self._queue
        for page, more in self._pages():
            take(page)
            if self._flush_by.remaining_seconds == 0:
                self._flush()
            # Every call gets past one page at least, so that calls out of time add up to a run.
            if page and more and self._must_stop:
                self._flush(Run.released)
                return self._answer(BuildStatus.PAUSED if self._paused else BuildStatus.IN_PROGRESS)
        self._flush(lambda run: run.completed(self._now))
        return self._answer(BuildStatus.COMPLETED)

    @property
    def _must_stop(self) -> bool:
        return self._paused or self._context.stopping.is_set() or self._scan_budget.remaining_seconds == 0

    # Reading

    def _pages(self) -> Iterator[tuple[list[UserDocument], bool]]:
        """Page after page to the last user; then, where the scan began in the middle, from the first user to there.

        With each, whether there are more.
        """
        until = self._stored.run.wrap_until
        if until is None or not self._wrapped:
            for page, more in self._pages_between(None):
                yield page, more or until is not None
        if until is not None:
            self._cursor = self._cursor if self._wrapped else None
            self._wrapped = True
            yield from self._pages_between(until)

    def _pages_between(self, until: str | None) -> Iterator[tuple[list[UserDocument], bool]]:
        """Pages from the cursor on; the next is fetched while the last is worked on."""
        with ThreadPoolExecutor(1) as ahead:
            page = self._page(self._cursor, until)
            while len(page) == self._page_size:
                following = ahead.submit(self._page, self._cursor_at(page[-1]), until)
                yield page, True
                page = following.result()
            yield page, False

    def _page(self, after: Cursor | None, until: str | None) -> list[UserDocument]:
        users = self._context.users()
        if self._stored.run.scan is Scan.DUE:
            return users.due_page(self._day, after, self._page_size)
        return users.page(after, until, self._page_size)

    def _cursor_at(self, document: UserDocument) -> Cursor:
        due = self._stored.run.scan is Scan.DUE
        return Cursor(document.user_id, document.raw.stamp["dueOn"] if due else None)

    # Deciding

    def _queue(self, page: Sequence[UserDocument]) -> None:
        """Pack those who are due; flush whenever the packer is full."""
        for document in page:
            self._cursor = self._cursor_at(document)
            checkpoints = [
                checkpoint
                for checkpoint in self._checkpoints
                if checkpoint.has_scanned(self._cursor, wrapped=self._wrapped)
            ]
            if any(checkpoint.has_queued(self._position_of(document.user_id)) for checkpoint in checkpoints):
                continue
            found = capture_user_error(document.user_id, lambda: self._sifted(document))  # noqa: B023 (called at once)
            if isinstance(found, Snapshot):
                self._pack(document, found)
            if not checkpoints:  # else it was counted when the flush began that left the checkpoint
                self._pending.count(found)
            if self._packer.is_full:
                self._flush()

    def _position_of(self, user_id: str) -> SlotPosition:
        return SlotPosition(self._context.schedule.slot_start(self._day, user_id), user_id)

    def _sifted(self, document: UserDocument) -> Snapshot | None:
        """What the job is to carry of a due user; None for one with nothing to do. Raises UserError."""
        user = read_user(document.raw, self._context.schedule.zone)
        decision = decide(user, self._context.plans, self._day, None)
        if user is None or not isinstance(decision, Grant):
            return None
        return Snapshot(document.update_time_ns, user.balance, user.plan, user.periods.get(decision.plan), user.anchor)

    def _pack(self, document: UserDocument, snapshot: Snapshot) -> None:
        position = self._position_of(document.user_id)
        due_at = None
        if position.slot < self._now:
            default, updated_at = self._context.plans.default, get_instant(document.update_time_ns)
            due_at = min(self._now, max(position.slot, waiting_since(document.raw, updated_at, default)))
        self._packer.add(position, snapshot, due_at)

    def _adopt(self, page: Sequence[UserDocument]) -> None:
        """Stamp the current period of everybody on the page, granting nothing; then checkpoint."""
        sifted = [candidate_of(self._context, document) for document in page]
        granter = Granter(self._context, self._context.wire, GrantRequest("adopt", self._day, adopting=True))
        outcomes = granter.refresh([candidate for candidate in sifted if isinstance(candidate, Candidate)])
        if any(outcome.kind is OutcomeKind.RETRY for outcome in outcomes):
            # Passed over, they would be granted by the next scan of everybody.
            raise SystemFailureError("some users can't be adopted at the moment; call again to go on from here")
        outcomes += [outcome for outcome in sifted if isinstance(outcome, Outcome)]
        for outcome in outcomes:
            self._pending.count(outcome)
        if page:
            self._cursor = self._cursor_at(page[-1])
        self._flush()

    # Writing

    def _flush(self, ended: Callable[[Run], Run] | None = None) -> None:
        """The checkpoint: create the jobs of everybody held, move the cursor and extend the lease, or end it."""
        while True:
            batch = self._unsaved = self._unsaved or self._packer.take()
            found = self._pending.with_jobs(batch, self._day_start, created=not self._dry)
            if not self._dry:
                self._save(batch, found, ended or self._extended)
            self._flushed.add(found)
            self._pending, self._unsaved = _Findings(), None
            if self._packer.is_empty:
                break
        if ended is None and not self._dry:
            self._paused = self._context.control().is_paused()

    def _save(self, batch: CommitBatch, found: _Findings, ended: Callable[[Run], Run]) -> None:
        """One Commit of a flush; with the last one the flush has `ended`."""
        run = self._stored.run.found(found.as_findings())
        if self._packer.is_empty:
            run = ended(run.advanced(self._cursor, wrapped=self._wrapped))
        else:
            run = self._extended(run.with_checkpoint(self._checkpoint(batch)))
        cost = self._context.wire.cost
        billed = Billed(
            cost.reads - self._recorded_cost.reads, cost.writes - self._recorded_cost.writes + 1 + len(batch.drafts)
        )
        run = run.written(self._context.clock(), billed)
        wire = self._context.wire.bypassing_breaker()
        wire = wire.within(wire.budget.shifted_by(GRACE_PERIOD_SECONDS))
        jobs = self._context.jobs(wire)
        creates = [jobs.create_write(self._job(run, n, draft), draft.snapshots) for n, draft in enumerate(batch.drafts)]
        self._stored = self._context.runs(wire).save(self._stored, run, creates)
        self._recorded_cost += billed
        self._flush_by = self._lease_half()
        logs.info("build_flushed", f"{len(creates)} jobs created", jobs=len(creates))

    def _checkpoint(self, batch: CommitBatch) -> FlushCheckpoint:
        assert self._cursor is not None, "a flush of several commits holds users"
        assert batch.last is not None
        return FlushCheckpoint(self._cursor, self._wrapped, batch.last, self._context.schedule.spread)

    def _extended(self, run: Run) -> Run:
        return replace(run, lease_until=self._context.clock() + self._context.lease)

    def _job(self, run: Run, number: int, draft: JobDraft) -> Job:
        # The token tells it from a job of a run document that somebody deleted to have the day scanned again.
        job_id = new_job_id(run.run_id, f"{run.flushes:05d}-{number:03d}", run.token[:6])
        return Job(
            job_id=job_id,
            root_id=job_id,
            run_id=run.run_id,
            day=self._day,
            scheduled_for=draft.scheduled_for,
            visible_at=draft.scheduled_for,
            due_at=draft.due_at,
            user_ids=draft.user_ids,
            max_attempts=self._context.settings.max_attempts,
            created_at=self._context.clock(),
            fingerprint=self._context.fingerprint,
        )

    def _keep_what_was_scanned(self) -> None:
        """Flush, so that it is not read and billed again, and let the next builder begin at once."""
        try:
            self._flush(Run.released)
        except StoreError as exc:
            logs.warning("build_not_kept", f"scanned again from the last checkpoint, once the lease has ended: {exc}")

    def _lease_half(self) -> Budget:
        return Budget.of(self._context.settings.lease_seconds / 2)

    def _answer(self, status: BuildStatus) -> BuildReport:
        cursor = None if status is BuildStatus.COMPLETED else self._cursor
        return BuildReport(self._stored.run.run_id, status, self._flushed.counts, cursor, self._flushed.errors)


@dataclass(slots=True)
class _Findings:
    """What the scan made of some users."""

    counts: ScanCounts = field(default_factory=ScanCounts)
    errors: Errors = field(default_factory=Errors)
    errors_by_code: Counter[str] = field(default_factory=Counter)
    planned_by_hour: Counter[int] = field(default_factory=Counter)

    def count(self, found: Snapshot | Outcome | None) -> None:
        """Count a user as scanned, and as skipped or failed; who is due is counted as queued with its job."""
        if isinstance(found, Snapshot):
            self.counts += SCANNED
        elif found is None or found.code is None:
            self.counts += SKIPPED
        else:
            self.counts += FAILED
            self.errors.add([found.as_error()])
            self.errors_by_code[found.code] += 1

    def with_jobs(self, batch: CommitBatch, day_start: datetime, *, created: bool) -> _Findings:
        """… and what became of it in one commit."""
        jobs = ScanCounts(queued=batch.users, jobs_created=len(batch.drafts) if created else 0)
        hours = Counter[int]()
        for draft in batch.drafts:
            hours[(draft.scheduled_for - day_start) // HOUR] += len(draft.user_ids)
        return _Findings(self.counts + jobs, self.errors, self.errors_by_code, hours)

    def add(self, other: _Findings) -> None:
        self.counts += other.counts
        self.errors.merge(other.errors)

    def as_findings(self) -> ScanTally:
        return ScanTally(self.counts, self.errors.shown, self.errors_by_code, self.planned_by_hour)
