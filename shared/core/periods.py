"""Period maths on dates. A period is half-open: it contains its start and not its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import assert_never

from dateutil.relativedelta import relativedelta

from shared.core.plans import PeriodKind, Plan, PlanTable, WeekStart

#: Calendar periods of several weeks, months or years are counted from here: weeks from the first `week_start` on or
#: after this day, months from its month, years from its year.
EPOCH = date(1970, 1, 1)
_WEEKDAYS = {week_start: number for number, week_start in enumerate(WeekStart)}


@dataclass(frozen=True, slots=True)
class Period:
    """`start` inclusive, `end` exclusive; `end` is the start of the next period."""

    start: date
    end: date


_DAYS_MAX = {PeriodKind.DAY: 1, PeriodKind.WEEK: 7, PeriodKind.MONTH: 31, PeriodKind.YEAR: 366}


def days_of_longest_period(plans: PlanTable) -> int:
    """The number of days that no period of any plan exceeds."""
    return max(plan.every * _DAYS_MAX[plan.period] for plan in plans.plans.values())


def period_of(plan: Plan, day: date, anchor: date | None) -> Period | None:
    """The plan's period that contains `day`, or None before the anchor of a plan that counts from sign-up.

    `day` is the user's local date. `anchor` may be None for a plan that follows the calendar.
    """
    if not plan.counts_from_signup:
        return _calendar(plan.period, plan.every, plan.week_start, day)
    if anchor is None:
        raise ValueError(f"plan {plan.name!r} counts from an anchor, and there is none")
    return _anchored(plan.period, plan.every, day, anchor)


def next_start(plan: Plan, day: date, anchor: date | None, granted_on: date | None) -> date:
    """The first start of a period that is later than `day` and later than `granted_on`.

    Before the anchor it is the anchor itself. `granted_on` may be later than `day`: when a job of an older day is
    worked, after a change of the plan's periods, or because the app wrote it.
    """
    try:
        ends = [_next_start(plan, instant, anchor) for instant in (day, granted_on) if instant is not None]
    except (OverflowError, ValueError):  # past the year 9999, which some apps write for "never"
        return date.max
    return max(ends)


def _next_start(plan: Plan, day: date, anchor: date | None) -> date:
    period = period_of(plan, day, anchor)
    if period is not None:
        return period.end
    assert anchor is not None, "only before an anchor there is no period"
    return anchor


@lru_cache(maxsize=1024)
def _calendar(kind: PeriodKind, every: int, week_start: WeekStart, day: date) -> Period:
    match kind:
        case PeriodKind.DAY:
            return _days(EPOCH, every, day)
        case PeriodKind.WEEK:
            first = EPOCH + timedelta(days=(_WEEKDAYS[week_start] - EPOCH.weekday()) % 7)
            return _days(first, 7 * every, day)
        case PeriodKind.MONTH:
            return _months(EPOCH, every, day)
        case PeriodKind.YEAR:
            return _months(EPOCH, 12 * every, day)
        case _ as never:
            assert_never(never)


@lru_cache(maxsize=65536)
def _anchored(kind: PeriodKind, every: int, day: date, anchor: date) -> Period | None:
    if day < anchor:
        return None
    match kind:
        case PeriodKind.DAY:
            return _days(anchor, every, day)
        case PeriodKind.WEEK:
            return _days(anchor, 7 * every, day)
        case PeriodKind.MONTH:
            return _months(anchor, every, day)
        case PeriodKind.YEAR:
            return _months(anchor, 12 * every, day)
        case _ as never:
            assert_never(never)


def _days(first: date, length: int, day: date) -> Period:
    """The period that contains `day`. Periods are `length` days long, and one of them begins at `first`."""
    start = day - timedelta(days=(day - first).days % length)
    return Period(start, start + timedelta(days=length))


def _months(first: date, length: int, day: date) -> Period:
    """The period that contains `day`. Periods are `length` months long, and one of them begins at `first`.

    Each start is `first` plus n periods. It is never the last start plus one period, as that would drift: 31 January,
    28 February, 28 March.
    """
    count = ((day.year - first.year) * 12 + day.month - first.month) // length
    if first + relativedelta(months=count * length) > day:
        count -= 1
    return Period(
        first + relativedelta(months=count * length),
        first + relativedelta(months=(count + 1) * length),
    )
