"""Answers kept for some seconds: many people who look at the same moment cost as much as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

V = TypeVar("V")

KEPT_MAX = 32


class AnswerCache(Generic[V]):
    """Values by key, each good for so many seconds.

    A caller that asks while a value is made waits for it, whatever comes of it.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, V]] = {}
        self._making: dict[Hashable, Future[V]] = {}

    def get(self, key: Hashable, make: Callable[[], V]) -> tuple[V, bool]:
        """The value, and whether somebody else had it made. What `make` raises is raised to all who wait for it, and
        is not kept."""
        with self._lock:
            made_at, value = self._kept.get(key, (None, None))
            if made_at is not None and value is not None and self._monotonic() - made_at < self._seconds:
                return value, True
            under_way = self._making.get(key)
            making = under_way or self._making.setdefault(key, Future())
        return (self._make(key, make, making), False) if under_way is None else (making.result(), True)

    def _make(self, key: Hashable, make: Callable[[], V], making: Future[V]) -> V:
        try:
            value = make()
        except BaseException as exc:
            with self._lock:
                self._end(key, making)
            making.set_exception(exc)
            raise
        with self._lock:
            if self._end(key, making):
                if len(self._kept) >= KEPT_MAX:
                    self._kept.clear()
                self._kept[key] = (self._monotonic(), value)
        making.set_result(value)
        return value

    def _end(self, key: Hashable, making: Future[V]) -> bool:
        """False if something was changed since the making began: the value may be of before."""
        if self._making.get(key) is not making:
            return False
        del self._making[key]
        return True

    def forget(self) -> None:
        """Drop all values, after something was changed."""
        with self._lock:
            self._kept.clear()
            self._making.clear()
