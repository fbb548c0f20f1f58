"""One attempt at one claimed job: parse it, refresh its users, settle it in one Commit.

When the database fails during an attempt, the job is released and the attempt does not count. When this has happened
to a job three times, the job is isolated: it is split into halves, and these again, until a user who breaks every
request has a job alone. From then on an attempt counts if the database wrote other users meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from shared import logs
from shared.core.decision import SkipReason
from shared.core.errors import SystemFailureError, UnreadableJobError, UserErrorCode
from shared.core.figures import Effort, figures_of, rolled_up
from shared.core.jobs import (
    AttemptMode,
    FailureResponse,
    Job,
    JobKind,
    Settlement,
    Snapshot,
    next_day_job,
    settle,
    split,
)
from shared.core.mending import Mend
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.retries import retry_delay
from shared.core.snapshots import user_of
from shared.core.users import User
from shared.services.context import GRACE_PERIOD_SECONDS, Context
from shared.services.grant import Candidate, Granter, GrantRequest, candidate_of
from shared.services.scans import Scans
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.job_documents import Claim, parse_job, unreadable_job
from shared.store.users import UserDocument

LEASE_SHARE = 0.8  # share of the lease for one job with all its tries; the rest is for settling it


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt as it ended. `settlement` is None if the job was released, or another worker has it."""

    settlement: Settlement | None
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Facts that the attempts of one call share."""

    #: The cost of users' reads and writes. Its writes show that the database works.
    users_cost: Cost
    #: What the call knows of the builder's scans.
    scans: Scans

    @classmethod
    def of(cls, context: Context) -> CallFacts:
        return cls(Cost(context.wire.cost), Scans(context))


class Attempt:
    """One attempt at one job. It has a cost and a time budget of its own; the budget ends before the lease."""

    def __init__(
        self,
        context: Context,
        claim: Claim,
        lease: Budget,
        call: CallFacts | None = None,
        known: Mapping[str, UserDocument] | None = None,
    ) -> None:
        """`known`: users who were read just before."""
        call = call or CallFacts.of(context)
        self._context = context
        self._claim = claim
        self._users_cost = call.users_cost
        self._scans = call.scans
        self._known = known or {}
        self._day: date | None = None  # the day whose period is granted
        self._users: dict[str, User | None] = {}  # as they were before this attempt, as far as that is known
        self._mends_left: tuple[Mend, ...] = ()  # to be tried again
        self._due: dict[str, User] = {}  # users who turned out to be due when their stamps were mended on a later day
        self._cost = Cost(self._users_cost)
        working = lease.shifted_by(-context.settings.lease_seconds * (1 - LEASE_SHARE))
        self._wire = context.wire.charging(self._cost).within(working.and_not_after(context.wire.budget))
        self._settling_wire = context.wire.bypassing_breaker().within(
            lease.and_not_after(context.wire.budget.shifted_by(GRACE_PERIOD_SECONDS))
        )
        self._started = time.monotonic()
        self._conflicts = 0

    def run(self) -> AttemptResult:
        """Work on the job and settle it. Raises ConflictError if the claim is lost, and SystemFailureError."""
        job, outcomes = self._work()
        if job.is_last_attempt:
            outcomes = [_leave_contended(outcome) for outcome in outcomes]
        if job.is_last_attempt and self._mends_left:
            logs.error("stamps_not_mended", f"the attempts of {job.job_id} are used up", users=len(self._mends_left))
        settlement = settle(job, outcomes, self._context.clock(), self._delay(job), self._mends_left)
        return self._settle(replace(settlement, next_day=self._next_day(job, outcomes)))

    def isolate(self, failure: SystemFailureError) -> AttemptResult | None:
        """Settle or split the job if the failure of the database is its own. None: the job must be released.

        Raises ConflictError if the claim is lost, and SystemFailureError.
        """
        try:
            job = parse_job(self._claim)
        except UnreadableJobError:
            return None
        match job.response_to_failure(database_works=self.database_works):
            case FailureResponse.RELEASE:
                return None
            case FailureResponse.SPLIT:
                now = self._context.clock()
                wait = timedelta() if self.database_works else self._delay(job)
                return self._settle(split(job, str(failure), now, now + wait))
            case FailureResponse.COUNT:
                outcomes = [
                    Outcome.retry(user_id, UserErrorCode.WRITE_FAILED, str(failure)) for user_id in job.user_ids
                ]
                return self._settle(settle(job, outcomes, self._context.clock(), self._delay(job), job.mends))

    @property
    def database_works(self) -> bool:
        """True if users were written in this call, by this attempt or another."""
        return self._users_cost.writes > 0

    @property
    def took_long(self) -> bool:
        """True if it had half of the time that a job may take."""
        return time.monotonic() - self._started > self._context.settings.lease_seconds * LEASE_SHARE / 2

    def _delay(self, job: Job) -> timedelta:
        return retry_delay(max(1, job.attempts), self._context.draw)

    def _settle(self, settlement: Settlement) -> AttemptResult:
        job = settlement.job
        figures = figures_of(settlement, self._effort(settlement))
        increments = rolled_up(settlement, figures, self._context.schedule.day_start(job.day))
        self._context.jobs(self._settling_wire).settle(self._claim, settlement, figures, increments)
        logs.info(
            "job_settled",
            f"{job.job_id} {job.status}",
            runId=job.run_id,
            users=len(settlement.outcomes),
            onTimeUsers=figures["onTimeUsers"],
            lateUsers=figures["lateUsers"],
            lagSeconds=max(0, round((settlement.ended_at - job.promised_at).total_seconds())),
        )
        return AttemptResult(settlement, self._conflicts)

    def _work(self) -> tuple[Job, list[Outcome]]:
        """The job and the outcomes of its users. An unreadable job fails alone, with the users it names."""
        try:
            job = parse_job(self._claim)
        except UnreadableJobError as exc:
            job = unreadable_job(self._claim, self._context.schedule.day_of(self._context.clock()))
            return job, [
                Outcome.failed(user_id, UserErrorCode.UNREADABLE_JOB, str(exc)) for user_id in job.user_ids or ("",)
            ]
        if job.mode is AttemptMode.ABANDON:
            return job, [_fail_lost(user_id) for user_id in job.user_ids]
        if job.mends:
            self._mend(job)
            return job, []
        return job, self._refresh_users(job)

    def _mend(self, job: Job) -> None:
        """Correct the stamps of the users whom the mends name.

        Corrections that were decided under other settings, or on another day, say nothing any more. Their users are
        read and decided again, for the present day.
        """
        is_stale = job.fingerprint != self._context.fingerprint or job.day != self._today
        request = GrantRequest(job.root_id, self._today, local_date=None if is_stale else job.local_date or job.day)
        granter = Granter(self._context, self._wire, request)
        if is_stale:
            left = granter.mend_by_new_decisions([mend.user_id for mend in job.mends])
            self._due = self._users_of(granter.due_documents)
        else:
            left = granter.mend(job.mends)
        if _may_be_outage(job) and len(left) == len(job.mends):
            raise SystemFailureError(f"none of {len(left)} stamps could be mended")
        self._mends_left = tuple(mend for mend in job.mends if mend.user_id in left)

    def _users_of(self, documents: Mapping[str, UserDocument]) -> dict[str, User]:
        users = {user_id: self._context.read_user(document.raw) for user_id, document in documents.items()}
        return {user_id: user for user_id, user in users.items() if user is not None}

    def _refresh_users(self, job: Job) -> list[Outcome]:
        day = self._scans.day_to_work_for(job, self._today)
        if day is None and not self._was_begun(job):
            return [_skip_superseded(user_id) for user_id in job.user_ids]
        instead = _skip_superseded if day is None else _fail_lost if job.mode is AttemptMode.RECONCILE else None
        self._day = day or job.day
        request = GrantRequest(
            job.root_id,
            self._day,
            outcome_instead=instead,
            scheduled_for=job.scheduled_for,
            local_date=(job.local_date or job.day) if job.kind is None and self._day == job.day else None,
        )
        granter = Granter(self._context, self._wire, request)
        candidates = self._candidates(job) if instead is None and day == job.day else _unread(job.user_ids)
        self._users = {candidate.user_id: candidate.user for candidate in candidates}
        outcomes = granter.refresh(candidates)
        self._conflicts = granter.conflicts
        if _may_be_outage(job) and all(map(_is_refused, outcomes)):
            raise SystemFailureError(f"none of {len(outcomes)} users could be written: {outcomes[0].error}")
        if job.kind is JobKind.REQUEST:
            granter.put_right(self._known)
        return outcomes

    def _was_begun(self, job: Job) -> bool:
        """True for a job that was begun before: some of its writes may have landed, and grants need their receipts."""
        return self._claim.due_job.was_claimed or job.job_id != job.root_id

    def _candidates(self, job: Job) -> list[Candidate]:
        """Users as the builder read them. If plans or schedule have changed since, or the day, they are read again."""
        if self._known:
            return [self._as_candidate(user_id, self._known.get(user_id)) for user_id in job.user_ids]
        if self._today > job.day:
            return self._read(job.user_ids)
        if not job.snapshots or job.fingerprint != self._context.fingerprint:
            return _unread(job.user_ids)
        return [
            self._from_snapshot(user_id, snapshot)
            for user_id, snapshot in zip(job.user_ids, job.snapshots, strict=True)
        ]

    def _from_snapshot(self, user_id: str, snapshot: Snapshot | None) -> Candidate:
        """The user as the builder read it. One whose zone is not known here has to be read again."""
        if snapshot is None:
            return Candidate(user_id)
        try:
            user = user_of(snapshot, self._context.plans, self._context.schedule.zone)
        except KeyError:
            return Candidate(user_id)
        return Candidate(user_id, snapshot.update_time_ns, user)

    def _read(self, user_ids: Sequence[str]) -> list[Candidate]:
        """Users as they are now. Users that could not be read are left to the granter, which reads them again."""
        documents = self._context.users(self._wire).read(user_ids)
        return [self._as_candidate(user_id, documents.get(user_id)) for user_id in user_ids]

    def _as_candidate(self, user_id: str, document: object) -> Candidate:
        known = candidate_of(self._context, document) if isinstance(document, UserDocument) else None
        return known if isinstance(known, Candidate) else Candidate(user_id)

    def _next_day(self, job: Job, outcomes: Sequence[Outcome]) -> Job | None:
        """A job of today for users whom this job grants for an earlier day and whom today's scan passed by."""
        today, now = self._today, self._context.clock()
        missed = self._missed_today(job, outcomes, today) if today > job.day else []
        if not missed:
            return None
        local_date, slot = self._last_turn(missed, today)
        return replace(
            next_day_job(job, tuple(missed), today, slot, now),
            max_attempts=self._context.settings.max_attempts,
            generation=self._scans.generation(today),
            local_date=None if local_date == today else local_date,
        )

    def _missed_today(self, job: Job, outcomes: Sequence[Outcome], today: date) -> list[str]:
        """Users who are due today and whom today's scan passed by, because their `dueOn` was written after it."""
        if job.mends:
            self._users.update(self._due)
            return self._scans.missed(self._due, today, were_mended=self._was_begun(job))
        granted = [outcome.user_id for outcome in outcomes if _has_stamped(outcome)]
        if not granted or self._day != job.day:
            return []
        return self._scans.passed_by(job, granted, self._users, today)

    def _last_turn(self, user_ids: Sequence[str], today: date) -> tuple[date, datetime]:
        """The local date and slot of today's run that come last among these users: then it is everybody's turn."""
        turns = []
        for user_id in user_ids:
            user = self._users.get(user_id)
            own_days = None if user is None else user.own_days
            local_date = today if own_days is None else own_days.days_in_run(today)[-1]
            activity = None if user is None else user.activity
            turns.append((local_date, self._context.schedule.slot_start(local_date, user_id, own_days, activity)))
        return max(turn[0] for turn in turns), max(turn[1] for turn in turns)

    @property
    def _today(self) -> date:
        return self._context.schedule.day_of(self._context.clock())

    def _effort(self, settlement: Settlement) -> Effort:
        """What the job cost: its claim (a read, a write), and the Commit that settles it (itself, roll-up, retry)."""
        return Effort(
            processing_ms=round((time.monotonic() - self._started) * 1000),
            conflicts=self._conflicts,
            reads=self._cost.reads + 1,
            writes=self._cost.writes + (3 if settlement.job.kind is None else 2) + len(settlement.new_jobs),
        )


