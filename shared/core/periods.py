"""Period maths on dates. A period is half-open: it contains its start and not its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from dateutil.relativedelta import relativedelta

from shared.core.plans import PeriodKind, Plan, PlanTable


@dataclass(frozen=True, slots=True)
class Period:
    """`start` inclusive, `end` exclusive; `end` is the start of the next period."""

    start: date
    end: date


_DAYS_MAX = {PeriodKind.DAY: 1, PeriodKind.WEEK: 7, PeriodKind.MONTH: 31, PeriodKind.YEAR: 366}


def days_of_longest_period(plans: PlanTable) -> int:
    """No period of any plan is longer than so many days."""
    return max(_DAYS_MAX[plan.period] for plan in plans.plans.values())


def period_of(plan: Plan, day: date, anchor: date) -> Period | None:
    """The plan's period that contains `day`, or None before the anchor of a plan that counts from sign-up."""
    if plan.counts_from_signup:
        return _anchored(plan.period, day, anchor)
    return _calendar(plan.period, day)


@lru_cache(maxsize=1024)
def _calendar(kind: PeriodKind, day: date) -> Period:
    match kind:
        case PeriodKind.DAY:
            return Period(day, day + timedelta(days=1))
        case PeriodKind.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Period(monday, monday + timedelta(days=7))
        case PeriodKind.MONTH:
            first = day.replace(day=1)
            return Period(first, first + relativedelta(months=1))
        case PeriodKind.YEAR:
            first = day.replace(month=1, day=1)
            return Period(first, first + relativedelta(years=1))


@lru_cache(maxsize=65536)
def _anchored(kind: PeriodKind, day: date, anchor: date) -> Period | None:
    """Always `anchor + n periods`, never from the last date: 31 January, 28 February, 31 March."""
    months = 12 if kind is PeriodKind.YEAR else 1
    count = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    if anchor + relativedelta(months=count * months) > day:
        count -= 1
    if count < 0:
        return None
    return Period(
        anchor + relativedelta(months=count * months),
        anchor + relativedelta(months=(count + 1) * months),
    )
