"""Retries: exponential back-off with full jitter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.retries import RETRY_SECONDS_MAX, retry_delay

draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempts_made", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (11, 1024), (12, 1440), (100, 1440)]
)
@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999])
def test_the_delay_is_drawn_from_a_span_that_doubles(attempts_made, minutes, drawn):
    """It is at most 1, 2, 4 minutes after the first, second, third attempt, and never more than a day."""
    assert timedelta(seconds=minutes * 60 * drawn) == retry_delay(attempts_made, lambda: drawn)


@given(st.integers(1, 10_000), draws)
def test_the_delay_is_bounded(attempts_made, drawn):
    """After any number of attempts the delay is not negative and at most a day; an older job is superseded."""
    assert timedelta() <= retry_delay(attempts_made, lambda: drawn) <= timedelta(seconds=RETRY_SECONDS_MAX)


@given(st.integers(1, 100), draws)
def test_a_later_attempt_waits_no_less(attempts_made, drawn):
    """With the same random draw, a later attempt never waits a shorter time."""
    assert retry_delay(attempts_made, lambda: drawn) <= retry_delay(attempts_made + 1, lambda: drawn)


@pytest.mark.parametrize("attempts_made", [0, -1])
def test_a_number_of_attempts_below_one_is_refused(attempts_made):
    """There is no retry before the first attempt."""
    with pytest.raises(ValueError, match=rf"^attempts_made is {attempts_made}; "):
        retry_delay(attempts_made, lambda: 0.5)
