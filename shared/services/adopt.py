"""Adopt users of a live app: stamp their current period and grant nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

from shared import logs
from shared.core.decision import Skip, decide_adoption, is_due
from shared.core.errors import BreakerOpenError, OutOfTimeError, SystemFailureError, UserErrorCode
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.users import stamp_of
from shared.services.context import Context
from shared.services.grant import Candidate, Granter, GrantRequest, candidate_of, capture_user_error
from shared.store.users import WRITES_MAX, StampFieldsWrite, UserDocument, WriteStatus

# Users: a part of 500 that fails makes 20 small parts, and a small part that fails makes 25 parts of one user.
SMALL_PART = 25
FAILED_ALONE_MAX = 3  # users in a row; if the next one can't be adopted either, the database is taken to be down


def adopt_users(context: Context, users: Sequence[UserDocument], day: date) -> Iterator[list[Outcome]]:
    """The outcomes of users in their order, part by part. Raises SystemFailureError if the database can't be reached.

    A part that the database fails on is adopted in smaller parts, in the end user by user. A user on whom it fails
    alone has failed, so that no user holds up the others. Even if all of them fail, each call gets past a few.
    """
    waiting = deque(_parts(users, WRITES_MAX))
    failed_alone = 0
    while waiting:
        part = waiting.popleft()
        try:
            outcomes = _adopt_together(context, part, day)
        except (BreakerOpenError, OutOfTimeError):
            raise
        except SystemFailureError as exc:
            if len(part) > 1:
                waiting.extendleft(reversed(_parts(part, SMALL_PART if len(part) > SMALL_PART else 1)))
                continue
            if failed_alone == FAILED_ALONE_MAX:
                raise
            failed_alone += 1
            outcomes = [Outcome.failed(part[0].user_id, UserErrorCode.WRITE_FAILED, str(exc))]
        if any(outcome.is_adopted for outcome in outcomes):
            failed_alone = 0
        _mark(context, [outcome.user_id for outcome in outcomes if outcome.kind is OutcomeKind.FAILED], day)
        yield outcomes


def _parts(users: Sequence[UserDocument], size: int) -> list[Sequence[UserDocument]]:
    return [users[start : start + size] for start in range(0, len(users), size)]


def adoption_of(context: Context, user: UserDocument, day: date) -> Skip:
    """What an adoption has to do for a user at this moment. Raises UserError."""
    read = context.read_user(user.raw)
    local_date = day if read is None or read.own_days is None else context.day_of(read)
    return decide_adoption(read, context.plans, local_date)


def _adopt_together(context: Context, users: Sequence[UserDocument], day: date) -> list[Outcome]:
    """The outcomes of users in their order. Raises SystemFailureError, also if the database stamps nobody."""
    found = [candidate_of(context, user) for user in users]
    granter = Granter(context, context.wire, GrantRequest("adopt", day, adopting=True))
    outcomes = granter.refresh([candidate for candidate in found if isinstance(candidate, Candidate)])
    failures = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.RETRY]
    if failures and not any(outcome.is_adopted for outcome in outcomes):
        raise SystemFailureError(f"none of {len(users)} users could be adopted: {failures[0].error}")
    outcomes += [outcome for outcome in found if isinstance(outcome, Outcome)]
    by_id = {outcome.user_id: outcome.as_final_failure() for outcome in outcomes}
    return [by_id[user.user_id] for user in users]


def _mark(context: Context, user_ids: Sequence[str], day: date) -> None:
    """Mark users who fail in an adoption, so that they are adopted, not granted, once they are in order.

    The follow-up list says so too. The mark is for whoever sees the document alone, so the adoption goes on without it.
    Raises SystemFailureError if the database does not even answer a read: then no user is to blame.
    """
    try:
        _mark_together(context, user_ids, day)
    except SystemFailureError as exc:
        if len(user_ids) == 1:
            context.users(context.wire.bypassing_breaker()).page(None, 1)
            logs.warning("adoption_not_marked", f"the follow-up list alone has the user: {exc}", userId=user_ids[0])
            return
        for user_id in user_ids:
            _mark(context, [user_id], day)


def _mark_together(context: Context, user_ids: Sequence[str], day: date) -> None:
    pending = list(user_ids)
    for _ in range(context.limits.grant_rounds):
        if not pending:
            return
        documents = context.users().read(pending).values()
        known = [each for each in documents if isinstance(each, UserDocument)]
        writes = [write for each in known if (write := _mark_write(context, each, day))]
        results = context.users().write_stamp_fields(writes)
        pending = [
            write.user_id
            for write, result in zip(writes, results, strict=True)
            if result.status in (WriteStatus.CHANGED, WriteStatus.TRANSIENT)
        ]
    if pending:
        raise SystemFailureError(f"{len(pending)} users can't be marked at the moment")


def _mark_write(context: Context, user: UserDocument, day: date) -> StampFieldsWrite | None:
    """The write that marks a user. None if the mark is there, if the stamp is no map, or if nothing is left to adopt:
    the adoption's own write may have landed although its reply was lost."""
    stamp = stamp_of(user.raw)
    if stamp is None or (stamp.get("adopt") is True and is_due(stamp.get("dueOn"), day)):
        return None
    left = capture_user_error(user.user_id, partial(adoption_of, context, user, day))
    if isinstance(left, Skip) and left.stamp is None:
        return None
    fields: dict[str, Any] = {"adopt": True}
    if not is_due(stamp.get("dueOn"), day):
        fields["dueOn"] = day.isoformat()
    return StampFieldsWrite(user.user_id, user.update_time_ns, fields)
