"""The circuit breaker: after enough calls in a row have failed, no more are made for a while.

    closed ──failures──▶ open ──reset time──▶ half-open (one call) ──success──▶ closed
                          ▲                        └──failure──┘

pybreaker is not used because it holds one lock for the length of a call, which would let one request at a time
through to the database.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from shared.core.errors import BreakerOpenError


class Breaker:
    """One for each instance, shared by its threads. A refused or conflicting request counts as an answer."""

    def __init__(
        self, failures_max: int, reset_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures_max = failures_max
        self._reset_seconds = reset_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def before_call(self) -> None:
        """Raise BreakerOpenError unless a call may be made now."""
        with self._lock:
            if self._opened_at is None:
                return
            left = self._opened_at + self._reset_seconds - self._monotonic()
            if left > 0 or self._probing:
                seconds = max(1, math.ceil(left))
                raise BreakerOpenError(
                    f"the database failed {self._failures} times in a row; next try in {seconds} s", seconds
                )
            self._probing = True

    def record_success(self) -> None:
        with self._lock:
            self._failures = 0
            self._opened_at = None
            self._probing = False

    def record_failure(self) -> None:
        with self._lock:
            self._failures += 1
            if self._probing or self._failures >= self._failures_max:
                self._opened_at = self._monotonic()
            self._probing = False

    def record_inconclusive(self) -> None:
        """Record a call that was neither success nor failure. A half-open breaker lets the next call through."""
        with self._lock:
            self._probing = False
