"""Time budgets on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """Time until a moment of the monotonic clock, in seconds."""

    ends_at: float
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Budget:
        return cls(monotonic() + seconds, monotonic)

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self.ends_at - self.monotonic())

    def and_not_after(self, other: Budget) -> Budget:
        """This budget or the other, whichever ends first."""
        return self if self.ends_at <= other.ends_at else other

    def shifted_by(self, seconds: float) -> Budget:
        """A budget that ends this much later: time for what must still be written. A negative shift keeps a reserve."""
        return Budget(self.ends_at + seconds, self.monotonic)
