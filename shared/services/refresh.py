"""The direct refresh: grants one page of users, or named users, at once and without the queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from shared.core.jobs import JobKind, new_job_id
from shared.core.outcomes import Outcome
from shared.services.context import Context
from shared.services.grant import Candidate, candidate_of
from shared.services.receipts import ReceiptGranter
from shared.services.reports import PageReport


def refresh_page(context: Context, after: str | None, batch_size: int) -> PageReport:
    """Refresh the next users in order of id. Raises SystemFailureError."""
    documents = context.users().page(after, batch_size)
    sifted = [candidate_of(context, document) for document in documents]
    candidates = [candidate for candidate in sifted if isinstance(candidate, Candidate)]
    failed = [outcome for outcome in sifted if isinstance(outcome, Outcome)]
    outcomes = _grant(context, candidates, failed)
    last = documents[-1].user_id if documents else None
    return PageReport.of(outcomes, last, has_more=len(documents) == batch_size)


def refresh_named(context: Context, user_ids: Sequence[str]) -> PageReport:
    """Refresh these users, each once even if named twice. Raises SystemFailureError."""
    candidates = [Candidate(user_id) for user_id in dict.fromkeys(user_ids)]
    return PageReport.of(_grant(context, candidates), None, has_more=False)


def _grant(context: Context, candidates: Sequence[Candidate], failed: Sequence[Outcome] = ()) -> list[Outcome]:
    """Refresh users without a retry job. A user who can't be refreshed now has failed. The caller may call again."""
    day = context.schedule.day_of(context.clock())
    job_id = new_job_id(day.isoformat(), JobKind.DIRECT.value, uuid.uuid4().hex[:12])
    return ReceiptGranter(context, JobKind.DIRECT, job_id, day).grant(candidates, failed)
