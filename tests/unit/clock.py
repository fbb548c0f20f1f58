"""A monotonic clock that stands still until a test moves it."""

from __future__ import annotations


class Clock:
    """Calling it returns the time. Like the real clock, it does not start at zero."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
