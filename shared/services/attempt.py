"""One attempt at one claimed job: parse it, refresh its users, settle it in one Commit."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shared import logs
from shared.core.decision import SkipReason
from shared.core.errors import UnreadableJobError, UserErrorCode
from shared.core.figures import Effort, figures_of, rolled_up
from shared.core.jobs import AttemptMode, Job, Settlement, settle
from shared.core.outcomes import Outcome
from shared.core.retries import retry_delay
from shared.core.snapshots import user_of
from shared.services.context import GRACE_PERIOD_SECONDS, Context
from shared.services.grant import Candidate, Granter, GrantRequest
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.job_documents import Claim, parse_job, unreadable_job

LEASE_SHARE = 0.8  # of the lease, for one job with all its tries; the rest is for settling it


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt as it ended. `settlement` is None if the job was released, or another worker has it."""

    settlement: Settlement | None
    conflicts: int = 0


class Attempt:
    """One attempt at one job. It has a cost and a time budget of its own; the budget ends before the lease."""

    def __init__(self, context: Context, claim: Claim, lease: Budget) -> None:
        self._context = context
        self._claim = claim
        self._cost = Cost(context.wire.cost)
        working = lease.shifted_by(-context.settings.lease_seconds * (1 - LEASE_SHARE))
        self._wire = context.wire.charging(self._cost).within(working.and_not_after(context.wire.budget))
        self._settling_wire = self._wire.bypassing_breaker().within(
            lease.and_not_after(context.wire.budget.shifted_by(GRACE_PERIOD_SECONDS))
        )
        self._started = time.monotonic()
        self._conflicts = 0

    def run(self) -> AttemptResult:
        """Work on the job and settle it. Raises ConflictError if the claim is lost, and SystemFailureError."""
        job, outcomes = self._work()
        delay = retry_delay(max(1, job.attempts), self._context.draw)
        settlement = settle(job, outcomes, self._context.clock(), delay)
        figures = figures_of(settlement, self._effort(settlement))
        increments = rolled_up(settlement, figures, self._context.schedule.day_start(job.day))
        self._context.jobs(self._settling_wire).settle(self._claim, settlement, figures, increments)
        logs.info("job_settled", f"{job.job_id} {settlement.job.status}", runId=job.run_id, users=len(outcomes))
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
        return job, self._refresh_users(job)

    def _refresh_users(self, job: Job) -> list[Outcome]:
        superseded = job.is_superseded(self._context.schedule.day_of(self._context.clock()))
        if superseded and not self._may_have_granted(job):
            return [_skip_superseded(user_id) for user_id in job.user_ids]
        instead = _skip_superseded if superseded else _fail_lost if job.mode is AttemptMode.RECONCILE else None
        request = GrantRequest(job.root_id, job.day, outcome_instead=instead)
        granter = Granter(self._context, self._wire, request)
        outcomes = granter.refresh(self._candidates(job, with_snapshots=instead is None))
        self._conflicts = granter.conflicts
        granter.mend(job.mends)
        return outcomes

    def _may_have_granted(self, job: Job) -> bool:
        """True for a job that was begun before: its grants may have landed, and their receipts are due."""
        return self._claim.due_job.was_claimed or job.job_id != job.root_id

    def _candidates(self, job: Job, *, with_snapshots: bool) -> list[Candidate]:
        """Users as the builder read them. If plans or schedule have changed since, they are read again."""
        if not with_snapshots or not job.snapshots or job.fingerprint != self._context.fingerprint:
            return [Candidate(user_id) for user_id in job.user_ids]
        plans = self._context.plans
        return [
            Candidate(user_id)
            if snapshot is None
            else Candidate(user_id, snapshot.update_time_ns, user_of(snapshot, plans))
            for user_id, snapshot in zip(job.user_ids, job.snapshots, strict=True)
        ]

    def _effort(self, settlement: Settlement) -> Effort:
        """What the job cost: its claim (a read, a write), and the Commit that settles it (itself, roll-up, retry)."""
        return Effort(
            processing_ms=round((time.monotonic() - self._started) * 1000),
            conflicts=self._conflicts,
            reads=self._cost.reads + 1,
            writes=self._cost.writes + 1 + (2 if settlement.retry is None else 3),
        )


def _fail_lost(user_id: str) -> Outcome:
    return Outcome.failed(
        user_id, UserErrorCode.ATTEMPTS_USED_UP, "every worker that tried this job ended before it could settle it"
    )


def _skip_superseded(user_id: str) -> Outcome:
    return Outcome.skipped(user_id, SkipReason.SUPERSEDED)
