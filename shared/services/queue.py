"""The job queue for one worker: find due jobs, claim them, release them.

Workers know nothing of each other except that a claim was lost. A worker that has lost no claim takes the oldest jobs.
A worker that has lost one is not alone: from then on it looks for each batch at a random position in the queue. It
claims what it sees at once, so each job is read once and few are claimed by others in between. It claims one job
first, then two, then four: the worker that won the first job of a batch is about to claim the next ones too, so a race
costs one or two claims instead of a whole batch.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from shared import logs
from shared.core.errors import StoreError, SystemFailureError
from shared.core.jobs import id_at_fraction
from shared.core.retries import retry_delay
from shared.services.context import GRACE_PERIOD_SECONDS, Context
from shared.store.budget import Budget
from shared.store.job_documents import Claim, DueJob, QueueCursor
from shared.store.jobs import JobStore

LOSS_WAIT_SECONDS = 0.4  # longest wait after a lost claim; it doubles with each further loss in a row
LOSSES_MAX = 3  # losses in a row that lengthen the wait
SUSPECT_PAGES_MAX = 3  # pages looked through when the queue begins with suspect jobs
PAGES_MAX = 50  # pages looked through when the queue begins with jobs of a newer version


Begin = Callable[[Sequence[Claim]], None]


def _ignore(_claims: Sequence[Claim]) -> None:
    """Begin no job before all are claimed."""


class JobQueue:
    """Due jobs, as one call of the worker sees them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = context.jobs()
        self._lost: DueJob | None = None  # some job whose claim was lost to another worker
        self._losses = 0  # in a row

    def find_due(self, limit: int) -> list[DueJob]:
        """Up to `limit` due jobs, to be claimed now."""
        if self._losses:  # workers that raced for one job must not look again at the same moment
            self._context.wire.back_off(self._losses, LOSS_WAIT_SECONDS)
        found = [] if self._lost is None else self._look(limit, self._random_position(self._lost))
        return found or self._look(limit)

    def has_due(self) -> bool:
        return bool(self._look(1, pages_max=1))

    def claim(self, due_jobs: Sequence[DueJob], begin: Begin = _ignore) -> list[Claim]:
        """Claim the jobs that no other worker claims first, in steps; `begin` is called with each step's claims.

        If the database fails, every claim that was not passed to `begin` is released.
        """
        token = uuid.uuid4().hex
        claims: list[Claim] = []
        try:
            for won in self._claim_in_steps(due_jobs, token):
                claims += won
                begin(won)
        except SystemFailureError:
            with self._grace_period() as jobs:
                for claim in jobs.find_own_claims(due_jobs[len(claims) :], token, self._context.clock()):
                    self.release(claim, retry_delay(1, self._context.draw))
            raise
        self._remember_losses(due_jobs, claims)
        return claims

    def release(self, claim: Claim, delay: timedelta, *, database_failed: bool = False) -> None:
        """Release the job. The attempt does not count, and the job is visible again after `delay`."""
        with self._grace_period() as jobs:
            jobs.release(claim, self._context.clock() + delay, database_failed=database_failed)

    def _random_position(self, lost: DueJob) -> QueueCursor:
        """A random slot between the lost job's and the present one, and a random id within it.

        Nearly all due jobs are of one slot; after an outage they are of many. Ids are spread evenly after the day.
        """
        width = timedelta(seconds=self._context.settings.slot_seconds)
        slots = max(0, (self._context.clock() - lost.visible_at) // width) + 1
        slot = lost.visible_at + int(self._context.draw() * slots) * width
        return QueueCursor(slot, id_at_fraction(lost.job_id, self._context.draw()))

    def _look(self, limit: int, after: QueueCursor | None = None, pages_max: int = SUSPECT_PAGES_MAX) -> list[DueJob]:
        """Up to `limit` due jobs after a position, longest visible first. Jobs of a newer version are passed over.

        Suspect jobs may fill the head of the queue. Then others are looked for in up to `pages_max` pages, so that the
        suspect ones, which are worked on one by one, hold up nobody.
        """
        suspects: list[DueJob] = []
        suspect_pages, page_limit = 0, limit
        for _ in range(PAGES_MAX):
            page = self._jobs.due(self._context.clock(), page_limit, after)
            ours = [due_job for due_job in page if not due_job.is_newer_version]
            if sound := [due_job for due_job in ours if not due_job.is_suspect]:
                return sound[:limit]
            suspects, suspect_pages = suspects or ours, suspect_pages + bool(ours)
            if len(page) < page_limit or suspect_pages == pages_max:
                return suspects
            after, page_limit = page[-1].cursor, max(limit, self._context.limits.claim_jobs)
        logs.error("queue_blocked", "the queue begins with jobs of a newer version; deploy the newer worker")
        return []

    def _claim_in_steps(self, due_jobs: Sequence[DueJob], token: str) -> Iterator[Sequence[Claim]]:
        """Claim one job, then two, then four, until a claim is lost: the worker that won it goes on from there."""
        done = 0
        while step := due_jobs[done:][: done + 1]:
            won = self._jobs.claim(step, token, self._context.clock(), self._context.lease)
            yield won
            if len(won) < len(step):
                break
            done += len(step)

    def _remember_losses(self, due_jobs: Sequence[DueJob], claims: Sequence[Claim]) -> None:
        if len(claims) == len(due_jobs):
            self._losses = 0
        else:
            self._losses = min(LOSSES_MAX, self._losses + 1)
            self._lost = self._lost or due_jobs[0]

    @contextmanager
    def _grace_period(self) -> Iterator[JobStore]:
        """A little time beyond the budget, past an open breaker. If that fails too, the lease ends by itself."""
        try:
            yield self._context.jobs(self._context.wire.bypassing_breaker().within(Budget.of(GRACE_PERIOD_SECONDS)))
        except StoreError as exc:
            logs.warning("job_release_failed", f"a job stays claimed until its lease ends: {exc}")
