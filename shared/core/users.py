"""A user as the decision sees one, checked field by field: a wrong type fails this user and nobody else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from shared.core.errors import UserError, UserErrorCode
from shared.core.plans import Balance


class _Absent:
    """A field that is not there, as opposed to one that holds null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class RawUser:
    """What was read: decoded values, unchecked. Absent fields are ABSENT."""

    balance: Any
    plan: Any
    created_at: Any
    stamp: Any
    create_time: datetime


@dataclass(frozen=True, slots=True)
class LastGrant:
    """What the stamp says of the last grant; enough to write its receipt again."""

    job_id: str
    before: Balance
    granted: Balance


@dataclass(frozen=True, slots=True)
class User:
    """A user who can be decided on. `periods` maps a plan to the start of the last period granted on it."""

    balance: Balance
    plan: str | None
    periods: Mapping[str, date]
    anchor: date
    paused: bool = False
    last_grant: LastGrant | None = None
    due_on: Any = None  # the stamp's `dueOn`, unchecked; None where there is none
    adopt: bool = False  # an adoption could not stamp this user: the next grant is stamped without credits


def read_user(raw: RawUser, zone: ZoneInfo) -> User | None:
    """Check a user. None: has no balance, so is not part of the system. Raises UserError."""
    if raw.balance is ABSENT:
        return None
    stamp = _mapping("the stamp", {} if raw.stamp in (ABSENT, None) else raw.stamp)
    return User(
        balance=_balance(raw.balance),
        plan=_plan(raw.plan),
        periods=_periods(stamp.get("periods")),
        anchor=_anchor(stamp.get("anchor"), raw, zone),
        paused=_paused(stamp.get("paused")),
        last_grant=_last_grant(stamp),
        due_on=stamp.get("dueOn"),
        adopt=stamp.get("adopt") is True,
    )


def stamp_of(raw: RawUser) -> Mapping[str, Any] | None:
    """The stamp as a map, empty where there is none; None if something else is there, which must stay."""
    if raw.stamp is ABSENT or raw.stamp is None:
        return {}
    return raw.stamp if isinstance(raw.stamp, dict) else None


def waiting_since(raw: RawUser, updated_at: datetime, default_plan: str) -> datetime:
    """Since when at the earliest a due user has been: its sign-up, or the last change of a document whose plan isn't
    the one it was last granted on. For a user that has been read without error."""
    plan = raw.plan if isinstance(raw.plan, str) else default_plan
    stamped_plan = raw.stamp.get("plan", plan) if isinstance(raw.stamp, dict) else plan
    return raw.create_time if stamped_plan == plan else updated_at


def _balance(value: object) -> Balance:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(UserErrorCode.BAD_BALANCE, f"the balance is {_kind(value)}, not a number; correct it by hand")
    if not math.isfinite(value):
        raise UserError(UserErrorCode.BAD_BALANCE, f"the balance is {value}, not a finite number; correct it by hand")
    return value


def _plan(value: object) -> str | None:
    if value is ABSENT or value is None:
        return None
    if isinstance(value, str):
        return value
    raise UserError(UserErrorCode.BAD_PLAN, f"the plan is {_kind(value)}, not a text; correct it by hand")


def _periods(value: object) -> Mapping[str, date]:
    if value is None:
        return {}
    return {
        plan: _date(f"the stamp's periods.{plan}", day) for plan, day in _mapping("the stamp's periods", value).items()
    }


def _anchor(value: object, raw: RawUser, zone: ZoneInfo) -> date:
    """The stamped anchor; before the first grant `createdAt`, else the document's own create time."""
    if value is not None:
        return _date("the stamp's anchor", value)
    signup = raw.created_at if isinstance(raw.created_at, datetime) else raw.create_time
    try:
        return signup.astimezone(zone).date()
    except OverflowError:  # the first or last day there is, which some apps write for "none"
        return signup.date()


def _paused(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise UserError(UserErrorCode.BAD_STAMP, f"the stamp's paused is {_kind(value)}, not true or false")


def _last_grant(stamp: Mapping[str, Any]) -> LastGrant | None:
    job_id, before, granted = stamp.get("jobId"), stamp.get("before"), stamp.get("granted")
    if isinstance(job_id, str) and isinstance(before, int | float) and isinstance(granted, int | float):
        return LastGrant(job_id, before, granted)
    return None


def _mapping(what: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise UserError(UserErrorCode.BAD_STAMP, f"{what} is {_kind(value)}, not a map; remove it to start afresh")


def _date(what: str, value: object) -> date:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise UserError(UserErrorCode.BAD_STAMP, f"{what} is not a date like 2026-11-22; remove it to start afresh")
    return day


@lru_cache(maxsize=4096)
def parse_date(text: str) -> date | None:
    """A date written like 2026-11-22 and in no other of ISO 8601's ways; None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


_KINDS = {
    type(None): "null",
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    dict: "a map",
    list: "a list",
    datetime: "a time",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")
