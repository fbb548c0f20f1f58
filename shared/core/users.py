"""Users as the decision needs them, checked field by field. A wrong type fails this user and no other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.core.created_at import parse_date, read_created_at
from shared.core.errors import UserError, UserErrorCode
from shared.core.own_days import OwnDays, find_zone
from shared.core.plans import INT64_MAX, Balance, PlanTable

__all__ = ["ABSENT", "BadParent", "LastGrant", "Override", "RawUser", "User", "parse_date", "read_user"]

OVERRIDE_KEYS = {"plan", "allowance", "cap", "until"}


class _Absent:
    """Marks a field that does not exist, as opposed to one that holds null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class BadParent:
    """Stands for a field that can't exist, because `path`, a parent of it, holds `value`, which is not a map."""

    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class RawUser:
    """What was read of a user: decoded values, unchecked. A field that does not exist is ABSENT or a BadParent."""

    balance: Any
    plan: Any
    created_at: Any
    stamp: Any
    create_time: datetime
    purchased: Any = ABSENT
    zone: Any = ABSENT


@dataclass(frozen=True, slots=True)
class LastGrant:
    """The last grant, as the stamp records it. Its receipt can be written from this."""

    job_id: str
    before: Balance
    granted: Balance


@dataclass(frozen=True, slots=True)
class Override:
    """This user's own allowance and cap on one plan, for periods that start on or before `until`. None: not set."""

    plan: str
    allowance: int | None = None
    cap: int | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A checked user."""

    balance: Balance
    #: The plan's name as the app wrote it; None for the default plan.
    plan: str | None
    #: By the plan's name: the start of the last period granted on it.
    periods: Mapping[str, date]
    #: The date that periods with `anchor = "signup"` count from; None if `createdAt` can't be read.
    anchor: date | None
    paused: bool = False
    last_grant: LastGrant | None = None
    #: The stamp's `dueOn`, unchecked; None where there is none.
    due_on: Any = None
    #: The bought credits as the app wrote them; None if the user has no such field.
    purchased: Balance | None = None
    override: Override | None = None
    #: The day of the sign-up, if the app gave that day's period: it counts as granted. Else None.
    given_on: date | None = None
    #: True for a user who failed in an adoption. The next write stamps the period and grants nothing.
    adopt: bool = False
    #: What a plan change adds, in a user made from a snapshot. None: to be worked out from `periods`.
    difference: int | None = None
    #: Why `anchor` is None.
    anchor_problem: str = ""
    #: None for a user whose days are the deployment's.
    own_days: OwnDays | None = None
    #: Why the user's zone can't be used, so that the deployment's holds.
    zone_problem: str = ""
    #: The stamp's `activity`, unchecked: the hours at which the user was seen active.
    activity: Any = None

    def run_day(self, day: date) -> date:
        """The day of the run to which the user's local date belongs."""
        return day if self.own_days is None else self.own_days.run_day(day)

    def days_in_run(self, run_day: date) -> tuple[date, ...]:
        """The user's local dates that a run has to grant, in order."""
        return (run_day,) if self.own_days is None else self.own_days.days_in_run(run_day)


def read_user(raw: RawUser, zone: ZoneInfo, *, given_at_sign_up: bool = False) -> User | None:
    """Check a user. None: without a balance the user is not part of the system. Raises UserError.

    `zone` is the deployment's. It holds for a user without a zone, and for one whose zone can't be used.

    `given_at_sign_up`: the app itself gives the first period, so that of the document's create time counts as granted.
    """
    if raw.balance is ABSENT:
        return None
    stamp = _stamp(raw.stamp)
    periods = _periods(stamp.get("periods"))
    own_days, zone_problem = _own_days(raw.zone, zone)
    own_zone = zone if own_days is None else own_days.zone
    anchor, anchor_problem = _anchor(stamp.get("anchor"), raw, own_zone)
    return User(
        balance=_balance(raw.balance),
        plan=_plan(raw.plan),
        periods=periods,
        anchor=anchor,
        paused=_paused(stamp.get("paused")),
        last_grant=_last_grant(stamp),
        due_on=stamp.get("dueOn"),
        purchased=_purchased(raw.purchased),
        override=_override(stamp.get("override")),
        given_on=_local_day(raw.create_time, own_zone) if given_at_sign_up and not periods else None,
        adopt=stamp.get("adopt") is True,
        anchor_problem=anchor_problem,
        own_days=own_days,
        zone_problem=zone_problem,
        activity=stamp.get("activity"),
    )


def stamp_of(raw: RawUser) -> Mapping[str, Any] | None:
    """The stamp as a map, empty if there is none. None if another value is there, which must stay."""
    if raw.stamp is ABSENT or raw.stamp is None:
        return {}
    return raw.stamp if isinstance(raw.stamp, dict) else None


def waiting_since(raw: RawUser, updated_at: datetime, plans: PlanTable) -> datetime:
    """The earliest moment this user can have become due: its sign-up. If the plan is not the one of the last grant, it
    is the document's last change. For a user that has been read without error."""
    plan = _present_name(raw.plan if isinstance(raw.plan, str) else plans.default, plans)
    stamped = raw.stamp.get("plan", plan) if isinstance(raw.stamp, dict) else plan
    return raw.create_time if _present_name(stamped, plans) == plan else updated_at


def _present_name(name: object, plans: PlanTable) -> object:
    """The plan's present name, if this is a former name."""
    return plans.former.get(name, name) if isinstance(name, str) else name


def _below_map(code: UserErrorCode, what: str, value: object) -> object:
    """The value of a field. Raises UserError if a parent of the field is not a map."""
    if isinstance(value, BadParent):
        message = f"{what} can't be there: {value.path} is {_kind(value.value)}, not a map; correct it by hand"
        raise UserError(code, message)
    return value


