"""A monotonic clock that stands still until a test moves it."""

from __future__ import annotations


class Clock:
    """Call it for the time; it starts anywhere, as the real one does."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
