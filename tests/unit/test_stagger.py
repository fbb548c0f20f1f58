"""The stagger: each user always has the same moment of the day, and users are spread evenly."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.stagger import offset_seconds, slot_seconds

DAY = 86_400
USERS = [f"user-{number}" for number in range(200_000)]
NORMAL_QUANTILE = 3.0902  # the quantile of 0.999

windows = st.integers(1, DAY)


def chi_square(counts: Counter[int], cells: int) -> float:
    expected = sum(counts.values()) / cells
    return sum((counts[cell] - expected) ** 2 for cell in range(cells)) / expected


def critical(cells: int) -> float:
    """The value that chi-square exceeds in 1 of 1,000 even spreads (Wilson and Hilferty's approximation)."""
    freedom = cells - 1
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + NORMAL_QUANTILE * sqrt(spread)) ** 3


@pytest.mark.parametrize(
    ("user_id", "window_seconds", "offset", "slot"),
    [
        ("alice", 86400, 65929, 65700),
        ("bob", 86400, 77842, 77700),
        ("Zoë", 86400, 29722, 29700),
        ("6Tz1cXkQn0aYvW3sLr8B", 86400, 5996, 5700),
        ("6Tz1cXkQn0aYvW3sLr8B", 3600, 2396, 2100),
        ("", 86400, 26676, 26400),
        ("alice", 1, 0, 0),
    ],
)
def test_a_users_offset_never_changes(user_id, window_seconds, offset, slot):
    """These values are from the first release. Other values would refresh everybody at another time."""
    assert offset == offset_seconds(user_id, window_seconds)
    assert slot == slot_seconds(user_id, window_seconds, min(300, window_seconds))


@given(st.text(), windows)
def test_an_offset_lies_in_the_window(user_id, window_seconds):
    """For any id, 0 <= offset < window."""
    assert 0 <= offset_seconds(user_id, window_seconds) < window_seconds


@given(st.text(), windows, st.data())
def test_a_slot_is_the_offset_rounded_down(user_id, window_seconds, data):
    """A slot begins at a whole number of slot widths and contains the offset."""
    width_seconds = data.draw(st.integers(1, window_seconds))

    slot = slot_seconds(user_id, window_seconds, width_seconds)

    assert slot % width_seconds == 0
    assert slot <= offset_seconds(user_id, window_seconds) < slot + width_seconds


@pytest.mark.parametrize(("cells", "seconds"), [(1440, 60), (24, 3600), (288, 300)], ids=["minutes", "hours", "slots"])
def test_users_are_spread_evenly_over_the_day(cells, seconds):
    """Minutes, hours and slots of the day have as many users as chance would give them."""
    counts = Counter(offset_seconds(user_id, DAY) // seconds for user_id in USERS)

    assert chi_square(counts, cells) < critical(cells)
    assert cells == len(counts)


def test_users_are_spread_evenly_within_the_hour_too():
    """Minute and second are independent of the hour, so each second of an hour has as many users."""
    counts = Counter(offset_seconds(user_id, DAY) % 3600 for user_id in USERS)

    assert chi_square(counts, 3600) < critical(3600)


def test_users_are_spread_evenly_over_a_short_window():
    """A window of a hundred minutes is filled evenly too."""
    counts = Counter(offset_seconds(user_id, 6000) // 60 for user_id in USERS)

    assert chi_square(counts, 100) < critical(100)


def test_the_check_of_evenness_notices_an_uneven_stagger():
    """With hour h mod 24 and minute h mod 60, users reach only 120 of 1,440 minutes."""
    counts: Counter[int] = Counter()
    for user_id in USERS:
        hashed = offset_seconds(user_id, 2**64)
        counts[hashed % 24 * 60 + hashed % 60] += 1

    assert len(counts) == 120
    assert chi_square(counts, 1440) > critical(1440)
