"""Imports without garbage collection: it would find almost nothing and takes a seventh of a cold start."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Run imports without garbage collection. Imported objects stay for good, so later collections skip them too."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # else the next collection would examine all of it, and no time would be saved
        gc.enable()