def _unread(user_ids: Sequence[str]) -> list[Candidate]:
    return [Candidate(user_id) for user_id in user_ids]


def _has_stamped(outcome: Outcome) -> bool:
    """True for a user whose stamp got the period, with a grant or without."""
    return outcome.kind is OutcomeKind.REFRESHED or outcome.reason is SkipReason.ADOPTED


def _may_be_outage(job: Job) -> bool:
    """True if the failure of all users of a job points to the database and not to the users.

    A single user in a job says nothing about others, unless the job was isolated after failures of the database. Users
    of a retry job failed while other users of their first job did not.
    """
    return (job.is_isolated and job.members > 0) or (job.attempts == 1 and job.members > 1)


def _leave_contended(outcome: Outcome) -> Outcome:
    """Nobody becomes a dead letter because their document keeps changing: the next scan finds them."""
    return outcome.as_left_to_the_next_scan() if outcome.is_contended else outcome


def _is_refused(outcome: Outcome) -> bool:
    """True for a user who failed because of the database, and not because the document kept changing."""
    return outcome.kind is OutcomeKind.RETRY and outcome.code is not UserErrorCode.CONTENTION


def _fail_lost(user_id: str) -> Outcome:
    return Outcome.failed(
        user_id, UserErrorCode.ATTEMPTS_USED_UP, "every worker that tried this job ended before it could settle it"
    )


def _skip_superseded(user_id: str) -> Outcome:
    return Outcome.skipped(user_id, SkipReason.SUPERSEDED)
