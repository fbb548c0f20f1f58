"""Quiet hours: what is learnt from a document's last change, and where in the day a user is refreshed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.own_days import OwnDays
from shared.core.quiet_hours import (
    PLACEMENT,
    activity_after,
    learn_hour,
    quiet_range,
    read_activity,
    read_digits,
)
from shared.core.schedule import Schedule
from shared.core.stagger import Stagger, offset_seconds, quiet_offset_seconds

DAY = 86_400
HOUR = 3600
BERLIN = ZoneInfo("Europe/Berlin")
GRANTED_AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

hours = st.integers(0, 23)
observations = st.lists(hours, max_size=60)
odd_activities = st.one_of(
    st.none(), st.integers(), st.binary(), st.text(), st.just("g" * 23), st.just("G" * 24), st.just("é" * 24)
)


def learnt(*seen: int) -> str | None:
    """The text after observations at these hours, in order."""
    return reduce(learn_hour, seen, None)


@given(observations)
def test_the_text_has_a_digit_for_each_hour(seen):
    """This holds for any observations. The hours of the last 15 observations have a digit above zero."""
    activity = learnt(*seen)

    assert activity is None or len(activity) == 24
    assert all((read_digits(activity) or [])[hour] > 0 for hour in seen[-15:])


def test_an_hour_is_forgotten_after_sixteen_others():
    assert (read_digits(learnt(3, *[12] * 15)) or [])[3] == 1
    assert (read_digits(learnt(3, *[12] * 16)) or [])[3] == 0


@given(odd_activities, hours)
def test_an_activity_of_another_form_is_ignored(odd, hour):
    """The next observation replaces it. Until then the user's id decides."""
    assert read_activity(odd) is None
    assert quiet_range(odd, 0, DAY) is None
    assert learn_hour(odd, hour) == learnt(hour)


@pytest.mark.parametrize(
    ("seen", "quiet_hours"),
    [
        ((18,), None),  # one observation is too little
        ((18, 18), (0, 7)),  # ten hours from 21:00 on: the part of them after midnight
        ((18, 17, 9, 10), (0, 7)),  # the longest row of hours, from 19 to 9, past midnight
        ((23, 23), (2, 8)),  # ten hours from 02:00 on, of which eight are used
        ((3, 4, 2), (7, 8)),
        ((14, 14), (0, 3)),
        ((12, 12), (15, 8)),  # from 15:00 to 01:00: the hour after midnight is too little
        (tuple(range(0, 24, 3)), None),  # never enough quiet hours in a row
        ((5, *range(9, 24)), (2, 3)),  # five hours of rest: two are left free
    ],
)
def test_users_are_refreshed_in_their_longest_row_of_quiet_hours(seen, quiet_hours):
    """Each case has the first of these hours, and how many there are."""
    found = quiet_range(learnt(*seen), 0, DAY)

    assert found == (None if quiet_hours is None else tuple(hour * HOUR for hour in quiet_hours))


@given(observations, st.integers(0, DAY - 1), st.integers(1, DAY), st.text(max_size=30))
def test_a_quiet_offset_lies_in_the_window_and_in_no_hour_of_activity(seen, start, window, user_id):
    """It is never in an hour that is remembered as active, nor within the two hours after it."""
    activity = learnt(*seen)

    offset = quiet_offset_seconds(user_id, activity, start, window)

    assert 0 <= offset < window
    if quiet_range(activity, start, window) is None:
        assert offset == offset_seconds(user_id, window)
    else:
        hour = (start + offset) % DAY // HOUR
        digits = read_digits(activity) or []
        assert [digits[(hour - back) % 24] for back in range(PLACEMENT.hours_free + 1)] == [0] * (
            PLACEMENT.hours_free + 1
        )


@given(observations, st.integers(0, DAY - 1), st.integers(1, DAY))
def test_a_quiet_range_is_bounded(seen, start, window):
    found = quiet_range(learnt(*seen), start, window)

    if found is not None:
        first, length = found
        assert 0 <= first < first + length <= window
        assert length <= PLACEMENT.spread_hours_max * HOUR


def test_users_with_the_same_hours_are_spread_over_them():
    """Users who were seen in the same evening hours do not all come at the same moment."""
    offsets = {quiet_offset_seconds(f"user{number}", learnt(18, 18), 0, DAY) for number in range(200)}

    assert len(offsets) > 190
    assert max(offsets) < 7 * HOUR


@pytest.mark.parametrize(
    ("stamp", "changed_at", "expected"),
    [
        ({}, GRANTED_AT, learnt(4)),  # never granted: the app wrote it
        ({"refreshedAt": GRANTED_AT}, GRANTED_AT + timedelta(hours=6), learnt(10)),
        ({"refreshedAt": GRANTED_AT}, GRANTED_AT, None),
        ({"refreshedAt": GRANTED_AT}, GRANTED_AT + timedelta(seconds=119), None),
        ({"refreshedAt": GRANTED_AT}, GRANTED_AT - timedelta(seconds=59), None),  # our clock was fast
        ({"refreshedAt": GRANTED_AT}, GRANTED_AT + timedelta(seconds=121), learnt(4)),
        ({"refreshedAt": GRANTED_AT, "activity": learnt(8)}, GRANTED_AT, learnt(8)),
        ({"refreshedAt": GRANTED_AT, "activity": learnt(8)}, GRANTED_AT + timedelta(hours=6), learnt(8, 10)),
        ({"refreshedAt": GRANTED_AT, "activity": 7}, GRANTED_AT, None),
        ({"refreshedAt": "yesterday"}, GRANTED_AT, learnt(4)),
    ],
)
def test_the_last_change_of_a_document_counts_as_activity(stamp, changed_at, expected):
    """It counts at the hour of the user's own clock. The grant itself does not count."""
    assert activity_after(stamp, changed_at, BERLIN) == expected


def test_the_slot_follows_the_users_own_midnight():
    """Quiet hours are hours of the user's clock, and the slot lies in them on the user's own date."""
    schedule = Schedule(ZoneInfo("UTC"), DAY, 300, stagger=Stagger.QUIET)
    tokyo = OwnDays(ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC"))
    day = GRANTED_AT.date()

    slot = schedule.slot_start(day, "ann", tokyo, learnt(18, 18))

    assert timedelta() <= slot - schedule.window_start(day, tokyo) < timedelta(hours=7)


def test_without_quiet_staggering_the_activity_is_ignored():
    """It may be left over from another setting, and moves nobody's slot."""
    schedule = Schedule(ZoneInfo("UTC"), DAY, 300)
    day = GRANTED_AT.date()

    assert schedule.slot_start(day, "ann", None, learnt(18, 18)) == schedule.slot_start(day, "ann")
    assert schedule.window(day) is None
    assert schedule.hour_limit(day) is None
