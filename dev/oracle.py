"""Computes from the plans what a refresh must do. It shares no code with the system.

before = start - what was spent before the refresh
after  = the plan's policy, applied to before
final  = after - what was spent after the refresh
"""

from __future__ import annotations

import calendar
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

INT64 = range(-(2**63), 2**63)
DAYS = {"day": 1, "week": 7}
WHEN_LOW = "when-low"  # the `dueOn` of users who are found by balance
MONTHS = {"month": 1, "year": 12}

Number = int | float
Interval = tuple[date, date]


class Outcome(StrEnum):
    """The outcome that a user must have on the day."""

    REFRESHED = "refreshed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected outcome. If it is a refresh: the plan's name, its period [start, end) and the anchor."""

    outcome: Outcome
    plan: str = ""
    period: Interval = (date.min, date.min)
    anchor: str | None = None
    #: Skipped because the balance is full and the plan leaves full users alone.
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Spends:
    """The amounts that a user spent before and after the refresh, in order."""

    before: Sequence[Number] = ()
    after: Sequence[Number] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """The content of the plans file."""

    plans: Mapping[str, Mapping[str, Any]]
    default: str

    @classmethod
    def read(cls, path: Path) -> Rules:
        file = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        week_start = {"week_start": file.get("week_start", "monday")}
        return cls({name: {**plan, **week_start} for name, plan in file["plans"].items()}, file["default_plan"])


def expect(rules: Rules, user: Mapping[str, Any], create_time: datetime, day: date) -> Expected:
    """The expected outcome of a user, from the document at the start of the day."""
    if "credits" not in user:
        return Expected(Outcome.SKIPPED)
    if not _is_sound(user):
        return Expected(Outcome.FAILED)
    if (user.get("creditRefresh") or {}).get("paused"):
        return Expected(Outcome.SKIPPED)
    name = rules.default if user.get("plan") is None else user["plan"]
    plan = rules.plans.get(name)
    return Expected(Outcome.FAILED) if plan is None else _expect_on(name, plan, user, create_time, day)


def _expect_on(
    name: str, plan: Mapping[str, Any], user: Mapping[str, Any], create_time: datetime, day: date
) -> Expected:
    stamp = user.get("creditRefresh") or {}
    anchor = _anchor(user, create_time)
    period = period_of(plan, day, date.fromisoformat(anchor))
    if period is None or (stamp.get("periods") or {}).get(name, "") >= period[0].isoformat():
        return Expected(Outcome.SKIPPED)
    if is_found_by_balance(plan) and user["credits"] >= plan["allowance"]:
        return Expected(Outcome.SKIPPED, is_full=True)
    if math.floor(after_grant(plan, user["credits"])) not in INT64:
        return Expected(Outcome.FAILED)
    return Expected(Outcome.REFRESHED, name, period, anchor if plan.get("anchor") == "signup" else None)


def after_scan(rules: Rules, user: Mapping[str, Any], create_time: datetime, day: date) -> Mapping[str, Any]:
    """A user who gets nothing, as the document must be at the end of the day. Only `dueOn` may have changed."""
    stamp = {} if user.get("creditRefresh") is None else user["creditRefresh"]
    if not isinstance(stamp, dict):
        return user
    due_on = _due_on(rules, user, stamp, create_time, day)
    if due_on == stamp.get("dueOn"):
        return user
    others = {name: value for name, value in stamp.items() if name != "dueOn"}
    return {**user, "creditRefresh": others if due_on is None else {**others, "dueOn": due_on}}


def _due_on(
    rules: Rules, user: Mapping[str, Any], stamp: Mapping[str, Any], create_time: datetime, day: date
) -> str | None:
    """The `dueOn` that the user must have. For paused users it is the one that they would have unpaused."""
    if "credits" not in user:
        return None
    unpaused = {**user, "creditRefresh": {name: value for name, value in stamp.items() if name != "paused"}}
    outcome = expect(rules, unpaused, create_time, day).outcome
    plan = rules.plans.get(rules.default if user.get("plan") is None else user["plan"])
    if plan is None or outcome is Outcome.FAILED or (outcome is Outcome.REFRESHED and not is_found_by_balance(plan)):
        earlier, today = stamp.get("dueOn"), day.isoformat()
        return str(earlier) if _is_day(earlier) and str(earlier) <= today else today
    if is_found_by_balance(plan):
        return WHEN_LOW
    anchor = _anchor(unpaused, create_time)
    period = period_of(plan, day, date.fromisoformat(anchor))
    return anchor if period is None else period[1].isoformat()


def is_found_by_balance(plan: Mapping[str, Any]) -> bool:
    return plan.get("when_full") == "skip"


def _anchor(user: Mapping[str, Any], create_time: datetime) -> str:
    stamp = user.get("creditRefresh") or {}
    return str(stamp.get("anchor") or _signup(user, create_time).astimezone(UTC).date().isoformat())


