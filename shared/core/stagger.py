"""Which moment of the day a user is refreshed at: stable per user, even over the window."""

from __future__ import annotations

import hashlib

STAGGER_ALGORITHM = "blake2b-64"  # its name; another name tells builders that users' slots have moved


def offset_seconds(user_id: str, window_seconds: int) -> int:
    """0 <= offset < window. One 64-bit hash mod the window reaches every second of it."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % window_seconds


def slot_seconds(user_id: str, window_seconds: int, slot_width_seconds: int) -> int:
    """The offset rounded down to the start of its slot."""
    offset = offset_seconds(user_id, window_seconds)
    return offset - offset % slot_width_seconds
