"""Sign-up: a new user is stamped as due today, so the cheap `due` scan finds it.

The event holds the document as it was created, and the stamp is first written on that basis. If the document changed
since, it is read again. A second delivery finds the stamp and does nothing.
"""

from __future__ import annotations

from enum import StrEnum

from shared.core.errors import ConflictError, StoreError, SystemFailureError
from shared.core.users import ABSENT, RawUser
from shared.services.context import Context
from shared.store.users import UserDocument

ROUNDS_MAX = 5  # tries; a document that changes faster is left to the next delivery


class SignUp(StrEnum):
    """How a sign-up ended. All except `stamped` left the user unchanged."""

    STAMPED = "stamped"
    HAS_STAMP = "has_stamp"
    ODD_STAMP = "odd_stamp"
    NO_BALANCE = "no_balance"
    GONE = "gone"


def sign_up(context: Context, created: UserDocument) -> SignUp:
    """Stamp a new user. Raises SystemFailureError where a later try may succeed, RejectedError where none can."""
    users, user_id = context.users(), created.user_id
    today = context.schedule.day_of(context.clock())
    document: UserDocument | None = created
    for number in range(1, ROUNDS_MAX + 1):
        if (left := _left_alone(document)) is not None or document is None:
            return left or SignUp.GONE
        try:
            users.stamp_due(document, today)
        except ConflictError:
            if number > 1:  # the first conflict is with a second delivery, or with a write of the app since
                context.wire.back_off(number)
            document = _read(context, user_id)
        else:
            return SignUp.STAMPED
    raise SystemFailureError(f"{user_id} keeps changing under its stamp")


def _read(context: Context, user_id: str) -> UserDocument | None:
    found = context.users().read([user_id]).get(user_id)
    if isinstance(found, StoreError):
        raise found
    return found


def _left_alone(document: UserDocument | None) -> SignUp | None:
    """Why a user needs no stamp; None if it needs one."""
    if document is None:
        return SignUp.GONE
    raw: RawUser = document.raw
    if raw.balance is ABSENT:
        return SignUp.NO_BALANCE
    if raw.stamp is ABSENT or raw.stamp is None:
        return None
    if not isinstance(raw.stamp, dict):
        return SignUp.ODD_STAMP  # the scan names it; a map written there would hide it
    return SignUp.HAS_STAMP if "dueOn" in raw.stamp else None
