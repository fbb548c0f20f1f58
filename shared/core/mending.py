"""Mending stamps: what must be written for a user who gets nothing today.

A right stamp is not written, so on an ordinary day such users cost no write. A user who fails by their own data gets
today's date as `dueOn`. Then the scan by date reads and names the user every day, until the data is corrected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from shared.core.decision import Grant, Skip, SkipReason, is_due
from shared.core.errors import UserError
from shared.core.users import BadParent, RawUser, stamp_of

Corrections = Mapping[str, str | None]  # new values of the stamp's fields; None removes a field


@dataclass(frozen=True, slots=True)
class Mend:
    """One guarded write of some fields of the stamp."""

    user_id: str
    update_time_ns: int
    corrections: Corrections


def corrections_of(raw: RawUser, found: object, day: date) -> Corrections:
    """The corrections of a stamp after a decision. Empty if the stamp is right or can't be written.

    `found`: a Decision, None for a user without a balance, or the UserError that was raised.
    """
    stamp = stamp_of(raw)
    if stamp is None:
        return {}
    if found is None or isinstance(raw.balance, BadParent):  # not counted by balance, so not by `dueOn` either
        return {"dueOn": None} if "dueOn" in stamp else {}
    match found:
        case Grant() | UserError() | Skip(stamp=Grant()):  # still to be granted, named or stamped
            return {} if is_due(stamp.get("dueOn"), day) else {"dueOn": day.isoformat()}
        case Skip(reason, due_on):
            corrections: dict[str, str | None] = {} if due_on is None else {"dueOn": due_on}
            if reason in (SkipReason.ALREADY_GRANTED, SkipReason.BEFORE_ANCHOR) and "adopt" in stamp:
                corrections["adopt"] = None  # otherwise the next period would be stamped without its grant
            return corrections
    return {}


def must_be_named(raw: RawUser) -> bool:
    """True for a user who fails and can't be found by `dueOn`.

    If the stamp is no map, a `dueOn` would destroy its content. If the balance is inside a field that is no map, no
    index of balances has it, and a `dueOn` without a balance would make the proof fail.
    """
    return stamp_of(raw) is None or isinstance(raw.balance, BadParent)
