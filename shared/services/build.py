"""The builder: reads each user at most once, decides who is due, and packs them into jobs.

It leases the day's run first. A second builder finds the run leased and stops. A builder that is out of time
flushes what it has found; the next call goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

from shared import logs
from shared.core.decision import Decision, Grant, Skip, SkipReason, decide, decide_adoption, is_due, user_after
from shared.core.errors import ConflictError, MissingIndexError, OutOfTimeError, StoreError, UserError, UserErrorCode
from shared.core.jobs import is_job_of_scan
from shared.core.mending import Mend, corrections_of, must_be_named
from shared.core.outcomes import Outcome
from shared.core.packing import SlotPosition
from shared.core.periods import days_of_longest_period
from shared.core.proof import Proof
from shared.core.ranges import WHEN_LOW, Cursor, OrderBy, RangeName, ScanRange, due, everybody, is_found_by_date
from shared.core.runs import Billed, Run, RunStatus, Scan, ScanRequest, SettledUsers
from shared.core.scan_choice import (
    ADOPTION_FAILED,
    NO_INDEX,
    REQUESTED,
    ScanPolicy,
    Step,
    few_users,
    new_run,
    next_step,
    proof_failed,
)
from shared.core.service_level import DayServed, remembered
from shared.core.snapshots import snapshot_of
from shared.core.users import ABSENT, User, parse_date, stamp_of, waiting_since
from shared.services.adopt import adopt_users, adoption_of
from shared.services.context import Context, until_reserve
from shared.services.find import Page, UserFinder
from shared.services.flush import DueUser, Flusher, follow_up_entry
from shared.services.grant import capture_user_error
from shared.services.prove import count_when_low, has_few_users, prove
from shared.services.reports import BuildReport, BuildStatus
from shared.store.control import Look
from shared.store.runs import StoredRun
from shared.store.users import UserDocument
from shared.store.values import get_instant

ADOPTED_BY_NAME_MAX = 10_000  # users whom an adoption could not stamp; of more of them only the mark in the stamp tells
PAGE_SHARE = 500  # users a page for each second of a call's time: a short call gets past a page as well
READ_TIME_SECONDS_MAX = 50 * 60  # the database serves reads of the past hour


def build(context: Context, requested: ScanRequest, process_seconds: float) -> BuildReport:
    """Begin or continue the day's run. Raises SystemFailureError; what was flushed before stays."""
    now = context.clock()
    run_id = context.schedule.day_of(now).isoformat()
    stored = context.runs().get(run_id)
    step = None if stored is None else next_step(stored.run, requested, scan_policy(context), now)
    if stored is not None and step is not None and step.step is Step.DONE:
        return _report(stored.run, BuildStatus.COMPLETED)
    state = context.control().look(now)
    if state.paused and requested is not ScanRequest.ADOPT:  # an adoption grants nothing, so a pause does not hold it
        return _report(stored.run, BuildStatus.PAUSED) if stored else _nothing(run_id, BuildStatus.PAUSED, requested)
    if stored is not None and stored.run.is_leased(now):
        return _report(stored.run, BuildStatus.IN_PROGRESS)
    try:
        leased = _lease(context, stored, requested, state.read_time_ns)
    except ConflictError:
        logs.info("build_beaten", "another builder leased the run first", runId=run_id)
        return _nothing(run_id, BuildStatus.IN_PROGRESS, requested)
    return Builder(context, leased, requested, process_seconds).run()


def preview(context: Context, requested: ScanRequest, process_seconds: float) -> BuildReport:
    """Count what a scan from the first user on would queue. Writes nothing."""
    now = context.clock()
    day = context.schedule.day_of(now)
    previous = context.runs().latest_before(day.isoformat())
    run = replace(
        new_run(day, requested, None if previous is None else previous.run, scan_policy(context), now),
        cursor=None,
        wrap_until=None,
        read_time_ns=context.control().look(now).read_time_ns,
    )
    return Builder(context, StoredRun(run, None), requested, process_seconds, dry=True).run()


def scan_policy(context: Context) -> ScanPolicy:
    settings = context.settings
    return ScanPolicy(context.fingerprint, settings.full_scan_days, settings.full_scan_below, settings.proof_tolerance)


