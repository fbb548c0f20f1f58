"""Events of users' documents: a new user is granted at once, and so is a user for whom a change makes a grant due.

The event has the document as it was written, and the first grant is decided on that copy. If the document has changed
since, it is read and decided again. The id of the receipt follows from the id of the event, so a second delivery finds
a grant that landed.

A user may be created without a balance, and get one in a second write. The event of the first write has no balance, so
the document is read once more. A user who still has no balance is found by the next scan, or by the event of the second
write if the function gets an event for every write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.core.changes import Change, change_of, fields_to_restore
from shared.core.decision import SkipReason
from shared.core.errors import StoreError, SystemFailureError
from shared.core.jobs import JobKind, new_job_id
from shared.core.outcomes import Outcome
from shared.core.users import ABSENT
from shared.services.context import Context
from shared.services.grant import Candidate, candidate_of
from shared.services.receipts import ReceiptGranter
from shared.store.users import StampFieldsWrite, UserDocument, WriteStatus

ROUNDS_MAX = 5  # tries; a document that changes faster is left to the next delivery
HELD = "held"  # the refresh is paused: the scan finds the user after the resume
KINDS = {Change.CREATED: JobKind.SIGNUP, Change.FIRST_BALANCE: JobKind.SIGNUP}


def take_event(context: Context, event_id: str, old: UserDocument | None, new: UserDocument) -> Mapping[str, Any]:
    """Do what a write requires. Returns the result for the log. Raises SystemFailureError if a later try may succeed.

    `old`: the document before the write; None: it is new.
    """
    change = change_of(None if old is None else old.raw, new.raw)
    about = {"userId": new.user_id, "change": change.value}
    if change is Change.NOTHING:
        return {**about, "outcome": change.value}
    if context.control().is_paused(context.clock()):
        return {**about, "outcome": HELD}
    document: UserDocument | None = new
    if change is Change.STAMP_LOST and old is not None:
        document = _with_stamp(context, old, new)
    elif new.raw.balance is ABSENT:
        document = _read(context, new.user_id)
    if document is None:
        return {**about, "outcome": SkipReason.DELETED.value}
    outcome = _refresh(context, KINDS.get(change, JobKind.REQUEST), event_id, document)
    result = outcome.kind if outcome.reason is None else outcome.reason
    return {**about, "outcome": result.value, **({} if outcome.code is None else {"code": outcome.code.value})}


def _refresh(context: Context, kind: JobKind, event_id: str, document: UserDocument) -> Outcome:
    day = context.schedule.day_of(context.clock())
    token = hashlib.blake2b(event_id.encode(), digest_size=8).hexdigest()
    granter = ReceiptGranter(context, kind, new_job_id(day.isoformat(), kind.value, token), day)
    sifted = candidate_of(context, document)
    known, failed = ([sifted], []) if isinstance(sifted, Candidate) else ([], [sifted])
    (outcome,) = granter.grant(known, failed)
    granter.put_right({document.user_id: document})
    return outcome


def _with_stamp(context: Context, old: UserDocument, new: UserDocument) -> UserDocument | None:
    """Restore the stamp. Returns the document afterwards, or None if it is deleted."""
    document: UserDocument | None = new
    for number in range(1, ROUNDS_MAX + 1):
        if document is None or not (fields := fields_to_restore(old.raw, document.raw)):
            return document
        write = StampFieldsWrite(document.user_id, document.update_time_ns, fields)
        (result,) = context.users().write_stamp_fields([write])
        if result.status is WriteStatus.TRANSIENT:
            raise SystemFailureError(result.message)
        if result.status is WriteStatus.CHANGED:
            context.wire.back_off(number)
        document = _read(context, new.user_id)
        if result.status is WriteStatus.WRITTEN:
            return document
    raise SystemFailureError(f"{new.user_id} keeps changing under its stamp")


def _read(context: Context, user_id: str) -> UserDocument | None:
    found = context.users().read([user_id]).get(user_id)
    if isinstance(found, StoreError):
        raise found
    return found
