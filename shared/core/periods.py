"""Periods: which one contains a day, and when the next one begins. A period contains its start and not its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import assert_never

from dateutil.relativedelta import relativedelta

from shared.core.plans import PeriodKind, Plan, PlanTable, WeekStart

# Calendar periods of several weeks, months or years are counted from this day. Weeks are counted from the first
# `week_start` on or after it.
EPOCH = date(1970, 1, 1)
_WEEKDAYS = {week_start: number for number, week_start in enumerate(WeekStart)}


@dataclass(frozen=True, slots=True)
class Period:
    """`start` inclusive, `end` exclusive; `end` is the start of the next period."""

    start: date
    end: date


_DAYS_MAX = {PeriodKind.DAY: 1, PeriodKind.WEEK: 7, PeriodKind.MONTH: 31, PeriodKind.YEAR: 366}


def days_of_longest_period(plans: PlanTable) -> int:
    """A number of days that no period of any plan exceeds."""
    return max(plan.every * _DAYS_MAX[plan.period] for plan in plans.plans.values())


def period_of(plan: Plan, day: date, anchor: date | None) -> Period | None:
    """The plan's period that contains `day`. None if the plan counts from sign-up and `day` is before the anchor.

    `day` is the user's local date. `anchor` may be None for a plan that follows the calendar.
    """
    if not plan.counts_from_signup:
        return _calendar_period(plan.period, plan.every, plan.week_start, day)
    if anchor is None:
        raise ValueError(f"plan {plan.name!r} counts from an anchor, and there is none")
    return _anchored_period(plan.period, plan.every, day, anchor)


def next_start(plan: Plan, day: date, anchor: date | None, granted_on: date | None) -> date:
    """The start of the first period that begins after both `day` and `granted_on`.

    Before the anchor it is the anchor itself. `granted_on` may be later than `day`: when a job of an older day is
    worked, after a change of the plan's periods, or because the app wrote it.
    """
    try:
        starts = [_start_after(plan, each, anchor) for each in (day, granted_on) if each is not None]
    except (OverflowError, ValueError):  # past the year 9999, which some apps write for "never"
        return date.max
    return max(starts)


def _start_after(plan: Plan, day: date, anchor: date | None) -> date:
    period = period_of(plan, day, anchor)
    if period is not None:
        return period.end
    assert anchor is not None, "a plan without an anchor has a period on every day"
    return anchor


@lru_cache(maxsize=1024)
def _calendar_period(kind: PeriodKind, every: int, week_start: WeekStart, day: date) -> Period:
    match kind:
        case PeriodKind.DAY:
            return _period_of_days(EPOCH, every, day)
        case PeriodKind.WEEK:
            first = EPOCH + timedelta(days=(_WEEKDAYS[week_start] - EPOCH.weekday()) % 7)
            return _period_of_days(first, 7 * every, day)
        case PeriodKind.MONTH:
            return _period_of_months(EPOCH, every, day)
        case PeriodKind.YEAR:
            return _period_of_months(EPOCH, 12 * every, day)
        case _ as never:
            assert_never(never)


@lru_cache(maxsize=65536)
def _anchored_period(kind: PeriodKind, every: int, day: date, anchor: date) -> Period | None:
    if day < anchor:
        return None
    match kind:
        case PeriodKind.DAY:
            return _period_of_days(anchor, every, day)
        case PeriodKind.WEEK:
            return _period_of_days(anchor, 7 * every, day)
        case PeriodKind.MONTH:
            return _period_of_months(anchor, every, day)
        case PeriodKind.YEAR:
            return _period_of_months(anchor, 12 * every, day)
        case _ as never:
            assert_never(never)


def _period_of_days(first: date, length: int, day: date) -> Period:
    """The period that contains `day`. Periods are `length` days long, and one of them begins at `first`."""
    start = day - timedelta(days=(day - first).days % length)
    return Period(start, start + timedelta(days=length))


def _period_of_months(first: date, length: int, day: date) -> Period:
    """The period that contains `day`. Periods are `length` months long, and one of them begins at `first`.

    Each start is `first` plus n periods. It is never the last start plus one period, as that would drift: 31 January,
    28 February, 28 March.
    """
    passed = ((day.year - first.year) * 12 + day.month - first.month) // length
    if first + relativedelta(months=passed * length) > day:
        passed -= 1
    return Period(
        first + relativedelta(months=passed * length),
        first + relativedelta(months=(passed + 1) * length),
    )