def period_of(plan: Mapping[str, Any], day: date, anchor: date) -> Interval | None:
    """The period that contains the day; None before the anchor."""
    kind, every = plan["period"], plan.get("every", 1)
    first = anchor if plan.get("anchor") == "signup" else _calendar_origin(plan, day)
    if kind in DAYS:
        length = timedelta(days=DAYS[kind] * every)
        begun = (day - first) // length
        return (first + begun * length, first + (begun + 1) * length) if begun >= 0 else None
    step = MONTHS[kind] * every
    starts = [add_months(first, step * n) for n in range((day.year - first.year + 1) * 12 // step + 2)]
    passed = sum(start <= day for start in starts)
    return (starts[passed - 1], starts[passed]) if passed else None


def _calendar_origin(plan: Mapping[str, Any], day: date) -> date:
    """The day that calendar periods are counted from. For months and years it is 1 January: of this year, or of 1970
    if a period has several units."""
    if plan["period"] in DAYS:
        weekday = plan.get("week_start", "monday")
        return next(date(1970, 1, n) for n in range(1, 8) if f"{date(1970, 1, n):%A}".lower() == weekday)
    return date(day.year if plan.get("every", 1) == 1 else 1970, 1, 1)


def own_zone(value: object, runs_zone: ZoneInfo) -> ZoneInfo:
    """The zone of a user's days: the one that the user's field names, or else the deployment's."""
    return ZoneInfo(value) if isinstance(value, str) and value in _zone_names() else runs_zone


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def run_of(zone: ZoneInfo, runs_zone: ZoneInfo, day: date) -> date:
    """The day of the run in which a user's local date begins."""
    return datetime.combine(day, time(), zone).astimezone(runs_zone).date()


def latest_date_of(zone: ZoneInfo, runs_zone: ZoneInfo, run_day: date) -> date:
    """The latest local date of a user that a run has to grant: the one at the last moment of the run's day."""
    end = datetime.combine(run_day + timedelta(days=1), time(), runs_zone).astimezone(UTC)
    return (end - timedelta(microseconds=1)).astimezone(zone).date()


def add_months(day: date, months: int) -> date:
    """The same day of a later month. If the month has no such day, its last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def after_grant(plan: Mapping[str, Any], balance: Number) -> Number:
    """The balance after one grant."""
    allowance: int = plan["allowance"]
    if plan["policy"] == "reset":
        carry: int = plan.get("carry", 0)
        return allowance + max(0, min(balance, carry))
    if plan["policy"] == "top_up":
        return max(balance, allowance)
    if plan["policy"] == "accumulate":
        total = balance + allowance
        capped = min(total, plan["cap"]) if "cap" in plan else total
        return max(balance, capped)
    raise ValueError(f"the oracle has no rule for policy {plan['policy']!r}; write it down here")


def faults(
    rules: Rules, expected: Expected, start: Mapping[str, Any], final: Mapping[str, Any], spends: Spends
) -> list[str]:
    """The faults in a user's balance and stamp at the end of the day."""
    if expected.outcome is not Outcome.REFRESHED:
        left = _after_spending(start.get("credits"), [*spends.before, *spends.after])
        return _differences({"credits": left}, {"credits": final.get("credits")}) if left is not None else []
    stamp, earlier = final.get("creditRefresh") or {}, start.get("creditRefresh") or {}
    before = _after_spending(start["credits"], spends.before)
    after = after_grant(rules.plans[expected.plan], before)
    wanted = {
        "credits": _after_spending(after, spends.after),
        "before": before,
        "granted": after - before,
        "plan": expected.plan,
        "periods": {**(earlier.get("periods") or {}), expected.plan: expected.period[0].isoformat()},
        "dueOn": WHEN_LOW if is_found_by_balance(rules.plans[expected.plan]) else expected.period[1].isoformat(),
        "anchor": expected.anchor or earlier.get("anchor"),
        "paused": earlier.get("paused"),
        "refreshRequested": None,
    }
    return _differences(wanted, {**{name: stamp.get(name) for name in wanted}, "credits": final.get("credits")})


def _after_spending(balance: Any, amounts: Sequence[Number]) -> Any:
    for amount in amounts:
        balance -= amount
    return balance


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} is {found[name]!r}, not {value!r}"
        for name, value in wanted.items()
        if found[name] != value and not (_is_nan(found[name]) and _is_nan(value))
    ]


def _is_sound(user: Mapping[str, Any]) -> bool:
    stamp = {} if user.get("creditRefresh") is None else user["creditRefresh"]
    if not _is_number(user["credits"]) or not isinstance(user.get("plan"), str | None) or not isinstance(stamp, dict):
        return False
    periods = {} if stamp.get("periods") is None else stamp["periods"]
    return (
        isinstance(periods, dict)
        and all(map(_is_day, periods.values()))
        and (stamp.get("anchor") is None or _is_day(stamp["anchor"]))
        and isinstance(stamp.get("paused"), bool | None)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_day(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        return False
    year, month, day = map(int, value.split("-"))
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _signup(user: Mapping[str, Any], create_time: datetime) -> datetime:
    created = user.get("createdAt")
    if isinstance(created, str):
        return datetime.fromisoformat(created)
    return created if isinstance(created, datetime) else create_time
