"""The worker: claims due jobs, works on several of them side by side, and reports the results.

First it refreshes users who request it, in at most half of the call.

One thread claims jobs; several lanes (threads) each work on one job at a time, so one job is prepared while another
waits for the database. A worker that has to stop releases the jobs it has not begun; their attempts do not count.

A job whose last worker died may have killed it, and a job during which the database failed several times may be the
cause. Such suspect jobs are worked on one at a time, when no other job is left, so that they do no harm to others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import timedelta

from shared import logs
from shared.core.errors import BreakerOpenError, ConflictError, OutOfTimeError, StoreError, SystemFailureError
from shared.core.jobs import JobKind, JobStatus
from shared.core.retries import retry_delay
from shared.services.attempt import Attempt, AttemptResult, CallFacts
from shared.services.context import Context, until_reserve
from shared.services.queue import JobQueue
from shared.services.reports import WorkReport
from shared.services.requested import RequestedUsers
from shared.store.budget import Budget
from shared.store.job_documents import Claim, DueJob
from shared.store.users import UserDocument


def work(context: Context, jobs_max: int, process_seconds: float) -> WorkReport:
    """Work on due jobs until none is left, a limit is reached, or the instance is asked to stop.

    Raises SystemFailureError if the database fails; by then every claimed job is settled or released.
    """
    return Worker(context, jobs_max, process_seconds).run()


class Worker:
    """One call of the worker."""

    def __init__(self, context: Context, jobs_max: int, process_seconds: float) -> None:
        self._context = context
        self._limits = context.limits
        self._jobs_max = jobs_max
        self._claim_budget = until_reserve(context.wire.budget, process_seconds)
        self._queue = JobQueue(context)
        self._facts = CallFacts.of(context)
        self._running: set[Future[AttemptResult]] = set()
        self._report = WorkReport()
        self._failure: SystemFailureError | None = None
        self._request_failure: SystemFailureError | None = None  # of a job of users who ask
        self._heartbeat_sent = False
        self._one_by_one = False  # True while only suspect jobs are left
        self._unfinished = False  # True if due jobs are left, whatever the queue shows at the end

    def run(self) -> WorkReport:
        limits = self._limits
        with ThreadPoolExecutor(limits.lanes) as self._lanes:
            self._serve_requests()
            while self._claim_next():
                self._collect(until_free=limits.claimed_jobs if self._one_by_one else limits.claim_jobs)
            self._collect(until_free=limits.claimed_jobs)
        if failure := self._failure or self._request_failure:
            raise failure
        self._report.has_more |= self._unfinished
        return self._report

    # Requests

    def _serve_requests(self) -> None:
        """Refresh users who request it, in at most half of the time and jobs. The rest wait for the next call.

        If the database fails on one of their jobs, the call fails in the end. But the queue has its turn first, because
        the cause may be one user. If the database is down, the queue's first job fails too.
        """
        try:
            self._send_heartbeat()
            requests = RequestedUsers(self._context)
            if not requests.is_empty() and not self._is_paused():
                self._work_on(requests)
                self._request_failure, self._failure = self._failure, None
        except OutOfTimeError:
            self._unfinished = True
        except SystemFailureError as exc:
            self._failure = self._failure or exc

    def _work_on(self, requests: RequestedUsers) -> None:
        half = self._claim_budget.shifted_by(-self._claim_budget.remaining_seconds / 2)
        jobs_left = max(1, self._jobs_max // 2)
        while requests.has_more and jobs_left and half.remaining_seconds and self._may_begin:
            jobs = requests.claim(min(jobs_left, self._limits.lanes))
            jobs_left -= len(jobs)
            for job in jobs:
                self._begin([job.claim], job.documents)
            self._collect(until_free=self._limits.claimed_jobs)
        self._unfinished |= requests.has_more

    # Claim

    def _claim_next(self) -> bool:
        """Claim as many jobs as can begin now; False when it is time to end."""
        try:
            self._send_heartbeat()
            return self._claim()
        except OutOfTimeError:
            self._unfinished = True
        except SystemFailureError as exc:
            self._failure = self._failure or exc
        return False

    def _claim(self) -> bool:
        if self._failure is not None:
            return False
        allowed, running = self._jobs_max - self._report.claimed, len(self._running)
        if allowed <= 0 or self._must_stop:
            self._report.has_more = self._queue.has_due()
            return False
        due_jobs = self._queue.find_due(min(self._limits.claimed_jobs - running, self._limits.claim_jobs, allowed))
        if not due_jobs or self._is_paused():
            return False
        self._queue.claim(self._choose(due_jobs, running), self._begin)
        return True

    def _is_paused(self) -> bool:
        """True while the system is paused. Waiting jobs are then left for later calls, and the report says so."""
        paused = self._context.control().is_paused(self._context.clock())
        self._unfinished |= paused
        return paused

    def _begin(self, claims: Sequence[Claim], known: Mapping[str, UserDocument] | None = None) -> None:
        """Give claimed jobs to the lanes at once, while the next jobs are being claimed.

        `known`: their users, if they were read just before.
        """
        lease = Budget.of(self._context.settings.lease_seconds)
        for claim in claims:
            self._running.add(self._lanes.submit(copy_context().run, self._attempt, claim, lease, known))
        self._report.claimed += len(claims)

    def _choose(self, due_jobs: Sequence[DueJob], running: int) -> Sequence[DueJob]:
        """The jobs that are not suspect. If there are none: one of the others, while nothing else runs."""
        sound = [due_job for due_job in due_jobs if not due_job.is_suspect]
        self._one_by_one = not sound
        return sound or due_jobs[: int(running == 0)]

    def _send_heartbeat(self) -> None:
        """Say that a worker is here, once a call. Health needs to know it even if there is no job to work on."""
        if not self._heartbeat_sent:
            self._context.control().record_heartbeat(self._context.clock())
            self._heartbeat_sent = True

    @property
    def _must_stop(self) -> bool:
        return self._context.stopping.is_set() or self._claim_budget.remaining_seconds == 0

    @property
    def _may_begin(self) -> bool:
        return self._failure is None and not self._must_stop

    # Collect

    def _collect(self, until_free: int) -> None:
        """Wait until so many more jobs may be held, and count the attempts that ended meanwhile."""
        while self._running and self._limits.claimed_jobs - len(self._running) < until_free:
            ended, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for future in ended:
                self._count(future)

    def _count(self, future: Future[AttemptResult]) -> None:
        result = future.result()
        report, settlement = self._report, result.settlement
        report.conflicts += result.conflicts
        if settlement is None:
            return
        job = settlement.job
        failed = job.status is JobStatus.FAILED
        if job.kind is JobKind.REQUEST and job.job_id == job.root_id:
            report.requested += len(job.user_ids)
        report.failed += failed
        report.completed += not failed
        report.retried += settlement.retry is not None
        report.tally += settlement.tally
        report.errors.add(settlement.failures)

    # Work, in a lane

    def _attempt(self, claim: Claim, lease: Budget, known: Mapping[str, UserDocument] | None = None) -> AttemptResult:
        """Attempt one claimed job. Whatever happens to it, the other jobs go on."""
        with logs.context(jobId=claim.due_job.job_id, attempt=claim.attempts):
            if self._context.stopping.is_set() or self._failure is not None:
                self._unfinished = True
                self._queue.release(claim, timedelta())
                return AttemptResult(None)
            attempt = Attempt(self._context, claim, lease, self._facts, known)
            try:
                return attempt.run()
            except ConflictError:
                logs.warning("job_lost", "the lease ended and another worker has the job; it is not counted here")
            except SystemFailureError as exc:
                return self._try_to_isolate(attempt, exc) or self._release(attempt, claim, exc)
            except Exception as exc:  # noqa: BLE001 (the job's attempts bound it)
                logs.error("job_not_settled", f"it stays claimed until its lease ends: {exc!r}", exc_info=True)
            return AttemptResult(None)

    def _try_to_isolate(self, attempt: Attempt, failure: SystemFailureError) -> AttemptResult | None:
        """Isolate the job after a failure of the database, if the job may be the cause. None: it must be released."""
        if not _is_of_job(attempt, failure):
            return None
        try:
            result = attempt.isolate(failure)
        except StoreError as exc:
            logs.error("job_not_isolated", f"the database failed again: {exc}")
            return None
        if result is not None and not attempt.database_works:
            self._remember(failure)
        return result

    def _release(self, attempt: Attempt, claim: Claim, failure: SystemFailureError) -> AttemptResult:
        """Release the job after a failure of the database, and keep the failure."""
        out_of_time = isinstance(failure, OutOfTimeError)
        if not out_of_time:
            logs.error("job_released", f"the database failed: {failure}")
        delay = timedelta() if out_of_time else retry_delay(1, self._context.draw)
        self._queue.release(claim, delay, database_failed=_is_of_job(attempt, failure))
        self._remember(failure)
        return AttemptResult(None)

    def _remember(self, failure: SystemFailureError) -> None:
        """Keep the failure: the call fails with it, and no further job begins. If only time ran out, jobs are left."""
        if isinstance(failure, OutOfTimeError):
            self._unfinished = True
        else:
            self._failure = self._failure or failure


def _is_of_job(attempt: Attempt, failure: SystemFailureError) -> bool:
    """True for a failure that the job may have caused. An open breaker or a late start says nothing about the job."""
    if isinstance(failure, BreakerOpenError):
        return False
    return attempt.took_long or not isinstance(failure, OutOfTimeError)
