"""What a write to a user's document changed, found by comparing the document before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from shared.core.users import ABSENT, RawUser, stamp_of

REQUESTED = "refreshRequested"  # in the stamp: the app asks for a refresh
#: Fields of a stamp that need not be restored, because the next decision computes them again.
FOUND_AGAIN = {"dueOn", REQUESTED}


class Change(StrEnum):
    """The changes of a write that matter to us."""

    CREATED = "created"
    FIRST_BALANCE = "first_balance"
    #: A grant may be due: plan, override, anchor or time zone changed, or the app asks for a refresh.
    TERMS = "terms"
    #: The app's write removed the stamp, as set() without merge does.
    STAMP_LOST = "stamp_lost"
    NOTHING = "nothing"


def change_of(old: RawUser | None, new: RawUser) -> Change:
    """What a write changed. `old`: None for a new document.

    Our own grants set another `jobId`, and nothing needs to be done after them. So our own writes cause no further
    write. An app that writes the whole stamp removes `jobId`, so its write counts.
    """
    if old is None:
        return Change.CREATED
    before, after = stamp_of(old) or {}, stamp_of(new) or {}
    if _has_no_stamp(new) and before.keys() - FOUND_AGAIN:
        return Change.STAMP_LOST
    if after.get("jobId") not in (None, before.get("jobId")):
        return Change.NOTHING
    if old.balance is ABSENT and new.balance is not ABSENT:
        return Change.FIRST_BALANCE
    asks = after.get(REQUESTED) is True and before.get(REQUESTED) is not True
    has_moved = old.plan != new.plan or old.zone != new.zone
    has_new_terms = has_moved or any(before.get(name) != after.get(name) for name in ("override", "anchor"))
    return Change.TERMS if asks or has_new_terms else Change.NOTHING


def fields_to_restore(before: RawUser, now: RawUser) -> Mapping[str, Any]:
    """The fields that restore a lost stamp. If a new stamp was written meanwhile, each plan keeps the later date."""
    lost, present = stamp_of(before) or {}, stamp_of(now)
    if present is None:
        return {}
    if _has_no_stamp(now):
        return {name: value for name, value in lost.items() if name != REQUESTED}
    periods = _later(_dates(lost.get("periods")), _dates(present.get("periods")))
    return {} if periods == present.get("periods") else {"periods": periods}


def _has_no_stamp(raw: RawUser) -> bool:
    return raw.stamp is ABSENT or raw.stamp is None


def _dates(value: object) -> Mapping[str, str]:
    return {plan: day for plan, day in value.items() if isinstance(day, str)} if isinstance(value, dict) else {}


def _later(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Dates like 2026-11-22 sort as texts."""
    return {plan: max(one.get(plan, ""), other.get(plan, "")) for plan in {**one, **other}}
