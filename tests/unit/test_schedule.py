"""The schedule: local days are half-open intervals of instants, in every time zone, through every clock change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.schedule import Schedule
from shared.core.stagger import Stagger, slot_seconds
from tests.unit.strategies import days, instants

ONE_DAY = timedelta(days=1)
ONE_SECOND = timedelta(seconds=1)
ZONES = sorted(available_timezones())

zones = st.sampled_from(ZONES)
near = st.integers(-4 * 3600, 4 * 3600).map(lambda seconds: timedelta(seconds=seconds))


def schedule_in(zone: str, window_seconds: int = 86_400, slot_width_seconds: int = 300) -> Schedule:
    return Schedule(ZoneInfo(zone), window_seconds, slot_width_seconds)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def contains(schedule: Schedule, day: date, instant: datetime) -> bool:
    return schedule.day_start(day) <= instant < schedule.day_start(day + ONE_DAY)


@settings(max_examples=600)
@given(zones, instants)
def test_an_instant_lies_in_its_day(zone, instant):
    """day_start(day) <= instant < day_start(day + 1), in all zones, from 1980 to 2100."""
    schedule = schedule_in(zone)

    assert contains(schedule, schedule.day_of(instant), instant)


@settings(max_examples=600)
@given(zones, days, near)
@example("America/St_Johns", date(2007, 11, 4), timedelta(minutes=1))
@example("Antarctica/Casey", date(2010, 3, 5), timedelta(hours=2))
@example("Pacific/Apia", date(2011, 12, 30), timedelta())
def test_an_instant_near_midnight_lies_in_its_day(zone, day, offset):
    """Many clocks change around midnight."""
    schedule = schedule_in(zone)
    instant = schedule.day_start(day) + offset

    assert contains(schedule, schedule.day_of(instant), instant)


@settings(max_examples=300)
@given(zones, days, near, st.integers(0, 8 * 3600))
def test_days_never_go_back(zone, day, offset, later_seconds):
    """A later instant is never in an earlier day, also while clocks are set back."""
    schedule = schedule_in(zone)
    instant = schedule.day_start(day) + offset

    assert schedule.day_of(instant) <= schedule.day_of(instant + timedelta(seconds=later_seconds))


@given(zones, days)
def test_days_begin_in_order_and_have_31_hours_at_most(zone, day):
    """The longest one was Antarctica/Vostok's in January 1994."""
    schedule = schedule_in(zone)
    length = schedule.day_start(day + ONE_DAY) - schedule.day_start(day)

    assert timedelta() <= length <= timedelta(hours=31)


@given(zones, days)
def test_a_day_that_is_not_empty_contains_its_first_instant(zone, day):
    """The instant before is in an earlier day."""
    schedule = schedule_in(zone)
    start = schedule.day_start(day)

    if start < schedule.day_start(day + ONE_DAY):
        assert day == schedule.day_of(start)
    assert schedule.day_of(start - ONE_SECOND) < day


