"""Runs imports without garbage collection, which would find almost nothing and take a seventh of a cold start."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Run imports without garbage collection. Imported objects stay for good, so later collections skip them too."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # otherwise the next collection would examine all of it, and no time would be saved
        gc.enable()
