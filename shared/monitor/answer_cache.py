"""Answers kept for some seconds, so that many who look at the same moment cost as much as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")

KEPT_MAX = 32


class Recent(Generic[V]):
    """Values by key, each good for so many seconds. Whoever asks while one is made waits for it."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, V]] = {}

    def get(self, key: Hashable, make: Callable[[], V]) -> tuple[V, bool]:
        """The value, and whether it was kept. What `make` raises is raised, and nothing is kept."""
        with self._lock:
            made_at, value = self._kept.get(key, (None, None))
            if made_at is not None and value is not None and self._monotonic() - made_at < self._seconds:
                return value, True
            made = make()
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (self._monotonic(), made)
            return made, False

    def forget(self) -> None:
        """After something was changed."""
        with self._lock:
            self._kept.clear()
