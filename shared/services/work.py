"""The worker: claims due jobs, refreshes their users in lanes side by side, settles each job in one Commit.

One thread claims, a handful of jobs at a time; the lanes overlap one job's preparing with another's waiting for the
database. What is claimed and not begun when the worker has to stop is handed back, uncounted. Jobs whose last worker
died are worked one by one when no other is left: whichever ended it takes none of the others along.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta

from shared import logs
from shared.core.decision import SkipReason
from shared.core.errors import ConflictError, OutOfTimeError, StoreError, SystemFailureError, UnreadableJobError
from shared.core.figures import Effort, figures_of, rolled_up
from shared.core.jobs import AttemptMode, Job, Settlement, Snapshot, id_at_fraction, settle
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.plans import PlanTable
from shared.core.retries import retry_delay
from shared.core.users import User
from shared.services.context import GRACE_PERIOD_SECONDS, Context, until_reserve
from shared.services.grant import Candidate, Granter, GrantRequest
from shared.services.reports import WorkReport
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.job_documents import Claim, DueJob, QueueCursor, parse_job, unreadable_job
from shared.store.jobs import JobStore

LANES = 4
CLAIMED_MAX = 20  # jobs in a lane or about to enter one; each waits for four others at most
CLAIM_WHEN_FREE = 16  # claim by the handful: a race for one costs a claim or so, so the larger, the fewer are lost
LOSS_WAIT_SECONDS = 0.4  # at most, after a lost claim; twice as long after each that follows it
LOSSES_MAX = 3  # in a row, that lengthen the wait
LEASE_SHARE = 0.8  # of the lease, for one job with all its tries; what is left is for settling it
PAGES_MAX = 50  # of a queue's head full of jobs that are not ours to take


def work(context: Context, jobs_max: int, process_seconds: float) -> WorkReport:
    """Work on due jobs until none is left, a limit is reached, or the worker is told to stop.

    Raises SystemFailureError if the database fails; by then what was claimed is settled or handed back.
    """
    return Worker(context, jobs_max, process_seconds).run()


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One job as it ended; `settlement` None: it was not ours any more, or was handed back."""

    settlement: Settlement | None
    conflicts: int = 0


class Worker:
    """One call of the worker."""

    def __init__(self, context: Context, jobs_max: int, process_seconds: float) -> None:
        self._context = context
        self._jobs_max = jobs_max
        self._claim_budget = until_reserve(context.wire.budget, process_seconds)
        self._queue = Queue(context)
        self._report = WorkReport()
        self._failure: SystemFailureError | None = None
        self._heartbeat_sent = False
        self._one_by_one = False  # only suspects are left
        self._unfinished = False  # due jobs are left, whatever the queue shows at the end

    def run(self) -> WorkReport:
        running: set[Future[AttemptResult]] = set()
        with ThreadPoolExecutor(LANES) as lanes:
            while (claims := self._next_claims(len(running))) is not None:
                lease = Budget.of(self._context.settings.lease_seconds)
                running |= {lanes.submit(copy_context().run, self._attempt, claim, lease) for claim in claims}
                running = self._collect(running, until_free=CLAIMED_MAX if self._one_by_one else CLAIM_WHEN_FREE)
            self._collect(running, until_free=CLAIMED_MAX)
        if self._failure is not None:
            raise self._failure
        self._report.has_more |= self._unfinished
        return self._report

    # Claiming

    def _next_claims(self, running: int) -> list[Claim] | None:
        """As many jobs as can begin now; None when it is time to end."""
        try:
            self._send_heartbeat()
            return self._claims(running)
        except OutOfTimeError:
            self._unfinished = True
        except SystemFailureError as exc:
            self._failure = self._failure or exc
        return None

    def _claims(self, running: int) -> list[Claim] | None:
        if self._failure is not None:
            return None
        allowed = self._jobs_max - self._report.claimed
        if allowed <= 0 or self._must_stop:
            self._report.has_more = self._queue.has_due()
            return None
        due_jobs = self._queue.due(min(CLAIMED_MAX - running, CLAIM_WHEN_FREE, allowed))
        if not due_jobs or self._context.control().is_paused():
            return None
        claims = self._queue.claim(self._worked_together(due_jobs, running))
        self._report.claimed += len(claims)
        return claims

    def _worked_together(self, due_jobs: Sequence[DueJob], running: int) -> Sequence[DueJob]:
        """Those that no dead worker is known of; where there are none, one of the others, while nothing else runs."""
        sound = [due_job for due_job in due_jobs if not due_job.is_suspect]
        self._one_by_one = not sound
        return sound or due_jobs[: int(running == 0)]

    def _send_heartbeat(self) -> None:
        """The heartbeat, once a call: whoever watches knows that workers come, even if there is nothing to do."""
        if not self._heartbeat_sent:
            self._context.control().record_heartbeat(self._context.clock())
            self._heartbeat_sent = True

    @property
    def _must_stop(self) -> bool:
        return self._context.stopping.is_set() or self._claim_budget.remaining_seconds == 0

    # Collecting

    def _collect(self, running: set[Future[AttemptResult]], until_free: int) -> set[Future[AttemptResult]]:
        """Wait until that many places are free, and report what ended meanwhile."""
        while running and CLAIMED_MAX - len(running) < until_free:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                self._count(future)
        return running

    def _count(self, future: Future[AttemptResult]) -> None:
        try:
            settled = future.result()
        except SystemFailureError as exc:
            self._failure = self._failure or exc
            return
        report, settlement = self._report, settled.settlement
        report.conflicts += settled.conflicts
        if settlement is None:
            return
        failed = any(outcome.kind is OutcomeKind.FAILED for outcome in settlement.outcomes)
        report.failed += failed
        report.completed += not failed
        report.retried += settlement.retry is not None
        report.tally += settlement.tally
        report.errors.add(settlement.failures)

    # Working, in a lane

    def _attempt(self, claim: Claim, lease: Budget) -> AttemptResult:
        """One claimed job, from parsing to settling. Whatever happens to it, the others go on."""
        with logs.context(jobId=claim.due_job.job_id, attempt=claim.attempts):
            if self._context.stopping.is_set() or self._failure is not None:
                self._unfinished = True
                self._queue.release(claim, timedelta())
                return AttemptResult(None)
            try:
                return Attempt(self._context, claim, lease).run()
            except ConflictError:
                logs.warning("job_lost", "the lease ended and another worker has the job; it is not counted here")
            except OutOfTimeError:
                self._unfinished = True
                self._queue.release(claim, timedelta())
            except SystemFailureError as exc:
                logs.error("job_released", f"the database failed: {exc}")
                self._queue.release(claim, retry_delay(1, self._context.draw))
                raise
            except Exception as exc:  # noqa: BLE001 (the job's attempts bound it)
                logs.error("job_not_settled", f"it stays claimed until its lease ends: {exc!r}", exc_info=True)
            return AttemptResult(None)


