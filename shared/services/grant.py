"""Granting: one optimistic loop for worker, direct refresh and adoption.

The first round writes on the basis of what the caller has read, each write under the precondition that the document is
unchanged. Users whose documents changed are read and decided again in the next round. A user who changed in every round
is decided in a transaction, which makes other writers wait, so that constant writing can't prevent a refresh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from shared import logs
from shared.core.changes import REQUESTED
from shared.core.decision import AlreadyApplied, Decision, Grant, Skip, SkipReason, decide, decide_adoption
from shared.core.errors import (
    ConflictError,
    StoreError,
    SystemFailureError,
    UnreadableRunError,
    UserError,
    UserErrorCode,
)
from shared.core.jobs import later_today_job
from shared.core.mending import Mend, corrections_of
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.quiet_hours import read_activity
from shared.core.users import User, stamp_of
from shared.services.context import Context
from shared.store.users import StampFieldsWrite, StampWrite, UserDocument, UserStore, WriteStatus
from shared.store.wire import Wire

T = TypeVar("T")
OutcomeInstead = Callable[[str], Outcome]  # the outcome of a user who would be granted
_WRITTEN_AGAIN = (WriteStatus.CHANGED, WriteStatus.TRANSIENT)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A user to refresh, with what is known of the document. Known update time and `user` None: it has no balance.

    Where activity is learnt, that of `user` is what the next grant writes.
    """

    user_id: str
    update_time_ns: int | None = None
    user: User | None = None

    @property
    def must_be_read(self) -> bool:
        return self.update_time_ns is None


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """Why users are granted: the root job's id and the run's day.

    `local_date`: for which local date of the users. None: for the one that each user has at this moment.
    `adopting`: stamp the period and grant nothing. `outcome_instead`: the outcome of users who would be granted; then
    nothing is written, and only grants that landed earlier are found. `scheduled_for`: when the job was due.
    """

    job_id: str
    day: date
    adopting: bool = False
    outcome_instead: OutcomeInstead | None = None
    scheduled_for: datetime | None = None
    local_date: date | None = None