def _balance(value: object) -> Balance:
    return _finite(UserErrorCode.BAD_BALANCE, "the balance", value)


def _purchased(value: object) -> Balance | None:
    return None if value is ABSENT or value is None else _finite(UserErrorCode.BAD_PURCHASED, "what was bought", value)


def _finite(code: UserErrorCode, what: str, value: object) -> Balance:
    _below_map(code, what, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(code, f"{what} is {_kind(value)}, not a number; correct it by hand")
    if not math.isfinite(value):
        raise UserError(code, f"{what} is {value}, not a finite number; correct it by hand")
    return value


def _plan(value: object) -> str | None:
    _below_map(UserErrorCode.BAD_PLAN, "the plan", value)
    if value is ABSENT or value is None:
        return None
    if isinstance(value, str):
        return value
    raise UserError(UserErrorCode.BAD_PLAN, f"the plan is {_kind(value)}, not a text; correct it by hand")


def _stamp(value: object) -> Mapping[str, Any]:
    _below_map(UserErrorCode.BAD_STAMP, "the stamp", value)
    return _mapping("the stamp", {} if value is ABSENT or value is None else value)


def _periods(value: object) -> Mapping[str, date]:
    if value is None:
        return {}
    return {
        plan: _date(f"the stamp's periods.{plan}", day) for plan, day in _mapping("the stamp's periods", value).items()
    }


def _anchor(value: object, raw: RawUser, zone: ZoneInfo) -> tuple[date | None, str]:
    """The stamped anchor. Before the first grant it is the day of `createdAt`, or else of the document's create time.

    If `createdAt` can't be read, it is None with the reason. Only plans that count from sign-up need an anchor.
    """
    _below_map(UserErrorCode.BAD_CREATED_AT, "createdAt", raw.created_at)
    if value is not None:
        return _date("the stamp's anchor", value), ""
    if raw.created_at is ABSENT or raw.created_at is None:
        return _local_day(raw.create_time, zone), ""
    created = read_created_at(raw.created_at)
    if created is None:
        return None, f"createdAt is {_kind(raw.created_at)} that names no one moment; write a timestamp"
    return (_local_day(created, zone) if isinstance(created, datetime) else created), ""


def _own_days(value: object, runs_zone: ZoneInfo) -> tuple[OwnDays | None, str]:
    """The user's own days; None if they are the deployment's. If that is because the zone is bad, the reason too."""
    if value is ABSENT or value is None or value == runs_zone.key:
        return None, ""
    if isinstance(value, BadParent):
        return None, _bad_zone(f"it can't be there: {value.path} is {_kind(value.value)}, not a map", runs_zone)
    if not isinstance(value, str):
        return None, _bad_zone(f"it is {_kind(value)}, not a text", runs_zone)
    zone = find_zone(value)
    if zone is None:
        return None, _bad_zone(f"{value[:40]!r} is not an IANA name such as Europe/Berlin", runs_zone)
    return OwnDays(zone, runs_zone), ""


def _bad_zone(problem: str, runs_zone: ZoneInfo) -> str:
    return f"the time zone: {problem}; {runs_zone.key} is used until it is corrected"


def _local_day(instant: datetime, zone: ZoneInfo) -> date:
    try:
        return instant.astimezone(zone).date()
    except OverflowError:  # the first or last possible day, which some apps write for "none"
        return instant.date()


def _paused(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise UserError(UserErrorCode.BAD_STAMP, f"the stamp's paused is {_kind(value)}, not true or false")


def _last_grant(stamp: Mapping[str, Any]) -> LastGrant | None:
    job_id, before, granted = stamp.get("jobId"), stamp.get("before"), stamp.get("granted")
    if isinstance(job_id, str) and isinstance(before, int | float) and isinstance(granted, int | float):
        return LastGrant(job_id, before, granted)
    return None


def _override(value: object) -> Override | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _bad_override(f"it is {_kind(value)}, not a map")
    unknown = sorted(set(value) - OVERRIDE_KEYS)
    if unknown:
        raise _bad_override(f"{unknown[0][:40]!r} is an unknown key; expected {', '.join(sorted(OVERRIDE_KEYS))}")
    plan = value.get("plan")
    if not isinstance(plan, str):
        raise _bad_override("plan has to be the name of a plan")
    return Override(plan, _own_number(value, "allowance"), _own_number(value, "cap"), _until(value))


def _own_number(override: Mapping[str, Any], key: str) -> int | None:
    if key not in override:
        return None
    value = override[key]
    if type(value) is int and 0 <= value <= INT64_MAX:
        return value
    shown = value if type(value) in (int, float) else _kind(value)
    raise _bad_override(f"{key} is {shown}, not a whole number from 0 on")


def _until(override: Mapping[str, Any]) -> date | None:
    if "until" not in override:
        return None
    until = override["until"]
    day = parse_date(until) if isinstance(until, str) else None
    if day is None:
        raise _bad_override("until is not a date like 2026-11-30, as a text")
    return day


def _bad_override(problem: str) -> UserError:
    return UserError(UserErrorCode.BAD_OVERRIDE, f"the stamp's override: {problem}; correct it, or remove it")


def _mapping(what: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise UserError(UserErrorCode.BAD_STAMP, f"{what} is {_kind(value)}, not a map; remove it to start afresh")


def _date(what: str, value: object) -> date:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise UserError(UserErrorCode.BAD_STAMP, f"{what} is not a date like 2026-11-22; remove it to start afresh")
    return day


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
