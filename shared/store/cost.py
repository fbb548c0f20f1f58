"""What a call cost: documents read and written as Firestore bills them.

A write that took effect while its reply was lost, and what a broken stream had brought by then, are not in it.
"""

from __future__ import annotations

import threading


class Cost:
    """A running sum, safe under threads. What is added here is added to the parent too."""

    def __init__(self, parent: Cost | None = None) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._reads = 0
        self._writes = 0

    @property
    def reads(self) -> int:
        return self._reads

    @property
    def writes(self) -> int:
        return self._writes

    def add(self, reads: int = 0, writes: int = 0) -> None:
        with self._lock:
            self._reads += reads
            self._writes += writes
        if self._parent is not None:
            self._parent.add(reads, writes)
