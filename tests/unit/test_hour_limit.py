"""The hours of a run: none holds more than three times its even share, and nobody leaves the window of the day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.hour_limit import HourLimit, Window

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = 86_400
WHOLE_DAY = Window(MIDNIGHT, MIDNIGHT + 24 * HOUR)

minutes = st.lists(st.integers(0, 1439), max_size=120)


def slots_of(offsets, window=WHOLE_DAY):
    """Users by slot, one for each offset in minutes."""
    slots = {}
    for number, minute in enumerate(offsets):
        slots.setdefault(MIDNIGHT + timedelta(minutes=minute), []).append((f"user{number:03d}", window))
    return slots


def after(slots, moved):
    """The slot of each user once those are moved."""
    return {user_id: moved.get((slot, user_id), slot) for slot, users in slots.items() for user_id, _ in users}


def by_hour(times):
    return Counter((time - MIDNIGHT) // HOUR for time in times)


@pytest.mark.parametrize(
    ("total", "window_seconds", "most"),
    [(240, DAY, 30), (100, DAY, 12), (7, DAY, 1), (0, DAY, 1), (240, 4 * 3600, 180), (10, 600, 30)],
)
def test_an_hour_takes_three_times_its_even_share(total, window_seconds, most):
    """A window of less than an hour counts as one hour, which takes everybody."""
    assert HourLimit(MIDNIGHT, window_seconds, 300).users_max(total) == most


@given(minutes, st.integers(1, 120))
def test_no_hour_takes_more_than_its_limit(offsets, width_minutes):
    """This holds for slots of up to an hour. With slots of any width, everybody keeps a slot in the day."""
    limit = HourLimit(MIDNIGHT, DAY, width_minutes * 60)
    width = timedelta(minutes=width_minutes)
    slots = slots_of([minute - minute % width_minutes for minute in offsets])

    times = after(slots, limit.move_overflow(slots, {}, MIDNIGHT))

    assert all(MIDNIGHT <= time < WHOLE_DAY.end and (time - MIDNIGHT) % width == timedelta() for time in times.values())
    assert len(times) == len(offsets)
    if width <= HOUR:
        assert max(by_hour(times.values()).values(), default=0) <= limit.users_max(len(offsets))


@given(minutes)
def test_only_users_beyond_the_limit_are_moved(offsets):
    limit, slots = HourLimit(MIDNIGHT, DAY, 60), slots_of(offsets)

    moved = limit.move_overflow(slots, {}, MIDNIGHT)

    beyond = sum(
        max(0, users - limit.users_max(len(offsets)))
        for users in by_hour(slot for slot, users in slots.items() for _ in users).values()
    )
    assert len(moved) == beyond


def test_the_overflow_goes_to_the_nearest_hours_later_before_earlier():
    """16 users have the slot at 05:10, and an hour takes two.

    The others go to the hours around it, at the same minute.
    """
    slots = slots_of([310] * 16)

    times = after(slots, HourLimit(MIDNIGHT, DAY, 60).move_overflow(slots, {}, MIDNIGHT))

    assert by_hour(times.values()) == dict.fromkeys(range(2, 10), 2)
    assert {time.minute for time in times.values()} == {10}


def test_nobody_is_moved_out_of_their_window_or_into_the_past():
    """Where no hour has room, users stay."""
    window = Window(MIDNIGHT + 3 * HOUR, MIDNIGHT + 7 * HOUR)
    slots = slots_of([310] * 80, window)

    times = after(slots, HourLimit(MIDNIGHT, DAY, 60).move_overflow(slots, {}, MIDNIGHT + 5 * HOUR))

    assert by_hour(times.values()) == {5: 70, 6: 10}


def test_users_who_are_in_jobs_already_count():
    """So the limit also holds after a flush that was interrupted."""
    slots = slots_of([310] * 12)

    times = after(slots, HourLimit(MIDNIGHT, DAY, 60).move_overflow(slots, {5: 12}, MIDNIGHT))

    assert by_hour(times.values()) == {6: 3, 4: 3, 7: 3, 3: 3}


def test_late_users_are_not_moved():
    """Their slot has passed, so they are refreshed now. They count for the present hour."""
    slots = slots_of([10] * 8 + [310] * 8)

    moved = HourLimit(MIDNIGHT, DAY, 60).move_overflow(slots, {}, MIDNIGHT + 5 * HOUR)

    assert {slot for slot, _ in moved} == {MIDNIGHT + timedelta(minutes=310)}
    assert len(moved) == 8
