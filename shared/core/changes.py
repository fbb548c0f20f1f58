"""What a write to a user's document changed, found by comparing the document before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from shared.core.users import ABSENT, RawUser, stamp_of

REQUESTED = "refreshRequested"  # in the stamp: the app asks for a refresh
# A stamp that held nothing else is not restored: no grant is lost with it, and the next scan computes `dueOn`.
EXPENDABLE = {"dueOn", REQUESTED}


class Change(StrEnum):
    """What a write changed, as far as we have to do something about it."""

    CREATED = "created"
    FIRST_BALANCE = "first_balance"
    #: A grant may be due: plan, override, anchor or time zone changed, or the app asks for a refresh.
    TERMS = "terms"
    #: The app's write removed the stamp, as set() without merge does.
    STAMP_LOST = "stamp_lost"
    NOTHING = "nothing"


def change_of(old: RawUser | None, new: RawUser) -> Change:
    """What a write changed. `old`: None for a new document.

    A write with another `jobId` is a grant of ours, and needs no further write. An app that replaces the whole stamp
    removes `jobId`, so its write is not taken for ours.
    """
    if old is None:
        return Change.CREATED
    before, after = stamp_of(old) or {}, stamp_of(new) or {}
    if _has_no_stamp(new) and before.keys() - EXPENDABLE:
        return Change.STAMP_LOST
    if after.get("jobId") not in (None, before.get("jobId")):
        return Change.NOTHING
    if old.balance is ABSENT and new.balance is not ABSENT:
        return Change.FIRST_BALANCE
    asks = after.get(REQUESTED) is True and before.get(REQUESTED) is not True
    has_new_fields = old.plan != new.plan or old.zone != new.zone
    has_new_stamp = any(before.get(name) != after.get(name) for name in ("override", "anchor"))
    return Change.TERMS if asks or has_new_fields or has_new_stamp else Change.NOTHING


def fields_to_restore(before: RawUser, now: RawUser) -> Mapping[str, Any]:
    """The fields of the stamp that have to be written to restore a lost stamp; empty if there is nothing to restore.

    If a new stamp was written meanwhile, each plan keeps the later one of its two dates.
    """
    lost, present = stamp_of(before) or {}, stamp_of(now)
    if present is None:  # it is not a map, so a person has to correct it
        return {}
    if _has_no_stamp(now):
        return {name: value for name, value in lost.items() if name != REQUESTED}
    periods = _later_dates(_dates(lost.get("periods")), _dates(present.get("periods")))
    return {} if periods == present.get("periods") else {"periods": periods}


def _has_no_stamp(raw: RawUser) -> bool:
    return raw.stamp is ABSENT or raw.stamp is None


def _dates(value: object) -> Mapping[str, str]:
    return {plan: day for plan, day in value.items() if isinstance(day, str)} if isinstance(value, dict) else {}


def _later_dates(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """For each plan the later date. Dates like 2026-11-22 are compared as texts."""
    return {plan: max(one.get(plan, ""), other.get(plan, "")) for plan in {**one, **other}}
