"""Adopt users of a live app: stamp their current period and grant nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from shared.core.decision import is_due
from shared.core.errors import SystemFailureError
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.users import stamp_of
from shared.services.context import Context
from shared.services.grant import Candidate, Granter, GrantRequest, candidate_of
from shared.store.users import StampFieldsWrite, UserDocument, WriteStatus


def adopt_users(context: Context, users: Sequence[UserDocument], day: date) -> list[Outcome]:
    """One outcome for each user. Raises SystemFailureError if some can't be adopted: a later scan would grant them."""
    found = [candidate_of(context, user) for user in users]
    granter = Granter(context, context.wire, GrantRequest("adopt", day, adopting=True))
    outcomes = granter.refresh([candidate for candidate in found if isinstance(candidate, Candidate)])
    outcomes += [outcome for outcome in found if isinstance(outcome, Outcome)]
    _mark(context, [outcome.user_id for outcome in outcomes if outcome.kind is OutcomeKind.FAILED], day)
    if any(outcome.kind is OutcomeKind.RETRY for outcome in outcomes):
        raise SystemFailureError("some users can't be adopted at the moment; call again to go on from here")
    return outcomes


def _mark(context: Context, user_ids: Sequence[str], day: date) -> None:
    """Mark users who fail in an adoption, so that they are adopted, not granted, once they are in order."""
    pending = list(user_ids)
    for _ in range(context.limits.grant_rounds):
        if not pending:
            return
        documents = context.users().read(pending).values()
        writes = [write for each in documents if isinstance(each, UserDocument) and (write := _mark_write(each, day))]
        results = context.users().write_stamp_fields(writes)
        pending = [
            write.user_id
            for write, result in zip(writes, results, strict=True)
            if result.status in (WriteStatus.CHANGED, WriteStatus.TRANSIENT)
        ]
    if pending:
        raise SystemFailureError("some users can't be marked at the moment; call again to go on from here")


def _mark_write(user: UserDocument, day: date) -> StampFieldsWrite | None:
    """The write that marks a user. None if it is marked already, or kept by name because the stamp is no map."""
    stamp = stamp_of(user.raw)
    if stamp is None or (stamp.get("adopt") is True and is_due(stamp.get("dueOn"), day)):
        return None
    fields: dict[str, Any] = {"adopt": True}
    if not is_due(stamp.get("dueOn"), day):
        fields["dueOn"] = day.isoformat()
    return StampFieldsWrite(user.user_id, user.update_time_ns, fields)