def _nothing(run_id: str, status: BuildStatus, requested: ScanRequest) -> BuildReport:
    """The report of a call that has not looked at the run: of the scan that was asked for, as far as that is known."""
    scan = Scan.DUE if requested is ScanRequest.AUTO else Scan(requested.value)
    return BuildReport(run_id, status, scan, REQUESTED)


def _report(run: Run, status: BuildStatus) -> BuildReport:
    cursor = None if status is BuildStatus.COMPLETED else run.cursor
    return BuildReport(run.run_id, status, run.scan, run.scan_reason, cursor=cursor)


# Lease


def _lease(context: Context, stored: StoredRun | None, requested: ScanRequest, read_time_ns: int) -> StoredRun:
    """Take the run: no other builder scans it until the lease ends. Raises ConflictError if one was first."""
    if stored is None:
        return _begin(context, requested, read_time_ns)
    run = _at_a_fresh_moment(stored.run, read_time_ns)
    step = next_step(run, requested, scan_policy(context), context.clock())
    if step.choice is not None:
        run = _restart(context, run, step.choice.scan, step.choice.reason, read_time_ns)
    return _save_leased(context, stored, run, [])


def _begin(context: Context, requested: ScanRequest, read_time_ns: int) -> StoredRun:
    now, runs = context.clock(), context.runs()
    day = context.schedule.day_of(now)
    previous = runs.latest_before(day.isoformat())
    before = None if previous is None else previous.run
    run = replace(
        new_run(day, requested, before, scan_policy(context), now),
        history=() if before is None else _read_history(context, before, day),
        read_time_ns=read_time_ns,
    )
    if previous is None or previous.run.status is not RunStatus.IN_PROGRESS:
        return _save_leased(context, StoredRun(run, None), run, [])
    kept = _still_to_adopt(context, previous.run)
    run = replace(run, named=len(kept))
    lists = context.follow_up().kept_writes(run.run_id, run.generation, kept, now) if kept else []
    return _save_leased(context, StoredRun(run, None), run, [runs.supersede_write(previous), *lists])


def _still_to_adopt(context: Context, previous: Run) -> list[Mapping[str, Any]]:
    """Users kept by name of an unfinished adoption. The next day's run goes on behind them, so it would lose them."""
    if previous.scan is not Scan.ADOPT or previous.adopts_marked or not previous.named:
        return []
    entries = context.follow_up().read(previous.run_id, previous.generation)
    return [entry for entry in entries if entry.get("named") is True]


def _at_a_fresh_moment(run: Run, read_time_ns: int) -> Run:
    """The run with a read time that the database still serves."""
    known = run.read_time_ns
    if known is not None and 0 <= read_time_ns - known < READ_TIME_SECONDS_MAX * 1_000_000_000:
        return run
    return replace(run, read_time_ns=read_time_ns)


def _restart(context: Context, run: Run, scan: Scan, reason: str, read_time_ns: int) -> Run:
    """Restart the run at the first user. Settled users are counted at the same moment at which users will be read."""
    logs.info("build_restarted", reason, runId=run.run_id, scan=scan.value)
    if reason == ADOPTION_FAILED:
        return replace(run.adopting_marked(reason, context.fingerprint), read_time_ns=read_time_ns)
    rollup = context.rollups().total(run.run_id, read_time_ns)
    replaced = sum(rollup.superseded_by_generation.values())  # they were found again by the scan before
    well = rollup["refreshedUsers"] + rollup["skippedUsers"] - replaced
    settled = SettledUsers(well, rollup["failedUsers"], rollup.done_by_hour)
    return replace(run.restarted(scan, reason, context.fingerprint, settled), read_time_ns=read_time_ns)


def _save_leased(context: Context, stored: StoredRun, run: Run, beside: Sequence[Any]) -> StoredRun:
    """The first write of a call. It also saves what the call has cost so far."""
    cost = context.wire.cost
    billed = Billed(cost.reads, cost.writes + 1 + len(beside))
    leased = run.leased(uuid.uuid4().hex, context.clock() + context.lease)
    return context.runs().save(stored, leased.written(context.clock(), billed), beside)


