"""Grants with a receipt and without the queue: for a direct call and for events of a user's document.

A few users are granted in one Commit together with the receipt, so there is never one without the other. If there are
more users, each is granted separately, so that no user can delay the others. Their receipts are written afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from shared.core.errors import ConflictError, RejectedError, SystemFailureError, UserErrorCode
from shared.core.figures import Effort, figures_of
from shared.core.jobs import Job, JobKind, settle
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.packing import in_job_sizes
from shared.services.context import Context
from shared.services.grant import Candidate, Granter, GrantRequest
from shared.store.users import StampWrite

TOGETHER_MAX = 20  # users in one Commit with their receipt

_WITH_RECEIPT = (OutcomeKind.REFRESHED, OutcomeKind.FAILED)  # outcomes that get a receipt


class ReceiptGranter(Granter):
    """Grants users for one call or event, and writes a receipt. `kind`: what caused it."""

    def __init__(self, context: Context, kind: JobKind, job_id: str, day: date) -> None:
        super().__init__(context, context.wire, GrantRequest(job_id, day))
        self._kind = kind
        self._together = False
        self._started = time.monotonic()

    def grant(self, candidates: Sequence[Candidate], failed: Sequence[Outcome] = ()) -> list[Outcome]:
        """Grant the users. Returns all outcomes, also those of users who failed before. Raises SystemFailureError.

        There is no retry job. A user of a direct call who can't be refreshed now has failed; an event is delivered
        again.
        """
        self._outcomes |= {outcome.user_id: outcome for outcome in failed}
        self._together = len(candidates) <= TOGETHER_MAX
        found = self.refresh(candidates)
        left = next((outcome for outcome in found if outcome.kind is OutcomeKind.RETRY), None)
        if left is not None and self._kind is not JobKind.DIRECT:
            raise SystemFailureError(f"{left.user_id}: {left.error}")  # the event is delivered again
        outcomes = [*failed, *(outcome.as_final_failure() for outcome in found)]
        has_receipt = self._together and any(outcome.kind is OutcomeKind.REFRESHED for outcome in outcomes)
        if not has_receipt:
            self._write_receipts(outcomes)
        return outcomes

    def _write(self, writes: Sequence[StampWrite]) -> list[Candidate]:
        if not self._together or not writes:
            return super()._write(writes)
        outcomes = [*self._outcomes.values(), *map(self._written, writes)]
        needs_receipt = any(each.kind in _WITH_RECEIPT for each in outcomes)
        receipt = [self._receipt(self._request.job_id, outcomes)] if needs_receipt else []
        try:
            self._users.write_together(writes, receipt)
        except ConflictError as exc:
            return [self._record_conflict(write.user_id, str(exc)) for write in writes]
        except RejectedError:  # the cause is one of them; granting each separately shows which
            self._together = False
            return super()._write(writes)
        for write in writes:
            self._settle(self._written(write))
        return []

    def _refresh_locked(self, user_id: str, now: datetime) -> None:
        super()._refresh_locked(user_id, now)
        self._together = False  # the receipt is written afterwards

    def _record_conflict(self, user_id: str, message: str) -> Candidate:
        self.conflicts += 1
        self._must_wait = True
        self._reasons[user_id] = (UserErrorCode.CONTENTION, message)
        return Candidate(user_id)

    def _write_receipts(self, outcomes: Sequence[Outcome]) -> None:
        """Write one receipt, or several if one can't hold all users, or none if no user needs one."""
        with_receipt = {outcome.user_id: outcome for outcome in outcomes if outcome.kind in _WITH_RECEIPT}
        chunks = list(in_job_sizes(list(with_receipt), self._context.settings.job_size))
        for number, chunk in enumerate(chunks):
            job_id = f"{self._request.job_id}-{number}" if number else self._request.job_id
            self._wire.commit([self._receipt(job_id, [with_receipt[user_id] for user_id in chunk])])

    def _receipt(self, job_id: str, outcomes: Sequence[Outcome]) -> object:
        now = self._context.clock()
        job = Job(
            job_id=job_id,
            root_id=self._request.job_id,
            run_id=job_id[: len("2026-11-22")],
            day=self._request.day,
            scheduled_for=now,
            user_ids=tuple(outcome.user_id for outcome in outcomes if outcome.kind in _WITH_RECEIPT),
            max_attempts=1,
            attempts=1,
            created_at=now,
            started_at=now,
            visible_at=None,
            kind=self._kind,
        )
        settlement = settle(job, [outcome for outcome in outcomes if outcome.kind in _WITH_RECEIPT], now, timedelta())
        cost = self._wire.cost
        elapsed_ms = round((time.monotonic() - self._started) * 1000)
        effort = Effort(elapsed_ms, self.conflicts, cost.reads, cost.writes + len(job.user_ids) + 1)
        return self._context.jobs().receipt_write(settlement, figures_of(settlement, effort))
