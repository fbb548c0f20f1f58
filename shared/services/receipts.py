"""Grants with a receipt and without the queue: for a direct call and for events of a user's document.

A few users are granted in one Commit together with the receipt, so there is never one without the other. If there are
more users, each is granted separately, so that no user can delay the others. Their receipts are written afterwards.
If the database fails on a request of many, its halves are tried, until a user who breaks each request stands alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from shared import logs
from shared.core.errors import (
    BreakerOpenError,
    ConflictError,
    OutOfTimeError,
    RejectedError,
    StoreError,
    SystemFailureError,
    UserErrorCode,
)
from shared.core.figures import Effort, figures_of
from shared.core.jobs import Job, JobKind, settle
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.packing import in_job_sizes
from shared.services.context import GRACE_PERIOD_SECONDS, Context
from shared.services.grant import Candidate, Granter, GrantRequest
from shared.store.budget import Budget
from shared.store.users import StampWrite
from shared.store.wire import OverloadError

TOGETHER_MAX = 20  # users in one Commit with their receipt

_WITH_RECEIPT = (OutcomeKind.REFRESHED, OutcomeKind.FAILED)  # outcomes that get a receipt
_OF_ALL = (BreakerOpenError, OutOfTimeError, OverloadError)  # smaller requests would fail with these, too
_TELLING_FAILURES = 3  # a request and both its halves have failed: the database is taken to be down


class ReceiptGranter(Granter):
    """Grants users for one call or event, and writes a receipt. `kind`: what caused it."""

    def __init__(self, context: Context, kind: JobKind, job_id: str, day: date) -> None:
        super().__init__(context, context.wire, GrantRequest(job_id, day))
        self._kind = kind
        self._together = False
        self._answered = False  # True once the database has answered a request to write users
        self._broken: set[str] = set()  # users whose write broke a request of their own
        self._started = time.monotonic()

    def grant(self, candidates: Sequence[Candidate], failed: Sequence[Outcome] = ()) -> list[Outcome]:
        """Grant the users. Returns all outcomes, also those of users who failed before. Raises SystemFailureError.

        There is no retry job. A user of a direct call who can't be refreshed now has failed; an event is delivered
        again.
        """
        self._outcomes |= {outcome.user_id: outcome for outcome in failed}
        self._together = len(candidates) <= TOGETHER_MAX
        try:
            found = self.refresh(candidates)
        except SystemFailureError:
            self._save_receipts()
            raise
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
            return self._write_apart(writes)
        outcomes = [*self._outcomes.values(), *map(self._written, writes)]
        needs_receipt = any(each.kind in _WITH_RECEIPT for each in outcomes)
        receipt = [self._receipt(self._request.job_id, outcomes)] if needs_receipt else []
        try:
            self._users.write_together(writes, receipt)
        except ConflictError as exc:
            return [self._record_conflict(write.user_id, str(exc)) for write in writes]
        except RejectedError:  # the cause is one of them; granting each separately shows which
            self._together = False
            return self._write_apart(writes)
        for write in writes:
            self._settle(self._written(write))
        return []

    def _write_apart(self, writes: Sequence[StampWrite]) -> list[Candidate]:
        """Make each write for itself. A request that the database failed on is halved, if it answers other requests.

        Users who break a request of their own are not written again, only read: the write may have landed.
        """
        parts = deque([[write for write in writes if write.user_id not in self._broken]])
        again, failures = [], 0
        while parts:
            part = parts.popleft()
            try:
                again += super()._write(part)
                self._answered = True
            except SystemFailureError as exc:
                failures += 1
                if isinstance(exc, _OF_ALL) or (not self._answered and _is_of_all(part, writes, failures)):
                    raise
                if len(part) == 1:
                    self._broken.add(part[0].user_id)
                    self._reasons[part[0].user_id] = (UserErrorCode.WRITE_FAILED, str(exc))
                else:
                    middle = len(part) // 2
                    parts += [part[:middle], part[middle:]]
        return [*again, *(Candidate(write.user_id) for write in writes if write.user_id in self._broken)]

    def _refresh_locked(self, user_id: str, now: datetime) -> None:
        super()._refresh_locked(user_id, now)
        self._together = False  # the receipt is written afterwards

    def _record_conflict(self, user_id: str, message: str) -> Candidate:
        self.conflicts += 1
        self._must_wait = True
        self._reasons[user_id] = (UserErrorCode.CONTENTION, message)
        return Candidate(user_id)

    def _save_receipts(self) -> None:
        """Write the receipts of grants that landed before the database failed."""
        landed = [outcome for outcome in self._outcomes.values() if outcome.kind is OutcomeKind.REFRESHED]
        self._wire = self._wire.bypassing_breaker().within(Budget.of(GRACE_PERIOD_SECONDS))
        try:
            self._write_receipts(landed)
        except StoreError as exc:
            logs.error("receipts_lost", f"{len(landed)} users were granted and have no receipt: {exc}")

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


def _is_of_all(part: Sequence[StampWrite], writes: Sequence[StampWrite], failures: int) -> bool:
    """True if so many failures tell that the database is down. It has answered no request yet."""
    return len(part) == len(writes) == 1 or failures == _TELLING_FAILURES
