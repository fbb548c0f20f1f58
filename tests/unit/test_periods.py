"""Periods: half-open, without gaps or overlaps, and never drifting from their anchor."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.periods import Period, period_of
from shared.core.plans import Anchor, PeriodKind, Plan, Policy
from tests.unit.strategies import PERIODS, days

ONE_DAY = timedelta(days=1)
ANY = date(2000, 1, 1)  # an anchor, which calendar plans ignore


def plan_per(period: PeriodKind, anchor: Anchor = Anchor.CALENDAR) -> Plan:
    return Plan("p", 50, period, Policy.TOP_UP, anchor)


every_plan = st.sampled_from([plan_per(period, anchor) for period, anchor in PERIODS])


@pytest.mark.parametrize(
    ("period", "day", "start", "end"),
    [
        ("day", "2026-11-22", "2026-11-22", "2026-11-23"),
        ("day", "2026-12-31", "2026-12-31", "2027-01-01"),
        ("day", "2028-02-28", "2028-02-28", "2028-02-29"),
        ("week", "2026-11-22", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-23", "2026-11-23", "2026-11-30"),
        ("week", "2027-01-01", "2026-12-28", "2027-01-04"),
        ("month", "2026-11-01", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29", "2028-02-01", "2028-03-01"),
        ("year", "2026-01-01", "2026-01-01", "2027-01-01"),
        ("year", "2028-12-31", "2028-01-01", "2029-01-01"),
    ],
)
def test_a_calendar_period_contains_its_day(period, day, start, end):
    """Weeks begin on Monday, months on the first, years on 1 January."""
    found = period_of(plan_per(PeriodKind(period)), date.fromisoformat(day), ANY)

    assert Period(date.fromisoformat(start), date.fromisoformat(end)) == found


@pytest.mark.parametrize(
    ("period", "anchor", "day", "start", "end"),
    [
        ("month", "2026-11-22", "2026-11-22", "2026-11-22", "2026-12-22"),
        ("month", "2026-11-22", "2026-12-21", "2026-11-22", "2026-12-22"),
        ("month", "2026-11-22", "2026-12-22", "2026-12-22", "2027-01-22"),
        ("month", "2026-01-31", "2026-02-27", "2026-01-31", "2026-02-28"),
        ("month", "2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"),
        ("month", "2026-01-31", "2026-03-30", "2026-02-28", "2026-03-31"),
        ("month", "2026-01-31", "2026-03-31", "2026-03-31", "2026-04-30"),
        ("month", "2028-01-31", "2028-02-29", "2028-02-29", "2028-03-31"),
        ("month", "2026-01-30", "2026-02-28", "2026-02-28", "2026-03-30"),
        ("month", "1970-01-31", "2026-11-22", "2026-10-31", "2026-11-30"),
        ("month", "0001-01-01", "2026-11-22", "2026-11-01", "2026-12-01"),
        ("year", "2026-11-22", "2027-11-21", "2026-11-22", "2027-11-22"),
        ("year", "2026-11-22", "2027-11-22", "2027-11-22", "2028-11-22"),
        ("year", "2024-02-29", "2025-02-27", "2024-02-29", "2025-02-28"),
        ("year", "2024-02-29", "2025-02-28", "2025-02-28", "2026-02-28"),
        ("year", "2024-02-29", "2028-02-28", "2027-02-28", "2028-02-29"),
        ("year", "2024-02-29", "2028-02-29", "2028-02-29", "2029-02-28"),
    ],
)
def test_an_anchored_period_counts_from_signup(period, anchor, day, start, end):
    """A period begins a whole number of periods after the anchor, or on a shorter month's last day."""
    plan = plan_per(PeriodKind(period), Anchor.SIGNUP)

    found = period_of(plan, date.fromisoformat(day), date.fromisoformat(anchor))

    assert Period(date.fromisoformat(start), date.fromisoformat(end)) == found


@pytest.mark.parametrize("period", [PeriodKind.MONTH, PeriodKind.YEAR])
@pytest.mark.parametrize("day", ["2026-11-21", "2026-10-31", "2025-11-22", "1970-01-01"])
def test_before_the_anchor_there_is_no_period(period, day):
    """A user who signs up tomorrow is granted nothing today."""
    assert period_of(plan_per(period, Anchor.SIGNUP), date.fromisoformat(day), date(2026, 11, 22)) is None


def test_month_anchors_do_not_drift_over_ten_years():
    """An anchor of 31 January gives each month's last day for ten years, leap years included."""
    plan, anchor = plan_per(PeriodKind.MONTH, Anchor.SIGNUP), date(2026, 1, 31)
    last_days = [date(2026 + n // 12 + (n % 12 == 11), (n + 1) % 12 + 1, 1) - ONE_DAY for n in range(120)]

    starts, day = [], anchor
    while len(starts) < 120:
        period = period_of(plan, day, anchor)
        assert period is not None
        starts.append(period.start)
        day = period.end

    assert last_days == starts


@given(every_plan, days, days)
def test_a_period_contains_its_day(plan, day, anchor):
    """The start is inclusive, the end exclusive. There is no period before the anchor, and always one from it on."""
    period = period_of(plan, day, anchor)

    assert (period is None) == (plan.counts_from_signup and day < anchor)
    assert period is None or period.start <= day < period.end


@given(every_plan, days, days, st.data())
def test_every_day_of_a_period_maps_to_it(plan, day, anchor, data):
    """Each day of a period gives that same period."""
    period = period_of(plan, day, anchor)
    assume(period is not None)

    other = data.draw(st.dates(period.start, period.end - ONE_DAY))

    assert period == period_of(plan, other, anchor)


@given(every_plan, days, days)
def test_periods_neither_overlap_nor_leave_a_gap(plan, day, anchor):
    """The next day is in the same period or in the one that begins where this one ends."""
    today = period_of(plan, day, anchor)
    tomorrow = period_of(plan, day + ONE_DAY, anchor)

    if today is None:
        assert tomorrow is None or tomorrow.start == anchor == day + ONE_DAY
    elif day + ONE_DAY < today.end:
        assert today == tomorrow
    else:
        assert tomorrow is not None
        assert today.end == tomorrow.start == day + ONE_DAY


@given(days, days)
def test_a_month_never_strays_from_its_anchors_day(anchor, day):
    """A period starts on the anchor's day of the month, or on the last day of a shorter one."""
    period = period_of(plan_per(PeriodKind.MONTH, Anchor.SIGNUP), day, anchor)
    assume(period is not None)

    is_last_of_month = (period.start + ONE_DAY).day == 1
    assert period.start.day == anchor.day or (period.start.day < anchor.day and is_last_of_month)


@given(days)
def test_weeks_begin_on_monday(day):
    """A week is seven days from Monday on."""
    period = period_of(plan_per(PeriodKind.WEEK), day, ANY)

    assert period is not None
    assert (0, timedelta(days=7)) == (period.start.weekday(), period.end - period.start)
