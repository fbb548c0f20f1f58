"""Answers kept for some seconds: many people who look at the same moment cost as much as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

V = TypeVar("V")

KEPT_MAX = 32  # values; one more, and all are dropped


class AnswerCache(Generic[V]):
    """Values by key, each good for so many seconds.

    The first caller makes a value. Callers who ask for the same key meanwhile wait, and get that value or its error.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, V]] = {}
        self._pending: dict[Hashable, Future[V]] = {}

    def get(self, key: Hashable, make: Callable[[], V]) -> tuple[V, bool]:
        """The value, and True if another caller made it. An error that `make` raises is not kept."""
        with self._lock:
            made_at, value = self._kept.get(key, (None, None))
            if made_at is not None and value is not None and self._monotonic() - made_at < self._seconds:
                return value, True
            others = self._pending.get(key)
            if others is None:
                own = self._pending[key] = Future()
        if others is not None:
            return others.result(), True
        return self._make(key, make, own), False

    def forget(self) -> None:
        """Drop all values, because something was changed. Values that are being made now are not kept either."""
        with self._lock:
            self._kept.clear()
            self._pending.clear()

    def _make(self, key: Hashable, make: Callable[[], V], pending: Future[V]) -> V:
        try:
            value = make()
        except BaseException as exc:
            with self._lock:
                self._take_off(key, pending)
            pending.set_exception(exc)
            raise
        with self._lock:
            if self._take_off(key, pending):
                if len(self._kept) >= KEPT_MAX:
                    self._kept.clear()
                self._kept[key] = (self._monotonic(), value)
        pending.set_result(value)
        return value

    def _take_off(self, key: Hashable, pending: Future[V]) -> bool:
        """Remove a value from those that are being made. False if `forget` did so before: the value may be outdated."""
        if self._pending.get(key) is not pending:
            return False
        del self._pending[key]
        return True
