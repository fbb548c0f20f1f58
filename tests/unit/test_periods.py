"""Periods: half-open, without gaps or overlaps, and never drifting from their anchor."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dev import oracle
from shared.core.periods import Period, next_start, period_of
from shared.core.plans import Anchor, PeriodKind, Plan, Policy, WeekStart
from tests.unit.strategies import PERIODS, days

ONE_DAY = timedelta(days=1)
ANY = date(2000, 1, 1)  # an anchor, which calendar plans ignore


def plan_per(
    period: PeriodKind, anchor: Anchor = Anchor.CALENDAR, every: int = 1, week_start: WeekStart = WeekStart.MONDAY
) -> Plan:
    return Plan("p", 50, period, Policy.TOP_UP, anchor, every=every, week_start=week_start)


every_plan = st.builds(
    lambda period, week_start: plan_per(period[0], period[1], period[2], week_start),
    st.sampled_from(PERIODS),
    st.sampled_from(WeekStart),
)
starts = st.none() | days | st.sampled_from([date.min, date.max])


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
    ("period", "day", "start", "end"),
    [
        (("week", 1, "sunday"), "2026-11-26", "2026-11-22", "2026-11-29"),
        (("week", 1, "thursday"), "2026-11-26", "2026-11-26", "2026-12-03"),
        (("week", 1, "friday"), "2026-11-26", "2026-11-20", "2026-11-27"),
        (("week", 2, "monday"), "2026-11-26", "2026-11-23", "2026-12-07"),
        (("week", 2, "monday"), "2026-11-22", "2026-11-09", "2026-11-23"),
        (("week", 2, "sunday"), "2026-11-26", "2026-11-22", "2026-12-06"),
        (("week", 2, "monday"), "1970-01-05", "1970-01-05", "1970-01-19"),
        (("week", 2, "monday"), "1970-01-04", "1969-12-22", "1970-01-05"),
        (("week", 2, "thursday"), "1970-01-01", "1970-01-01", "1970-01-15"),
        (("month", 3, "monday"), "2026-11-26", "2026-10-01", "2027-01-01"),
        (("month", 3, "monday"), "2026-12-31", "2026-10-01", "2027-01-01"),
        (("month", 3, "monday"), "2027-01-01", "2027-01-01", "2027-04-01"),
        (("month", 5, "monday"), "2026-11-26", "2026-09-01", "2027-02-01"),
        (("month", 12, "monday"), "2026-11-26", "2026-01-01", "2027-01-01"),
        (("month", 2, "monday"), "1969-12-31", "1969-11-01", "1970-01-01"),
        (("year", 4, "monday"), "2026-11-26", "2026-01-01", "2030-01-01"),
        (("year", 2, "monday"), "2027-11-26", "2026-01-01", "2028-01-01"),
        (("year", 366, "monday"), "2026-11-26", "1970-01-01", "2336-01-01"),
    ],
)
def test_calendar_periods_of_several_units_count_from_1970(period, day, start, end):
    """Weeks count from the first `week_start` of 1970, months and years from 1 January.

    So three months are a quarter.
    """
    kind, every, week_start = period
    plan = plan_per(PeriodKind(kind), every=every, week_start=WeekStart(week_start))

    found = period_of(plan, date.fromisoformat(day), None)

    assert Period(date.fromisoformat(start), date.fromisoformat(end)) == found


@pytest.mark.parametrize(
    ("period", "anchor", "day", "start", "end"),
    [
        (("day", 30), "2026-10-01", "2026-10-30", "2026-10-01", "2026-10-31"),
        (("day", 30), "2026-10-01", "2026-10-31", "2026-10-31", "2026-11-30"),
        (("day", 30), "2026-10-01", "2026-11-29", "2026-10-31", "2026-11-30"),
        (("day", 1), "2026-10-01", "2026-11-26", "2026-11-26", "2026-11-27"),
        (("day", 366), "2024-02-29", "2026-11-26", "2026-03-02", "2027-03-03"),
        (("week", 1), "2026-11-25", "2026-11-26", "2026-11-25", "2026-12-02"),
        (("week", 2), "2026-11-05", "2026-11-18", "2026-11-05", "2026-11-19"),
        (("week", 2), "2026-11-05", "2026-11-19", "2026-11-19", "2026-12-03"),
        (("month", 3), "2026-01-31", "2026-04-29", "2026-01-31", "2026-04-30"),
        (("month", 3), "2026-01-31", "2026-11-26", "2026-10-31", "2027-01-31"),
        (("month", 2), "2026-01-31", "2026-09-29", "2026-07-31", "2026-09-30"),
        (("year", 2), "2024-02-29", "2026-02-27", "2024-02-29", "2026-02-28"),
        (("year", 2), "2024-02-29", "2028-02-29", "2028-02-29", "2030-02-28"),
    ],
)
def test_anchored_periods_of_several_units_count_from_signup(period, anchor, day, start, end):
    """The weekday or month of the sign-up does not matter."""
    kind, every = period
    plan = plan_per(PeriodKind(kind), Anchor.SIGNUP, every)

    found = period_of(plan, date.fromisoformat(day), date.fromisoformat(anchor))

    assert Period(date.fromisoformat(start), date.fromisoformat(end)) == found


@pytest.mark.parametrize(
    ("plan", "day", "stamp", "following"),
    [
        # The plan's periods were changed, so the stamp is of other periods.
        (plan_per(PeriodKind.WEEK, week_start=WeekStart.SUNDAY), "2026-11-26", "2026-11-23", "2026-11-29"),
        (plan_per(PeriodKind.WEEK), "2026-11-29", "2026-11-29", "2026-11-30"),
        (plan_per(PeriodKind.MONTH), "2026-11-26", "2026-11-02", "2026-12-01"),
        (plan_per(PeriodKind.MONTH, every=3), "2026-11-26", "2026-11-01", "2027-01-01"),
        # A stamp ahead of the day.
        (plan_per(PeriodKind.DAY), "2026-11-22", "2026-11-25", "2026-11-26"),
        (plan_per(PeriodKind.MONTH), "2026-11-22", "2027-03-15", "2027-04-01"),
        (plan_per(PeriodKind.DAY), "2026-11-22", "9999-12-31", "9999-12-31"),
        (plan_per(PeriodKind.YEAR, every=366), "2026-11-22", "9998-01-01", "9999-12-31"),
        (plan_per(PeriodKind.MONTH, Anchor.SIGNUP), "2026-11-22", "2026-12-31", "2027-01-31"),
        # A stamp far behind the day, and none.
        (plan_per(PeriodKind.DAY), "2026-11-22", "2020-01-01", "2026-11-23"),
        (plan_per(PeriodKind.DAY), "2026-11-22", None, "2026-11-23"),
        # Before the anchor, which is 31 January 2026.
        (plan_per(PeriodKind.MONTH, Anchor.SIGNUP), "2026-01-30", None, "2026-01-31"),
        (plan_per(PeriodKind.MONTH, Anchor.SIGNUP), "2026-01-30", "2025-12-01", "2026-01-31"),
        (plan_per(PeriodKind.MONTH, Anchor.SIGNUP), "2026-01-30", "2026-01-31", "2026-02-28"),
    ],
)
def test_the_next_period_begins_after_the_day_and_after_the_stamp(plan, day, stamp, following):
    """It is the first start after both. Past the year 9999 it is the last day of that year."""
    granted_on = None if stamp is None else date.fromisoformat(stamp)

    found = next_start(plan, date.fromisoformat(day), date(2026, 1, 31), granted_on)

    assert date.fromisoformat(following) == found


@given(every_plan, days, days, starts)
def test_the_next_start_is_the_first_at_which_a_user_is_due(plan, day, anchor, granted_on):
    """It is the start of a period, after the day and after the stamp. No start before it is after both."""
    found = next_start(plan, day, anchor, granted_on)
    assume(found < date(9000, 1, 1))

    period = period_of(plan, found, anchor)
    assert period is not None
    assert period.start == found
    assert found > day
    assert granted_on is None or found > granted_on
    before = period_of(plan, found - ONE_DAY, anchor)
    assert before is None or before.start <= max(day, granted_on or day)


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


def test_a_plan_that_counts_from_signup_needs_an_anchor():
    """A plan that follows the calendar does not."""
    with pytest.raises(ValueError, match="plan 'p' counts from an anchor, and there is none"):
        period_of(plan_per(PeriodKind.MONTH, Anchor.SIGNUP), ANY, None)


@pytest.mark.parametrize("period", PeriodKind)
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


@given(days, st.sampled_from(WeekStart))
def test_weeks_begin_on_their_first_day(day, week_start):
    """A week has seven days."""
    period = period_of(plan_per(PeriodKind.WEEK, week_start=week_start), day, ANY)

    assert period is not None
    assert f"{period.start:%A}".lower() == week_start
    assert period.end - period.start == timedelta(days=7)


@given(every_plan, days, days)
def test_the_oracle_finds_the_same_periods(plan, day, anchor):
    """`dev/oracle.py` shares no code with `periods`."""
    rules = {"period": plan.period, "every": plan.every, "anchor": plan.anchor, "week_start": plan.week_start}

    period = period_of(plan, day, anchor)

    assert oracle.period_of(rules, day, anchor) == (None if period is None else (period.start, period.end))