class Attempt:
    """One attempt at one job. Its cost and its budget are its own; the budget stays under the lease."""

    def __init__(self, context: Context, claim: Claim, lease: Budget) -> None:
        self._context = context
        self._claim = claim
        self._cost = Cost(context.wire.cost)
        working = lease.shifted_by(-context.settings.lease_seconds * (1 - LEASE_SHARE))
        self._wire = context.wire.charging(self._cost).within(working.and_not_after(context.wire.budget))
        self._settling = self._wire.bypassing_breaker().within(
            lease.and_not_after(context.wire.budget.shifted_by(GRACE_PERIOD_SECONDS))
        )
        self._started = time.monotonic()
        self._conflicts = 0

    def run(self) -> AttemptResult:
        job, outcomes = self._worked()
        delay = retry_delay(max(1, job.attempts), self._context.draw)
        settlement = settle(job, outcomes, self._context.clock(), delay)
        figures = figures_of(settlement, self._effort(settlement))
        increments = rolled_up(settlement, figures, self._context.schedule.day_start(job.day))
        self._context.jobs(self._settling).settle(self._claim, settlement, figures, increments)
        logs.info("job_settled", f"{job.job_id} {settlement.job.status}", runId=job.run_id, users=len(outcomes))
        return AttemptResult(settlement, self._conflicts)

    def _worked(self) -> tuple[Job, list[Outcome]]:
        """The job and what became of its users; an unreadable one fails alone, with nobody in it."""
        try:
            job = parse_job(self._claim)
        except UnreadableJobError as exc:
            job = unreadable_job(self._claim, self._context.schedule.day_of(self._context.clock()))
            return job, [Outcome.failed(user_id, "unreadable_job", str(exc)) for user_id in job.user_ids or ("",)]
        if job.mode is AttemptMode.ABANDON:
            return job, [_lost(user_id) for user_id in job.user_ids]
        return job, self._refreshed(job)

    def _refreshed(self, job: Job) -> list[Outcome]:
        superseded = job.is_superseded(self._context.schedule.day_of(self._context.clock()))
        if superseded and not self._may_have_granted(job):
            return [Outcome.skipped(user_id, SkipReason.SUPERSEDED) for user_id in job.user_ids]
        outcome_instead = _superseded if superseded else _lost if job.mode is AttemptMode.RECONCILE else None
        granter = Granter(
            self._context, self._wire, GrantRequest(job.root_id, job.day, outcome_instead=outcome_instead)
        )
        outcomes = granter.refresh(self._targets(job, carried=outcome_instead is None))
        self._conflicts = granter.conflicts
        return outcomes

    def _may_have_granted(self, job: Job) -> bool:
        """True for a job that was begun before: a grant of it may have landed, and its receipt is due."""
        return self._claim.due_job.was_claimed or job.job_id != job.root_id

    def _targets(self, job: Job, *, carried: bool) -> list[Candidate]:
        """Users as the builder read them, unless plans or schedule have changed since; then they are read afresh."""
        if not carried or not job.snapshots or job.fingerprint != self._context.fingerprint:
            return [Candidate(user_id) for user_id in job.user_ids]
        plans = self._context.plans
        return [
            Candidate(user_id, snapshot.update_time_ns, _user(snapshot, plans))
            for user_id, snapshot in zip(job.user_ids, job.snapshots, strict=True)
        ]

    def _effort(self, settlement: Settlement) -> Effort:
        """What the job took, with its claim (a read, a write) and what settles it: itself, roll-up, perhaps a retry."""
        return Effort(
            processing_ms=round((time.monotonic() - self._started) * 1000),
            conflicts=self._conflicts,
            reads=self._cost.reads + 1,
            writes=self._cost.writes + 1 + (2 if settlement.retry is None else 3),
        )


