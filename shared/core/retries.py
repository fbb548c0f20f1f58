"""The delay before a failed attempt is repeated: exponential back-off with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

RETRY_BASE_SECONDS = 60  # at most 1, 2, 4 minutes before the second, third, fourth attempt
RETRY_SECONDS_MAX = 86_400  # after a longer delay the job would be superseded
DOUBLINGS_MAX = 11  # so many doublings are more than RETRY_SECONDS_MAX

# Draws a number from 0 (inclusive) to 1 (exclusive), like random.random.
Draw = Callable[[], float]


def retry_delay(attempts_made: int, draw: Draw) -> timedelta:
    """A random delay of up to 1, 2, 4, … minutes after the first, second, third, … attempt, and of a day at most."""
    if attempts_made < 1:
        raise ValueError(f"attempts_made is {attempts_made}; a retry follows at least one attempt")
    return timedelta(
        seconds=draw() * min(RETRY_SECONDS_MAX, RETRY_BASE_SECONDS * 2 ** min(attempts_made - 1, DOUBLINGS_MAX))
    )