def _read_history(context: Context, previous: Run, today: date) -> Sequence[DayServed]:
    """How earlier days were served. The last two days are read again, because their jobs may still be settled."""
    days = {previous.day, *(entry.day for entry in previous.history[-1:])}
    rollups = context.rollups()
    fresh = [DayServed(day, rollups.total(day.isoformat()).served) for day in sorted(days)]
    return remembered(previous.history, fresh, today)


# Scan


class Builder:
    """One call's scan of a leased run. `dry`: counts and writes nothing."""

    def __init__(
        self,
        context: Context,
        stored: StoredRun,
        requested: ScanRequest,
        process_seconds: float,
        *,
        dry: bool = False,
    ) -> None:
        self._context = context
        self._requested = requested
        self._dry = dry
        self._policy = scan_policy(context)
        self._scan_budget = until_reserve(context.wire.budget, process_seconds)
        self._page_users = min(context.limits.page_users, max(1, int(process_seconds * PAGE_SHARE)))
        self._now = context.clock()
        self._day = stored.run.day
        self._flusher = Flusher(context, stored, dry=dry)
        self._cursor = stored.run.cursor
        self._names: Mapping[str, Mapping[str, Any]] = {}  # follow-up entries of users kept by name
        self._ranges: Sequence[ScanRange] = ()
        self._restarted = False
        self._paused = False

    @property
    def _run(self) -> Run:
        return self._flusher.stored.run

    @_run.setter
    def _run(self, run: Run) -> None:
        """Changed in memory; the next flush writes it."""
        self._flusher.stored = replace(self._flusher.stored, run=run)

    def run(self) -> BuildReport:
        try:
            with logs.context(runId=self._run.run_id):
                return self._prove_and_scan()
        except ConflictError:
            logs.warning("build_beaten", "the lease ended and another builder took the run over")
            return self._answer(BuildStatus.IN_PROGRESS)
        except OutOfTimeError:
            self._keep_what_was_found()
            return self._answer(BuildStatus.IN_PROGRESS)
        except StoreError:
            self._keep_what_was_found()
            raise

    def _prove_and_scan(self) -> BuildReport:
        named = self._read_named()
        self._prove(named)
        if self._run.is_completed:
            self._flusher.flush(self._cursor, Run.released)
            return self._answer(BuildStatus.COMPLETED)
        return self._scan(named)

    def _read_named(self) -> list[UserDocument]:
        """Read the users who are kept by name, as they are now."""
        run = self._run
        if run.names_from is None:
            return []
        entries = self._context.follow_up().read(*run.names_from)
        self._names = {str(entry["userId"]): entry for entry in entries if entry.get("named") is True}
        if run.reads_everybody_by_id:
            return []
        return self._context.users().read_at(list(self._names), self._read_time_ns)

    @property
    def _read_time_ns(self) -> int:
        assert self._run.read_time_ns is not None, "a leased run has its moment"
        return self._run.read_time_ns

    def _prove(self, named: Sequence[UserDocument]) -> None:
        """Count once more if the proof is open. If the proof fails, the scan becomes one of everybody."""
        run, tolerance = self._run, self._policy.proof_tolerance
        proof = run.proof or Proof()
        is_wanted = self._requested is ScanRequest.AUTO and run.scan is Scan.DUE
        if not is_wanted or not proof.is_due(self._now, tolerance):
            return
        below = self._policy.full_scan_below
        moment = self._look().read_time_ns if proof.tried_at else self._read_time_ns
        if run.proof is None and below and has_few_users(self._context, below, moment):
            self._read_everybody(few_users(below))
            return
        if moment != self._read_time_ns:
            named = self._context.users().read_at([user.user_id for user in named], moment)
        proof = prove(self._context, proof, named, moment)
        self._run = run.proved(proof, tolerance)
        if proof.has_failed(tolerance):
            self._read_everybody(proof_failed(proof))

    def _read_everybody(self, reason: str) -> None:
        """Make the run scan everybody: by a restart, if it has queued users already."""
        run = self._run
        if run.cursor is None and run.counts.scanned == 0 and not run.is_completed:
            self._run = run.reading_everybody(reason)
        else:
            moment = self._look().read_time_ns
            self._run = _restart(self._context, run, Scan.ALL, reason, moment)
        self._cursor = None

    def _scan(self, named: Sequence[UserDocument]) -> BuildReport:
        self._ranges = self._choose_ranges()
        finder = UserFinder(self._context, self._ranges, self._page_users, self._read_time_ns, named)
        for page in self._pages(finder):
            self._take(page)
            if self._flusher.is_due or (page.range.is_odd and page.users):
                self._flush()
            # Every call gets past one page at least, so that calls out of time add up to a run.
            if page.users and page.more and self._must_stop:
                self._flusher.flush(self._cursor, Run.released)
                return self._answer(BuildStatus.PAUSED if self._paused else BuildStatus.IN_PROGRESS)
        if self._run.scan is Scan.ALL and self._restarted:
            return self._scan([])
        self._count_left_alone()
        self._flusher.flush(self._cursor, lambda run: run.completed(self._now, self._policy.proof_tolerance))
        return self._answer(BuildStatus.COMPLETED)

    def _pages(self, finder: UserFinder) -> Iterator[Page]:
        """The pages of the scan. Where no index serves a range, the day's scan becomes one of everybody."""
        self._restarted = False
        try:
            yield from finder.pages(self._cursor)
        except MissingIndexError as exc:
            if self._run.reads_everybody_by_id:
                raise
            logs.error("index_missing", f"everybody is scanned instead: {exc}")
            self._flusher.flush(self._cursor)
            self._read_everybody(NO_INDEX)
            self._restarted = True

    def _count_left_alone(self) -> None:
        """Record how many full users this scan left alone: all users found by balance, except those who were low."""
        if self._run.scan is Scan.DUE and self._context.plans.low_below is not None:
            self._run = replace(self._run, when_low=count_when_low(self._context, self._read_time_ns))

    def _choose_ranges(self) -> Sequence[ScanRange]:
        if self._run.reads_everybody_by_id:
            return everybody(self._run.wrap_until)
        plans = self._context.plans
        return due(self._day, days_of_longest_period(plans), plans.low_below)

    def _look(self) -> Look:
        """Read the pause switch and the database's own time."""
        return self._context.control().look(self._context.clock())

    @property
    def _must_stop(self) -> bool:
        return self._paused or self._context.stopping.is_set() or self._scan_budget.remaining_seconds == 0

    def _take(self, page: Page) -> None:
        if self._run.scan is Scan.ADOPT:
            step = self._preview_adoption if self._dry else self._adopt
            step(page)
            return
        for user in page.users:
            cursor = page.cursor_at(user)
            if not self._is_elsewhere(page.range, user):
                self._decide(user, cursor, is_low=page.range.name is RangeName.BY_BALANCE and _is_when_low(user))
            self._cursor = cursor  # not before: a flush after a failure would pass over a user who is not decided
            if self._flusher.is_due:
                self._flush()

    def _is_elsewhere(self, each: ScanRange, user: UserDocument) -> bool:
        """True for a user who is in another range of this scan. Counting such a user here would count twice."""
        if each.name is RangeName.NAMED or self._run.reads_everybody_by_id:
            return False
        if user.user_id in self._names:
            return True
        if each.order_by is not OrderBy.BALANCE:
            return False
        stamp = stamp_of(user.raw) or {}
        return is_found_by_date(stamp.get("dueOn", ABSENT), self._ranges)

    # Decide

    def _decide(self, user: UserDocument, cursor: Cursor, *, is_low: bool = False) -> None:
        """Queue a user who is due, mend the stamp of a user who is not, and name a user who fails."""
        checkpoints = self._checkpoints_at(cursor)
        found = capture_user_error(user.user_id, lambda: self._judge(user))
        if not isinstance(found, Outcome) and self._must_adopt(user):
            found = self._adopt_alone(user)
        if isinstance(found, DueUser):
            self._queue(user, found, checkpoints)
        if not checkpoints:  # otherwise the flush that left the checkpoint has counted the user
            was_refreshed = self._was_refreshed(user)
            self._flusher.count(found, self._follow_up(user, found), is_low=is_low, was_refreshed=was_refreshed)

    def _queue(self, user: UserDocument, due: DueUser, checkpoints: Sequence[Any]) -> None:
        """Queue a user once for each local date, unless an interrupted flush has done so."""
        for local_date in due.local_dates:
            slot = self._context.schedule.slot_start(local_date, user.user_id, due.own_days, due.activity)
            position = SlotPosition(slot, user.user_id)
            if not any(checkpoint.has_queued(position) for checkpoint in checkpoints):
                self._flusher.queue(position, due, self._due_at(position, user), local_date)
            if len(due.local_dates) > 1:
                due = replace(due, snapshot=None)  # the first grant changes the document

    def _checkpoints_at(self, cursor: Cursor) -> list[Any]:
        spread = self._context.schedule.spread
        return [
            checkpoint
            for checkpoint in self._run.checkpoints
            if checkpoint.spread == spread and checkpoint.has_scanned(cursor)
        ]

    def _must_adopt(self, user: UserDocument) -> bool:
        """True for a user kept by name whom an adoption could not stamp, and whose stamp does not say so.

        A user who has been stamped since the list was made was adopted: a scan of today met the user and was restarted,
        or one of an earlier day was not finished.
        """
        if self._run.names_from is None or self._names.get(user.user_id, {}).get("adopt") is not True:
            return False
        if (stamp_of(user.raw) or {}).get("adopt") is True:
            return False
        listed_on = date.fromisoformat(self._run.names_from[0])
        try:
            read = self._context.read_user(user.raw)
            left = decide_adoption(read, self._context.plans, listed_on)
        except UserError:
            return True
        return read is not None and (left.reason is not SkipReason.ALREADY_GRANTED or not read.periods)

    def _adopt_alone(self, user: UserDocument) -> Outcome:
        if self._dry:
            return self._adoption_of(user)
        ((outcome,),) = adopt_users(self._context, [user], self._day)
        return outcome

    def _judge(self, user: UserDocument) -> DueUser | None:
        """What a job needs of a due user; None for a user with nothing to do. Raises UserError."""
        found: Any = None
        read = None
        try:
            read = self._context.read_user(user.raw)
            if read is not None:
                self._warn_of_zone(user.user_id, read)
                found = self._decide_dates(read)
        except UserError as exc:
            found = exc
        if read is not None and isinstance(found, tuple):
            snapshot = snapshot_of(
                user.update_time_ns,
                read,
                self._context.plans,
                found[0],
                self._context.activity_after(user, read),
            )
            self._mend_later_due_on(user, read, found[0])
            plan = self._context.plans.find(read.plan).name
            return DueUser(snapshot, found, plan, read.own_days, read.activity)
        self._mend(user, found)
        if isinstance(found, UserError):
            raise found
        return None

    def _decide_dates(self, user: User) -> tuple[date, ...] | Decision:
        """The local dates of this run for which a period is to be stamped; if there are none, the last decision.

        A second date is decided on the user as the first grant will leave it. Raises UserError.
        """
        due: list[date] = []
        for local_date in user.days_in_run(self._day):
            try:
                found = decide(user, self._context.plans, local_date, None)
            except UserError:
                if due:
                    break  # the first grant has room for the credits, and the second has none
                raise
            stamped = found.stamp if isinstance(found, Skip) else found
            if isinstance(stamped, Grant):
                due.append(local_date)
                user = user_after(user, stamped)
        return tuple(due) or found

    def _warn_of_zone(self, user_id: str, user: User) -> None:
        if user.zone_problem:
            self._flusher.warn(user_id, UserErrorCode.BAD_ZONE, user.zone_problem)

    def _mend(self, user: UserDocument, found: object) -> None:
        corrections = corrections_of(user.raw, found, self._day)
        if corrections:
            self._flusher.mend(Mend(user.user_id, user.update_time_ns, corrections))

    def _mend_later_due_on(self, user: UserDocument, read: User, local_date: date) -> None:
        """Correct the `dueOn` of a due user if it lies ahead, as after a change from monthly to daily plans.

        If the job ends without a grant, no scan by date would find the user before that day.
        """
        due_on = (stamp_of(user.raw) or {}).get("dueOn")
        if not self._run.reads_everybody_by_id or due_on is None or is_due(due_on, self._day):
            return
        found = decide(read, self._context.plans, local_date, None)
        grant = found.stamp if isinstance(found, Skip) else found
        if isinstance(grant, Grant) and not (grant.when_low and due_on == WHEN_LOW):
            self._mend(user, grant)

    def _was_refreshed(self, user: UserDocument) -> bool:
        """True if a job of this run has refreshed the user: an earlier scan of the day has counted the user, too."""
        if not self._run.generation:
            return False
        return is_job_of_scan((stamp_of(user.raw) or {}).get("jobId"), self._run.run_id)

    def _follow_up(self, user: UserDocument, found: object) -> Mapping[str, Any] | None:
        """The entry of a user who fails. Kept by name: whoever can't be found by `dueOn`, or is still to be adopted."""
        if not isinstance(found, Outcome) or found.code is None:
            return None
        earlier = self._names.get(user.user_id, {})
        stamp = stamp_of(user.raw) or {}
        since = earlier.get("since") or _date_until(stamp.get("dueOn"), self._day).isoformat()
        adopt = earlier.get("adopt") is True or self._run.scan is Scan.ADOPT
        named = must_be_named(user.raw) or (adopt and self._run.named < ADOPTED_BY_NAME_MAX)
        return follow_up_entry(found, str(since), named=named, adopt=adopt)

    def _due_at(self, position: SlotPosition, user: UserDocument) -> datetime | None:
        """Since when a user has waited, if the slot has passed; else None."""
        if position.slot >= self._now:
            return None
        waiting = waiting_since(user.raw, get_instant(user.update_time_ns), self._context.plans)
        return min(self._now, max(position.slot, waiting))

    def _adopt(self, page: Page) -> None:
        """Stamp the current period of each user of the page, grant nothing, and flush."""
        users = {
            user.user_id: user
            for user in page.users
            if self._is_to_be_adopted(user) and not self._is_elsewhere(page.range, user)
        }
        for outcomes in adopt_users(self._context, list(users.values()), self._day):
            for outcome in outcomes:
                user = users[outcome.user_id]
                was_refreshed = self._was_refreshed(user)
                self._flusher.count(outcome, self._follow_up(user, outcome), was_refreshed=was_refreshed)
            self._cursor = page.cursor_at(users[outcomes[-1].user_id])
            if self._flusher.is_due:
                self._flush()
        if page.users:
            self._cursor = page.cursor_at(page.users[-1])
        self._flush()

    def _preview_adoption(self, page: Page) -> None:
        """Count what an adoption of the page would do."""
        for user in page.users:
            self._flusher.count(self._adoption_of(user))
        self._flush()

    def _adoption_of(self, user: UserDocument) -> Outcome:
        """The outcome an adoption would have for a user."""
        found = capture_user_error(user.user_id, partial(adoption_of, self._context, user, self._day))
        return found if isinstance(found, Outcome) else Outcome.skipped(user.user_id, found.reason)

    def _is_to_be_adopted(self, user: UserDocument) -> bool:
        """True for each user; in a repeated adoption only for users whom the first one could not stamp."""
        if not self._run.adopts_marked:
            return True
        is_marked = (stamp_of(user.raw) or {}).get("adopt") is True
        return is_marked or self._names.get(user.user_id, {}).get("adopt") is True

    # Flush

    def _flush(self) -> None:
        self._flusher.flush(self._cursor)
        if not self._dry:
            self._paused = self._look().paused and self._requested is not ScanRequest.ADOPT

    def _keep_what_was_found(self) -> None:
        """Flush what was found, so that it is not read and billed again, and let the next builder begin at once."""
        try:
            self._flusher.flush(self._cursor, Run.released)
        except StoreError as exc:
            logs.warning("build_not_kept", f"scanned again from the last checkpoint, once the lease has ended: {exc}")

    def _answer(self, status: BuildStatus) -> BuildReport:
        run, found = self._run, self._flusher.flushed
        cursor = None if status is BuildStatus.COMPLETED else self._cursor
        return BuildReport(run.run_id, status, run.scan, run.scan_reason, found.counts, cursor, found.errors)


def _date_until(value: object, day: date) -> date:
    """The date that the value is, if it is one and not after the day; else the day."""
    known = parse_date(value) if isinstance(value, str) else None
    return day if known is None else min(known, day)


def _is_when_low(user: UserDocument) -> bool:
    return (stamp_of(user.raw) or {}).get("dueOn") == WHEN_LOW
