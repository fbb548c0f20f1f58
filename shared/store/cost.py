"""The cost of a call: documents read and written, as Firestore bills them.

Not counted: a write that landed although its reply was lost, and documents from a stream that broke.
"""

from __future__ import annotations

import threading


class Cost:
    """A sum that several threads may add to. What is added here is added to the parent too."""

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