class Granter:
    """Refreshes candidates until each has an outcome, even if their documents change meanwhile."""

    def __init__(self, context: Context, wire: Wire, request: GrantRequest) -> None:
        self._context = context
        self._wire = wire
        self._users: UserStore = context.users(wire)
        self._request = request
        self._outcomes: dict[str, Outcome] = {}
        self._reasons: dict[str, tuple[UserErrorCode, str]] = {}  # code and message of users who must be tried again
        self._must_wait = False
        self._later = defaultdict[tuple[date, datetime], set[str]](set)  # users by local date and slot
        self._candidates = 0
        self.conflicts = 0
        #: Users whose stamp was to be mended and who turned out to be due, as they were read.
        self.due_documents: dict[str, UserDocument] = {}

    def refresh(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """One outcome for each candidate. Raises SystemFailureError when the database can't be reached."""
        pending, self._candidates = list(candidates), len(candidates)
        for number in range(1, self._context.limits.grant_rounds + 1):
            known, now = self._read(pending), self._context.clock()
            writes = [write for candidate in known if (write := self._plan_write(candidate, now)) is not None]
            self._queue_later_today(now)
            pending = self._write(writes)
            if not pending:
                break
            if self._must_wait:
                self._wire.back_off(number)
        self._refresh_contended(pending, now)
        left = [candidate for candidate in pending if candidate.user_id not in self._outcomes]
        for candidate in self._read(left):  # the last write may have landed although its reply was lost
            self._plan_write(candidate, now, self._left_to_a_retry)
        return [self._outcomes[candidate.user_id] for candidate in candidates]

    def _queue_later_today(self, now: datetime) -> None:
        """Queue users whose next midnight lies in the day of a run that may have scanned them already.

        A scan queues all local dates of its run. A call, an event or a request may grant an earlier date, as to a user
        who signs up in the evening of Los Angeles, when the run of the next date is under way.

        It comes before the grants. After a crash in between, nobody would see that such a job is missing.
        """
        day, turns = self._request.day, dict(self._later)
        self._later.clear()
        generation = self._generation(day) if turns else 0
        for (local_date, slot), user_ids in turns.items():
            job = replace(
                later_today_job(self._request.job_id, tuple(sorted(user_ids)), day, local_date, slot),
                max_attempts=self._context.settings.max_attempts,
                created_at=now,
                generation=generation,
            )
            try:
                self._wire.commit([self._context.jobs(self._wire).create_write(job)])
            except ConflictError:
                logs.info("job_exists", "an earlier delivery made it", runId=job.run_id)

    def _generation(self, day: date) -> int:
        try:
            stored = self._context.runs(self._wire).get(day.isoformat())
        except UnreadableRunError as exc:
            logs.error("run_unreadable", str(exc))
            return 0
        return 0 if stored is None else stored.run.generation

    def _note_later_today(self, candidate: Candidate, dates: Sequence[date]) -> None:
        """Note local dates of the run that begin later, to be queued. A job of a scan need not: the scan did."""
        if self._request.local_date is None and not self._request.adopting:
            for local_date in dates:
                self._later[local_date, self._next_at(local_date, candidate)].add(candidate.user_id)

    def _refresh_contended(self, candidates: Sequence[Candidate], now: datetime) -> None:
        """Lock and refresh, one by one, users who changed before each write. The rest are left to a retry."""
        contended = [
            candidate.user_id
            for candidate in candidates
            if self._reasons[candidate.user_id][0] is UserErrorCode.CONTENTION
        ]
        for user_id in contended[: self._context.limits.locked_users]:
            logs.warning("user_contended", "the document keeps changing; it is locked for the refresh", userId=user_id)
            for _ in range(self._context.limits.lock_tries):
                if self._is_refreshed_locked(user_id, now):
                    break

    def _is_refreshed_locked(self, user_id: str, now: datetime) -> bool:
        """True if it was refreshed. False if another keeps the document locked, or the database fails."""
        try:
            self._refresh_locked(user_id, now)
        except StoreError as exc:
            logs.warning("user_not_locked", str(exc), userId=user_id)
            return False
        return True

    def _refresh_locked(self, user_id: str, now: datetime) -> None:
        document, transaction = self._users.lock(user_id)
        if document is None:
            self._settle(Outcome.skipped(user_id, SkipReason.DELETED))
        known = [] if document is None else self._candidates_of(document)
        write = self._plan_write(known[0], now) if known else None
        self._queue_later_today(now)
        self._users.write_locked(write, transaction)
        if write is not None:
            self._settle(self._written(write))

    def mend(self, mends: Sequence[Mend]) -> set[str]:
        """Write the corrections. Users who changed since are decided again. Returns the users left to a retry."""
        writes = [StampFieldsWrite(mend.user_id, mend.update_time_ns, mend.corrections) for mend in mends]
        return self._correct(writes, self._mend)

    def mend_by_new_decisions(self, user_ids: Sequence[str]) -> set[str]:
        """Read and decide the users, and correct their stamps accordingly. Returns the users left to a retry."""
        found = self._users.read(user_ids)
        unread = {user_id for user_id, each in found.items() if isinstance(each, SystemFailureError)}
        writes = [write for each in found.values() if isinstance(each, UserDocument) and (write := self._mend(each))]
        return unread | self._correct(writes, self._mend)

    def put_right(self, known: Mapping[str, UserDocument]) -> None:
        """Correct the stamps of users who were not granted, and remove their `refreshRequested`.

        A grant has done both itself, and a passing failure leaves the request. `known`: documents read before.
        """
        closed = [outcome.user_id for outcome in self._outcomes.values() if _is_closed(outcome)]
        unread = [user_id for user_id in closed if user_id not in known]
        found = {**{user_id: known[user_id] for user_id in closed if user_id in known}, **self._users.read(unread)}
        documents = [each for each in found.values() if isinstance(each, UserDocument)]
        self._correct([write for each in documents if (write := self._put_right(each))], self._put_right)

    def _correct(
        self, writes: list[StampFieldsWrite], judge: Callable[[UserDocument], StampFieldsWrite | None]
    ) -> set[str]:
        """Make the writes. Users who changed since are read and decided again, and so are users whose write failed.

        Returns the users whose stamp could not be written in any round.
        """
        again: list[str] = []
        for number in range(1, self._context.limits.grant_rounds + 1):
            statuses = [result.status for result in self._users.write_stamp_fields(writes)]
            again = [write.user_id for write, status in zip(writes, statuses, strict=True) if status in _WRITTEN_AGAIN]
            if not again:
                break
            if WriteStatus.TRANSIENT in statuses:
                self._wire.back_off(number)
            documents = self._users.read(again).values()
            writes = [write for each in documents if isinstance(each, UserDocument) and (write := judge(each))]
        return set(again)

    def _mend(self, document: UserDocument) -> StampFieldsWrite | None:
        """The write that corrects a stamp, given the present document; None if the stamp is right."""
        found = self._found(document)
        if isinstance(found, Grant) and not found.when_low:
            self.due_documents[document.user_id] = document
        corrections = corrections_of(document.raw, found, self._request.day)
        return StampFieldsWrite(document.user_id, document.update_time_ns, corrections) if corrections else None

    def _put_right(self, document: UserDocument) -> StampFieldsWrite | None:
        """The write that corrects a stamp and ends a request; None if there is nothing to write.

        A request of a user who is to be granted is a new one, and stays.
        """
        found = self._found(document)
        corrections = dict(corrections_of(document.raw, found, self._request.day))
        if REQUESTED in (stamp_of(document.raw) or {}) and not isinstance(found, Grant):
            corrections[REQUESTED] = None
        return StampFieldsWrite(document.user_id, document.update_time_ns, corrections) if corrections else None

    def _found(self, document: UserDocument) -> User | Decision | UserError | None:
        """The decision on a document as it is now; None if it is not a user, or the user's error."""
        try:
            user = self._context.read_user(document.raw)
            return None if user is None else decide(user, self._context.plans, self._local_date(user), None)
        except UserError as exc:
            return exc

    def _read(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with their present documents. Users who are gone or can't be read get their outcome here."""
        unread = [candidate.user_id for candidate in candidates if candidate.must_be_read]
        if not unread:
            return list(candidates)
        documents = self._users.read(unread)
        known = [candidate for candidate in candidates if not candidate.must_be_read]
        for user_id in unread:
            document = documents.get(user_id)
            if document is None:
                self._settle(Outcome.skipped(user_id, SkipReason.DELETED))
            elif isinstance(document, SystemFailureError):
                self._settle(Outcome.retry(user_id, UserErrorCode.READ_FAILED, str(document)))
            elif isinstance(document, StoreError):
                self._settle(Outcome.failed(user_id, UserErrorCode.READ_REJECTED, str(document)))
            else:
                known += self._candidates_of(document)
        return known

    def _candidates_of(self, document: UserDocument) -> list[Candidate]:
        candidate = candidate_of(self._context, document)
        if isinstance(candidate, Candidate):
            return [candidate]
        self._settle(candidate)
        return []

    def _plan_write(
        self, candidate: Candidate, now: datetime, outcome_instead: OutcomeInstead | None = None
    ) -> StampWrite | None:
        """The write that a candidate needs; None if the user has an outcome without a write."""
        outcome_instead = outcome_instead or self._request.outcome_instead
        match capture_user_error(candidate.user_id, lambda: self._decide(candidate)):
            case Grant() | Skip(stamp=Grant()) if outcome_instead is not None:
                self._settle(outcome_instead(candidate.user_id))
            case Grant() as grant:
                if grant.next_run == self._request.day and not grant.when_low:
                    self._note_later_today(candidate, [grant.period.end])
                return self._stamp_write(candidate, grant, now)
            case Skip(stamp=Grant() as stamp):
                return self._stamp_write(candidate, stamp, now, adopting=True)
            case Skip(reason, due_on):
                if due_on == self._request.day.isoformat() and reason is SkipReason.ALREADY_GRANTED:
                    self._note_later_today(candidate, self._dates_to_come(candidate.user))
                self._settle(Outcome.skipped(candidate.user_id, reason))
            case AlreadyApplied(before, after):
                self._settle(Outcome.refreshed(candidate.user_id, before, after))
            case Outcome() as failed:
                self._settle(failed)
        return None

    def _decide(self, candidate: Candidate) -> Decision:
        if self._request.adopting:
            return decide_adoption(candidate.user, self._context.plans, self._local_date(candidate.user))
        return decide(candidate.user, self._context.plans, self._local_date(candidate.user), self._request.job_id)

    def _local_date(self, user: User | None) -> date:
        """For which local date to decide. Never one that has not begun for the user, whose zone may have changed."""
        request = self._request
        wanted = request.local_date
        if (user is None or user.own_days is None) and wanted in (None, request.day):
            return request.day
        present = self._context.day_of(user)
        return present if wanted is None else min(wanted, present)

    def _dates_to_come(self, user: User | None) -> list[date]:
        """The local dates of the run that have not begun for a user who has moved to another zone since the grant."""
        if user is None or user.own_days is None:
            return []
        present = self._context.day_of(user)
        return [local_date for local_date in user.days_in_run(self._request.day) if local_date > present]

    def _stamp_write(self, candidate: Candidate, grant: Grant, now: datetime, *, adopting: bool = False) -> StampWrite:
        return StampWrite(
            user_id=candidate.user_id,
            update_time_ns=candidate.update_time_ns or 0,
            grant=grant,
            job_id=self._request.job_id,
            refreshed_at=now,
            next_at=self._next_at(grant.period.end, candidate),
            adopting=adopting,
            activity=self._activity(candidate),
        )

    def _activity(self, candidate: Candidate) -> str | None:
        """What the grant writes as `activity`; None if activity is not learnt."""
        if candidate.user is None or not self._context.settings.learns_activity:
            return None
        return read_activity(candidate.user.activity)

    def _next_at(self, day: date, candidate: Candidate) -> datetime:
        """When the user's next job is due: at their slot, or as much later as this job was put off to be shared."""
        schedule, due_at = self._context.schedule, self._request.scheduled_for
        own_days = None if candidate.user is None else candidate.user.own_days
        next_slot = schedule.slot_start(day, candidate.user_id, own_days, self._activity(candidate))
        # A quiet slot may move from day to day, so today's says nothing about how long the next one will be put off.
        if due_at is None or not self._context.settings.merge_minutes or self._context.settings.learns_activity:
            return next_slot
        put_off = due_at - schedule.slot_start(self._local_date(candidate.user), candidate.user_id, own_days)
        most = timedelta(minutes=self._context.settings.merge_minutes)
        return next_slot + put_off if timedelta() < put_off <= most else next_slot

    def _write(self, writes: Sequence[StampWrite]) -> list[Candidate]:
        """Make the writes. Returns the users whose write failed, to be read and decided again."""
        again = []
        self._must_wait = False
        for write, result in zip(writes, self._users.write(writes, self._candidates), strict=True):
            match result.status:
                case WriteStatus.WRITTEN:
                    self._settle(self._written(write))
                case WriteStatus.REJECTED:
                    self._settle(Outcome.failed(write.user_id, UserErrorCode.WRITE_REJECTED, result.message))
                case WriteStatus.CHANGED:
                    self.conflicts += 1
                    self._reasons[write.user_id] = (
                        UserErrorCode.CONTENTION,
                        "the document keeps changing under the refresh",
                    )
                    again.append(Candidate(write.user_id))
                case WriteStatus.TRANSIENT:
                    self._must_wait = True
                    self._reasons[write.user_id] = (UserErrorCode.WRITE_FAILED, result.message)
                    again.append(Candidate(write.user_id))
        return again

    def _left_to_a_retry(self, user_id: str) -> Outcome:
        return Outcome.retry(user_id, *self._reasons[user_id])

    def _written(self, write: StampWrite) -> Outcome:
        if write.adopting:
            return Outcome.skipped(write.user_id, SkipReason.ADOPTED)
        return Outcome.refreshed(write.user_id, write.grant.before, write.grant.after)

    def _settle(self, outcome: Outcome) -> None:
        self._outcomes[outcome.user_id] = outcome


def _is_closed(outcome: Outcome) -> bool:
    """True for a user for whom nothing was written and who will not be tried again."""
    return outcome.kind in (OutcomeKind.SKIPPED, OutcomeKind.FAILED) and outcome.reason not in (
        SkipReason.ADOPTED,
        SkipReason.DELETED,
    )


def candidate_of(context: Context, document: UserDocument) -> Candidate | Outcome:
    """The candidate for a document, or the outcome of a user with a bad value. Such a user fails alone."""
    user = capture_user_error(document.user_id, lambda: context.read_user(document.raw))
    if isinstance(user, Outcome):
        return user
    if user is not None and context.settings.learns_activity:
        user = replace(user, activity=context.activity_after(document, user))
    return Candidate(document.user_id, document.update_time_ns, user)


def capture_user_error(user_id: str, step: Callable[[], T]) -> T | Outcome:
    """Run a step for one user. Any exception is this user's failure, except SystemFailureError, which concerns all."""
    try:
        return step()
    except UserError as exc:
        return Outcome.failed(user_id, exc.code, str(exc))
    except SystemFailureError:
        raise
    except Exception as exc:  # noqa: BLE001 (one user's data must not stop the others)
        logs.error("user_step_failed", f"unexpected {type(exc).__name__}", exc_info=True, userId=user_id)
        return Outcome.failed(user_id, UserErrorCode.INTERNAL, f"unexpected {type(exc).__name__}; see the log")
