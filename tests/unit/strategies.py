"""Hypothesis strategies: balances, days, plans and users."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product

from hypothesis import strategies as st

from shared.core.plans import (
    INT64_MAX,
    INT64_MIN,
    Anchor,
    OnPlanChange,
    PeriodKind,
    Plan,
    PlanTable,
    Policy,
    WeekStart,
    WhenFull,
)
from shared.core.users import Override, User

PLAN_NAMES = ("basic", "free", "pro")

whole_balances = st.integers(INT64_MIN, INT64_MAX)
fractional_balances = st.floats(-(2.0**63), 2.0**63 - 1024, allow_nan=False)
balances = st.one_of(whole_balances, fractional_balances, st.integers(-100, 5000), st.floats(-100, 5000))

days = st.dates(date(1980, 1, 1), date(2100, 12, 31))
instants = st.datetimes(datetime(1980, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (drawn in UTC)

# Every period a plan may have: unit, anchor, and how many of them.
PERIODS = [
    (period, anchor, every)
    for period, anchor, every in product(PeriodKind, Anchor, (1, 2, 3, 7, 30, 366))
    if (period, anchor) != (PeriodKind.DAY, Anchor.CALENDAR) or every == 1
]


plan_names = st.sampled_from(PLAN_NAMES)
allowances = st.integers(0, 5000)
week_starts = st.sampled_from(WeekStart)
changes = st.sampled_from(OnPlanChange)


@st.composite
def plans(draw, names=plan_names, week_start=WeekStart.MONDAY, was=()):
    """Any plan that a file may hold, except those that leave full users alone."""
    period, anchor, every = draw(st.sampled_from(PERIODS))
    policy = draw(st.sampled_from(Policy))
    cap = draw(st.none() | st.integers(0, 10_000)) if policy is Policy.ACCUMULATE else None
    carry = draw(st.integers(0, 3000)) if policy is Policy.RESET else 0
    return Plan(
        draw(names), draw(allowances), period, policy, anchor, cap, carry, every, was=was, week_start=week_start
    )


@st.composite
def skipping_plans(draw, names=plan_names):
    """Plans that leave full users alone."""
    return Plan(draw(names), draw(allowances), PeriodKind.DAY, Policy.TOP_UP, when_full=WhenFull.SKIP)


@st.composite
def plan_tables(draw, on_plan_change=changes, *, skipping=False):
    """Three plans of any kind. Each of them has a former name."""
    week_start = draw(week_starts)
    table = {name: draw(plans(st.just(name), week_start, (f"old-{name}",))) for name in PLAN_NAMES}
    if skipping:
        table["free"] = draw(skipping_plans(st.just("free")))
    return PlanTable(table, draw(plan_names), "fingerprint", draw(on_plan_change))


overrides = st.builds(
    Override, plan_names, st.none() | allowances, st.none() | st.integers(0, 10_000), st.none() | days
)
bought = st.none() | st.integers(-50, 5000) | st.floats(-50, 5000)

# Users with or without a plan, grants and bought credits. Plans have their present names or former ones.
some_plan = plan_names | plan_names.map("old-{}".format)
users = st.builds(
    User,
    balances,
    st.none() | some_plan,
    st.dictionaries(some_plan, days),
    days,
    purchased=bought,
    override=st.none() | overrides,
)