class Queue:
    """The due jobs, as one worker sees them. Workers know nothing of each other, but that a claim was lost.

    A worker that has lost none takes the oldest jobs. Whoever has lost one is not alone, and seeks each handful at a
    random place. What a look shows is claimed at once, so that each job is read once and few are claimed by others in
    between; and by few at first, because whoever has one job of a handful is after the next ones too: a race costs a
    claim or two, not all of them.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = context.jobs()
        self._lost: DueJob | None = None  # some claim lost to another worker
        self._losses = 0  # in a row

    def due(self, limit: int) -> list[DueJob]:
        """Up to `limit` due jobs, to be claimed now."""
        if self._losses:  # those who raced for one job must not look again at the same moment
            self._context.wire.back_off(self._losses, LOSS_WAIT_SECONDS)
        found = [] if self._lost is None else self._seen(limit, self._elsewhere(self._lost))
        return found or self._seen(limit)

    def _elsewhere(self, lost: DueJob) -> QueueCursor:
        """A random slot from the lost job's to the present one, and there a random id: after the day they are spread
        evenly. Nearly all due jobs are of one slot, or of many after an outage."""
        width = timedelta(seconds=self._context.settings.slot_seconds)
        slots = max(0, (self._context.clock() - lost.visible_at) // width) + 1
        slot = lost.visible_at + int(self._context.draw() * slots) * width
        return QueueCursor(slot, id_at_fraction(lost.job_id, self._context.draw()))

    def _seen(self, limit: int, last: QueueCursor | None = None) -> list[DueJob]:
        """Up to so many due jobs after a place, longest visible first. Those of a newer version are looked past."""
        for _ in range(PAGES_MAX):
            page = self._jobs.due(self._context.clock(), limit, last)
            if ours := [due_job for due_job in page if not due_job.is_newer_version]:
                return ours
            if len(page) < limit:
                return []
            last = page[-1].cursor
        logs.error("queue_blocked", "the queue begins with jobs of a newer version; deploy the newer worker")
        return []

    def has_due(self) -> bool:
        return bool(self._seen(1))

    def claim(self, due_jobs: Sequence[DueJob]) -> list[Claim]:
        """Claim those that nobody else does first. If the database fails, what was claimed is handed back."""
        token = uuid.uuid4().hex
        try:
            claims = self._claimed(due_jobs, token)
        except SystemFailureError:
            with self._grace_period() as jobs:
                for claim in jobs.claimed_unheard(due_jobs, token, self._context.clock()):
                    self.release(claim, retry_delay(1, self._context.draw))
            raise
        if len(claims) == len(due_jobs):
            self._losses = 0
        else:
            self._losses = min(LOSSES_MAX, self._losses + 1)
            self._lost = self._lost or due_jobs[0]
        return claims

    def _claimed(self, due_jobs: Sequence[DueJob], token: str) -> list[Claim]:
        """One, two, four and so on at a time, until one is lost: whoever has it goes on from there."""
        claims: list[Claim] = []
        while some := due_jobs[len(claims) :][: len(claims) + 1]:
            won = self._jobs.claim(some, token, self._context.clock(), self._context.lease)
            claims += won
            if len(won) < len(some):
                break
        return claims

    def release(self, claim: Claim, delay: timedelta) -> None:
        """Give the job to whoever comes next, uncounted."""
        with self._grace_period() as jobs:
            jobs.release(claim, self._context.clock() + delay)

    @contextmanager
    def _grace_period(self) -> Iterator[JobStore]:
        """A little time beyond the budget, through an open breaker. If even that fails, leases end by themselves."""
        try:
            yield self._context.jobs(self._context.wire.bypassing_breaker().within(Budget.of(GRACE_PERIOD_SECONDS)))
        except StoreError as exc:
            logs.warning("job_release_failed", f"a job stays claimed until its lease ends: {exc}")


def _user(snapshot: Snapshot, plans: PlanTable) -> User:
    plan = plans.default if snapshot.plan is None else snapshot.plan
    periods = {} if snapshot.granted_on is None else {plan: snapshot.granted_on}
    return User(snapshot.balance, snapshot.plan, periods, snapshot.anchor)


def _lost(user_id: str) -> Outcome:
    return Outcome.failed(
        user_id, "attempts_used_up", "every worker that tried this job ended before it could settle it"
    )


def _superseded(user_id: str) -> Outcome:
    return Outcome.skipped(user_id, SkipReason.SUPERSEDED)
