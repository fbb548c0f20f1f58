"""The job model and its transitions.

    pending ──claim──▶ processing ──settle──▶ completed | failed
       ▲                   │ └─ users to try again leave for a new pending job
       ├────release────────┘    (the attempt does not count; it does when the lease ends)
       │                   └─ after DATABASE_FAILURES_MAX failures of the database: two half jobs, each isolated
       └────requeue──────── failed       (by an operator: only who failed, attempts from 0)

A waiting or leased job has `visible_at`, a settled job has not. The claim counts the attempt, so even a job that kills
its workers ends after `max_attempts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.core.errors import UserErrorCode
from shared.core.mending import Mend
from shared.core.outcomes import Outcome, OutcomeKind, Tally
from shared.core.plans import Balance

JOB_VERSION = 1
RUN_ID_LENGTH = len("2026-11-22")
REQUEUE_MARK = "-requeue"  # part of the ids of a chain that an operator has requeued
SPREAD = 16**4  # ids of a day are spread by the four hexadecimal digits after the day
DATABASE_FAILURES_MAX = 3  # failures of the database during a job; after so many the job is isolated


class JobStatus(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class JobKind(StrEnum):
    """The cause of a job that no scan made. Such jobs count in no run, and end as receipts."""

    REQUEST = "request"  # users whose stamp asks for a refresh
    DIRECT = "direct"  # a call of the direct refresh
    SIGNUP = "signup"  # a new user


class AttemptMode(StrEnum):
    """What an attempt at a job is for."""

    WORK = "work"
    RECONCILE = "reconcile"  # attempts are used up: record the grants that landed, fail all other users
    ABANDON = "bury"  # reconciling killed its worker too: fail all users without reading them


class FailureResponse(StrEnum):
    """What to do with a job whose attempt ended in a failure of the database."""

    RELEASE = "release"  # the attempt does not count
    SPLIT = "split"  # into two half jobs, so that a user who breaks every request soon has a job of its own
    COUNT = "count"  # the failure is this user's own, so the attempt counts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the builder read of a user. Valid on the job's day, while the document has this update time."""

    update_time_ns: int
    balance: Balance
    plan: str | None
    #: The start of the last period granted on the plan, under any of its names.
    granted_on: date | None
    anchor: date | None
    #: What is left of the bought credits (p); None if the user has no such field.
    purchased: Balance | None = None
    #: The user's own allowance and cap, if an override holds.
    own_allowance: int | None = None
    own_cap: int | None = None
    #: What a plan change adds (d); None if the whole allowance is due.
    difference: int | None = None
    #: The day whose period the app gave at sign-up, of a user without a stamp.
    given_on: date | None = None
    paused: bool = False
    #: To be adopted: see `User.adopt`.
    adopt: bool = False
    #: The user's own time zone; None if it is the deployment's.
    zone: str | None = None
    #: What the grant writes as the stamp's `activity`; None if it writes none.
    activity: str | None = None


