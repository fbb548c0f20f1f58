"""The moment of the day at which a user is refreshed: stable for a user, and evenly spread over the window.

Under `quiet` it lies in the user's own quiet hours, once these are known (quiet_hours.py).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from shared.core.quiet_hours import PLACEMENT, Placement, quiet_range


class Stagger(StrEnum):
    """How users are spread over the window."""

    HASH = "hash"
    QUIET = "quiet"

    @property
    def algorithm(self) -> str:
        """Its name with a version. Another name tells builders that users' slots have moved."""
        return {Stagger.HASH: "blake2b-64", Stagger.QUIET: "quiet-1"}[self]


def offset_seconds(user_id: str, window_seconds: int) -> int:
    """0 <= offset < window. It is one 64-bit hash of the id modulo the window, so it reaches every second of it."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % window_seconds


def quiet_offset_seconds(
    user_id: str,
    activity: object,
    window_start_seconds: int,
    window_seconds: int,
    placement: Placement = PLACEMENT,
) -> int:
    """An offset in the user's quiet hours, spread by the id's hash. Without known quiet hours it is the hash's own."""
    quiet = quiet_range(activity, window_start_seconds, window_seconds, placement)
    if quiet is None:
        return offset_seconds(user_id, window_seconds)
    start, length = quiet
    return start + offset_seconds(user_id, length)


def slot_seconds(user_id: str, window_seconds: int, slot_width_seconds: int) -> int:
    """The offset rounded down to the start of its slot."""
    return slot_of(offset_seconds(user_id, window_seconds), slot_width_seconds)


def slot_of(offset: int, slot_width_seconds: int) -> int:
    return offset - offset % slot_width_seconds
