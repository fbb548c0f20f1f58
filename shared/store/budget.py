"""How much time is left: budgets run on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """A span of seconds that ends at one moment of the monotonic clock."""

    ends_at: float
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Budget:
        return cls(monotonic() + seconds, monotonic)

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self.ends_at - self.monotonic())

    def and_not_after(self, other: Budget) -> Budget:
        """This budget, or the other if that ends first."""
        return self if self.ends_at <= other.ends_at else other

    def shifted_by(self, seconds: float) -> Budget:
        """A budget that ends this much later: time for what must still be written. A negative shift keeps a reserve."""
        return Budget(self.ends_at + seconds, self.monotonic)