@dataclass(frozen=True, slots=True)
class RequeueCarryover:
    """What a requeued job keeps: the receipts of users who had not failed, and its figures."""

    receipts: tuple[Mapping[str, Any], ...] = ()
    figures: Mapping[str, int] = field(default_factory=dict)
    retry_job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Users of one slot and one local date, with a snapshot of each.

    `root_id` is the first job of a chain of retries; grants are stamped with it. The ids of retry jobs begin with
    `chain_id`, which is new after each requeue. `due_at` is the moment since which the first of its users has waited;
    after a requeue it is the moment of the requeue.
    """

    job_id: str
    root_id: str
    run_id: str
    day: date
    scheduled_for: datetime
    user_ids: tuple[str, ...]
    max_attempts: int
    created_at: datetime
    visible_at: datetime | None
    status: JobStatus = JobStatus.PENDING
    attempts: int = 0
    started_at: datetime | None = None
    fingerprint: str = ""
    snapshots: tuple[Snapshot | None, ...] = field(default=(), repr=False)
    due_at: datetime | None = None
    chain_id: str = ""
    #: How often it was released because the database failed during an attempt.
    database_failures: int = 0
    earlier: RequeueCarryover = RequeueCarryover()
    #: Of the run, when a builder made the job. Jobs of older generations are closed unread once a newer is complete.
    generation: int = 0
    #: The run has so few jobs that they share one document of the roll-up.
    is_of_few: bool = False
    #: None: a scan made it.
    kind: JobKind | None = None
    #: Corrections of users' stamps that go with the job.
    mends: tuple[Mend, ...] = field(default=(), repr=False)
    #: The users' local date, if it is not the run's day.
    local_date: date | None = None

    @property
    def is_requeued(self) -> bool:
        """True for a dead letter that was requeued, and for the jobs that go on with its users."""
        return REQUEUE_MARK in self.chain_id

    @property
    def promised_at(self) -> datetime:
        """When the first of its users should have been refreshed. A requeue does not move that."""
        return self.scheduled_for if self.is_requeued or self.due_at is None else self.due_at

    @property
    def mode(self) -> AttemptMode:
        """What this attempt is for. `attempts` includes it already: the claim has counted it."""
        if self.attempts <= self.max_attempts:
            return AttemptMode.WORK
        return AttemptMode.RECONCILE if self.attempts == self.max_attempts + 1 else AttemptMode.ABANDON

    @property
    def members(self) -> int:
        """How many users the job is about: users to be refreshed, and users whose stamps it mends."""
        return len(self.user_ids) + len(self.mends)

    @property
    def is_isolated(self) -> bool:
        return self.database_failures >= DATABASE_FAILURES_MAX

    def response_to_failure(self, *, database_works: bool) -> FailureResponse:
        """What to do after a failure of the database. `database_works`: users were written in the same call.

        An isolated user whose requests fail while others are written is at fault. If nobody is written, the fault is
        the database's: an outage must not turn jobs into dead letters.
        """
        if self.database_failures + 1 < DATABASE_FAILURES_MAX:
            return FailureResponse.RELEASE
        if self.members > 1:
            return FailureResponse.SPLIT
        return FailureResponse.COUNT if database_works else FailureResponse.RELEASE

    @property
    def is_last_attempt(self) -> bool:
        return self.attempts >= self.max_attempts


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a claimed job ends: all of it is written in one Commit.

    `retry` is the job that goes on with users who left. When a job is split, `retry` has the first half of its users
    and `other_half` the second. `next_day` is a job of the next day, for users whom that day's scan passed by.
    """

    job: Job
    retry: Job | None
    outcomes: tuple[Outcome, ...]
    ended_at: datetime
    other_half: Job | None = None
    next_day: Job | None = None

    @property
    def left_to(self) -> list[Job]:
        """The jobs that go on with users who left."""
        return [job for job in (self.retry, self.other_half) if job is not None]

    @property
    def new_jobs(self) -> list[Job]:
        return [*self.left_to, *([] if self.next_day is None else [self.next_day])]

    @property
    def tally(self) -> Tally:
        return Tally.of(outcome for outcome in self.outcomes if outcome.user_id)

    @property
    def receipts(self) -> list[dict[str, Any]]:
        """The receipts of all users that this job settled. Users who left get theirs in the retry job."""
        settled = (outcome for outcome in self.outcomes if outcome.user_id and self._has_receipt(outcome))
        return [*map(dict, self.job.earlier.receipts), *(outcome.as_receipt() for outcome in settled)]

    def _has_receipt(self, outcome: Outcome) -> bool:
        if self.job.kind is not None and outcome.kind is OutcomeKind.SKIPPED:
            return False  # a request that changed nothing needs no receipt
        return outcome.kind is not OutcomeKind.RETRY

    @property
    def named_users(self) -> list[str]:
        """Users with a receipt in this job, and users who left."""
        with_receipt = [outcome.user_id for outcome in self.outcomes if self._has_receipt(outcome)]
        return [*with_receipt, *(user_id for job in self.left_to for user_id in job.user_ids)]

    @property
    def leaves_nothing(self) -> bool:
        """True for a job that no scan made and that has no receipt. Its document is deleted."""
        return self.job.kind is not None and not self.receipts

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The errors of users who failed for good. `errors` also has those of users who left for the retry job."""
        return [outcome.as_error() for outcome in self.outcomes if outcome.kind is OutcomeKind.FAILED]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [outcome.as_error() for outcome in self.outcomes if outcome.code is not None]


def new_job_id(run_id: str, within: str, token: str) -> str:
    """The id of a run's job. `within` is its number in the run, and `token` tells builders apart.

    It begins with the day, so that a user's jobs can be found by day. A hash follows, because ids in sequence would all
    be written at one end of the collection and of its indexes.
    """
    digest = hashlib.blake2b(f"{run_id}-{within}".encode(), digest_size=2).hexdigest()
    return f"{run_id}-{digest}-{within}-{token}"


def is_job_of_scan(job_id: object, run_id: str) -> bool:
    """True for the id of a job that a scan of that run made. Jobs of a request, a direct call or a sign-up are not."""
    if not isinstance(job_id, str) or not job_id.startswith(f"{run_id}-"):
        return False
    return not any(f"-{kind}-" in job_id for kind in JobKind)


def id_at_fraction(job_id: str, share: float) -> str:
    """The id that this fraction (0 to 1) of the day's ids sort before."""
    return f"{job_id[:RUN_ID_LENGTH]}-{int(share * SPREAD):04x}"


