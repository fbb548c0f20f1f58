"""Hypothesis strategies: balances, days, plans and users."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product

from hypothesis import strategies as st

from shared.core.plans import INT64_MAX, INT64_MIN, Anchor, PeriodKind, Plan, PlanTable, Policy
from shared.core.users import User

PLAN_NAMES = ("basic", "free", "pro")

whole_balances = st.integers(INT64_MIN, INT64_MAX)
fractional_balances = st.floats(-(2.0**63), 2.0**63 - 1024, allow_nan=False)
balances = st.one_of(whole_balances, fractional_balances, st.integers(-100, 5000), st.floats(-100, 5000))

days = st.dates(date(1980, 1, 1), date(2100, 12, 31))
instants = st.datetimes(datetime(1980, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (drawn in UTC)

PERIODS = [
    (period, anchor)
    for period, anchor in product(PeriodKind, Anchor)
    if anchor is Anchor.CALENDAR or period in (PeriodKind.MONTH, PeriodKind.YEAR)
]


plan_names = st.sampled_from(PLAN_NAMES)
allowances = st.integers(0, 5000)


@st.composite
def plans(draw, names=plan_names):
    """Any plan that a plans file may hold."""
    period, anchor = draw(st.sampled_from(PERIODS))
    policy = draw(st.sampled_from(Policy))
    cap = draw(st.none() | st.integers(0, 10_000)) if policy is Policy.ACCUMULATE else None
    return Plan(draw(names), draw(allowances), period, policy, anchor, cap)


@st.composite
def plan_tables(draw):
    """A table of three arbitrary plans."""
    table = {name: draw(plans(st.just(name))) for name in PLAN_NAMES}
    return PlanTable(table, draw(plan_names), "fingerprint")


# Users on any plan or none, granted before or not.
users = st.builds(User, balances, st.none() | plan_names, st.dictionaries(plan_names, days), days)
