"""When a failed attempt is made again: exponential back-off with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

RETRY_BASE_SECONDS = 60  # 1, 2, 4 minutes before the second, third, fourth attempt
RETRY_SECONDS_MAX = 86_400  # later than this the job would be superseded
DOUBLINGS_MAX = 11  # which is past that already

# A draw from the half-open interval [0, 1), as random.random gives.
Draw = Callable[[], float]


def retry_delay(attempts_made: int, draw: Draw) -> timedelta:
    """A delay drawn evenly from 0 to 1, 2, 4, … minutes, at most a day, after the first, second, third, … attempt."""
    if attempts_made < 1:
        raise ValueError(f"attempts_made is {attempts_made}; a retry follows at least one attempt")
    return timedelta(
        seconds=draw() * min(RETRY_SECONDS_MAX, RETRY_BASE_SECONDS * 2 ** min(attempts_made - 1, DOUBLINGS_MAX))
    )