def settle(
    job: Job, outcomes: Sequence[Outcome], now: datetime, retry_after: timedelta, mends_left: tuple[Mend, ...] = ()
) -> Settlement:
    """End a claimed job. Users who may be tried again leave for a retry job, unless this was the last attempt.

    `mends_left`: corrections that could not be written for a passing reason. They leave for the retry job, too.

    A job with a user who failed for good is `failed`: a dead letter that waits for a person. A job that no scan made
    is `completed` all the same: whoever asked for it may ask again.
    """
    if job.is_last_attempt:
        outcomes, mends_left = [outcome.as_final_failure() for outcome in outcomes], ()
    leaving = tuple(outcome.user_id for outcome in outcomes if outcome.kind is OutcomeKind.RETRY)
    failed = job.kind is None and any(outcome.kind is OutcomeKind.FAILED for outcome in outcomes)
    status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    ended = replace(job, status=status, visible_at=None)
    retry = retry_job(job, leaving, now, now + retry_after, mends_left) if leaving or mends_left else None
    return Settlement(ended, retry, tuple(outcomes), now)


def retry_job(
    job: Job, user_ids: tuple[str, ...], now: datetime, visible_at: datetime, mends: tuple[Mend, ...] = ()
) -> Job:
    """The job that goes on with these users and mends.

    Its id follows from the attempt, so a replay can't create a second one. Nobody waits for a mend, so a job with mends
    alone is due when it is visible.
    """
    return replace(
        job,
        job_id=f"{job.chain_id or job.root_id}-attempt{job.attempts + 1}",
        user_ids=user_ids,
        snapshots=(),
        mends=mends,
        status=JobStatus.PENDING,
        created_at=now,
        started_at=None,
        visible_at=visible_at,
        due_at=job.due_at if user_ids else visible_at,
        earlier=RequeueCarryover(),
    )


def split(job: Job, error: str, now: datetime, visible_at: datetime) -> Settlement:
    """End a claimed job and leave its users and mends to two half jobs, whose attempts do not count this one.

    The ids follow from the job's chain, which is split once at most, so a replay makes no other halves. `error` says
    why the job is split.
    """
    users, mends = len(job.user_ids) // 2, len(job.mends) // 2
    halves = [
        _half(job, 1, retry_job(job, job.user_ids[:users], now, visible_at, job.mends[:mends])),
        _half(job, 2, retry_job(job, job.user_ids[users:], now, visible_at, job.mends[mends:])),
    ]
    outcomes = tuple(Outcome.retry(user_id, UserErrorCode.WRITE_FAILED, error) for user_id in job.user_ids)
    return Settlement(replace(job, status=JobStatus.COMPLETED, visible_at=None), halves[0], outcomes, now, halves[1])


def _half(job: Job, number: int, retry: Job) -> Job:
    chain_id = f"{job.chain_id or job.root_id}-half{number}"
    return replace(
        retry,
        job_id=chain_id,
        chain_id=chain_id,
        attempts=max(0, job.attempts - 1),
        database_failures=DATABASE_FAILURES_MAX,
    )


def later_today_job(root_id: str, user_ids: tuple[str, ...], day: date, local_date: date, slot: datetime) -> Job:
    """A job of the run of `day` for users whose next midnight lies in that day too. `root_id` found them before.

    Its id follows from the users as well, because each try at a request has users of its own.
    """
    run_id = day.isoformat()
    named = f"{root_id} {slot.isoformat()} {' '.join(user_ids)}"
    digest = hashlib.blake2b(named.encode(), digest_size=4).hexdigest()
    job_id = f"{run_id}-{digest[:4]}-later-{digest}-{root_id}"
    return Job(
        job_id=job_id,
        root_id=job_id,
        run_id=run_id,
        day=day,
        scheduled_for=slot,
        visible_at=slot,
        user_ids=user_ids,
        max_attempts=1,
        created_at=slot,
        local_date=None if local_date == day else local_date,
    )


def next_day_job(job: Job, user_ids: tuple[str, ...], day: date, slot: datetime, now: datetime) -> Job:
    """A job of a later day for users of this job, at their slot. Its id follows from the job and the day."""
    run_id = day.isoformat()
    digest = hashlib.blake2b(job.job_id.encode(), digest_size=2).hexdigest()
    job_id, at = f"{run_id}-{digest}-after-{job.job_id}", max(now, slot)
    return Job(
        job_id=job_id,
        root_id=job_id,
        run_id=run_id,
        day=day,
        scheduled_for=at,
        visible_at=at,
        user_ids=user_ids,
        max_attempts=job.max_attempts,
        created_at=now,
    )