@given(zones, days)
def test_the_start_of_a_day_is_a_time_in_utc(zone, day):
    assert schedule_in(zone).day_start(day).tzinfo is UTC


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-11-22", "2026-11-22T00:00Z", 24),
        ("Europe/Berlin", "2026-11-22", "2026-11-21T23:00Z", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", 25),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00Z", 23),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00Z", 25),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30Z", 23.5),
        ("Asia/Kathmandu", "2026-11-22", "2026-11-21T18:15Z", 24),
        ("Pacific/Kiritimati", "2026-11-22", "2026-11-21T10:00Z", 24),
        # midnight is skipped: the day begins at 01:00
        ("America/Sao_Paulo", "2017-10-15", "2017-10-15T03:00Z", 23),
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00Z", 25),
        ("Asia/Beirut", "2018-03-25", "2018-03-24T22:00Z", 23),
        ("Asia/Beirut", "2018-10-27", "2018-10-26T21:00Z", 25),
        # clocks set back from 00:01 to 23:01 of the day before, and forward from 00:01
        ("America/St_Johns", "2007-11-04", "2007-11-04T02:30Z", 25),
        ("America/St_Johns", "2007-03-11", "2007-03-11T03:30Z", 23),
        ("America/St_Johns", "1990-10-28", "1990-10-28T02:30Z", 25),
        # midnight comes twice, and the first one counts
        ("America/Havana", "2026-11-01", "2026-11-01T04:00Z", 25),
        # the longest day in history
        ("Antarctica/Vostok", "1994-01-31", "1994-01-30T17:00Z", 31),
        # a day that was left out
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", 24),
    ],
)
def test_days_begin_and_end_at_the_right_instants(zone, day, start, hours):
    """There are days of 23, 24 and 25 hours, days without midnight or with two, and a day that was left out."""
    schedule = schedule_in(zone)
    begins = schedule.day_start(date.fromisoformat(day))
    ends = schedule.day_start(date.fromisoformat(day) + ONE_DAY)

    assert (at(start), timedelta(hours=hours)) == (begins, ends - begins)


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("UTC", "2026-11-22T00:00Z", "2026-11-22"),
        ("UTC", "2026-11-21T23:59:59.999999Z", "2026-11-21"),
        ("UTC", "2026-11-22T01:30+02:00", "2026-11-21"),
        ("Europe/Berlin", "2026-11-21T23:00Z", "2026-11-22"),
        ("America/Sao_Paulo", "2017-10-15T02:59:59Z", "2017-10-14"),
        ("America/Sao_Paulo", "2017-10-15T03:00Z", "2017-10-15"),
        ("America/St_Johns", "2007-11-04T02:29:59Z", "2007-11-03"),
        ("America/St_Johns", "2007-11-04T02:30Z", "2007-11-04"),
        ("America/St_Johns", "2007-11-04T02:31Z", "2007-11-04"),  # the clock reads 23:01 of the 3rd
        ("America/St_Johns", "2007-11-04T03:30Z", "2007-11-04"),  # and 00:00 of the 4th again
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31"),
    ],
)
def test_an_instant_belongs_to_the_day_that_has_begun(zone, instant, day):
    """A day that has begun goes on, even when clocks are set back to the day before."""
    assert date.fromisoformat(day) == schedule_in(zone).day_of(at(instant))


@given(zones, days, st.text(min_size=1), st.integers(1, 86_400), st.data())
def test_a_slot_lies_in_the_window(zone, day, user_id, window_seconds, data):
    """A user's slot begins within the window from the day's start, at a whole number of slots."""
    width_seconds = data.draw(st.integers(1, window_seconds))
    schedule = schedule_in(zone, window_seconds, width_seconds)

    offset = schedule.slot_start(day, user_id) - schedule.day_start(day)

    assert timedelta(seconds=slot_seconds(user_id, window_seconds, width_seconds)) == offset
    assert timedelta() <= offset < timedelta(seconds=window_seconds)


def test_the_spread_names_all_that_moves_slots():
    """These are the zone, the window, the width of slots, and the hash."""
    schedules = [
        schedule_in("UTC"),
        schedule_in("Europe/Berlin"),
        schedule_in("UTC", 3600),
        schedule_in("UTC", slot_width_seconds=60),
    ]

    assert len({schedule.spread for schedule in schedules}) == 4
    assert Stagger.HASH.algorithm in schedules[0].spread


@pytest.mark.parametrize("start", [0, 3600, 7200, 86_399])
def test_the_start_of_the_window_moves_slots_and_not_days(start):
    """The slot is later by that time. The day begins at midnight as before."""
    plain, later = schedule_in("Europe/Berlin", 3600), Schedule(ZoneInfo("Europe/Berlin"), 3600, 300, start)
    day = date(2026, 11, 22)

    assert later.slot_start(day, "ann") - plain.slot_start(day, "ann") == timedelta(seconds=start)
    assert later.day_start(day) == plain.day_start(day)
    assert later.day_of(plain.day_start(day)) == day
    assert (later.spread == plain.spread) is (start == 0)
