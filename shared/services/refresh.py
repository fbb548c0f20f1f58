"""The direct refresh: one page of users, or the users named, at once and without the queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from shared.core.outcomes import Outcome
from shared.services.context import Context
from shared.services.grant import Candidate, Granter, GrantRequest, candidate_of
from shared.services.reports import PageReport


def refresh_page(context: Context, after: str | None, batch_size: int) -> PageReport:
    """Refresh the next users in order of id. Raises SystemFailureError."""
    documents = context.users().page(after, batch_size)
    sifted = [candidate_of(context, document) for document in documents]
    candidates = [candidate for candidate in sifted if isinstance(candidate, Candidate)]
    failed = [outcome for outcome in sifted if isinstance(outcome, Outcome)]
    outcomes = failed + _granted(context, candidates)
    last = documents[-1].user_id if documents else None
    return PageReport.of(outcomes, last, has_more=len(documents) == batch_size)


def refresh_named(context: Context, user_ids: Sequence[str]) -> PageReport:
    """Refresh these users, each once even if named twice. Raises SystemFailureError."""
    candidates = [Candidate(user_id) for user_id in dict.fromkeys(user_ids)]
    return PageReport.of(_granted(context, candidates), None, has_more=False)


def _granted(context: Context, candidates: Sequence[Candidate]) -> list[Outcome]:
    """Refresh them without a retry job: a user who can't be refreshed now has failed. The caller may call again."""
    day = context.schedule.day_of(context.clock())
    granter = Granter(context, context.wire, GrantRequest(f"direct-{uuid.uuid4().hex}", day))
    return [outcome.as_final_failure() for outcome in granter.refresh(candidates)]
