"""The moment of the day at which a user is refreshed: stable for a user, and evenly spread over the window."""

from __future__ import annotations

import hashlib

STAGGER_ALGORITHM = "blake2b-64"  # its name; another name tells builders that users' slots have moved


def offset_seconds(user_id: str, window_seconds: int) -> int:
    """0 <= offset < window. It is one 64-bit hash of the id modulo the window, so it reaches every second of it."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % window_seconds


def slot_seconds(user_id: str, window_seconds: int, slot_width_seconds: int) -> int:
    """The offset rounded down to the start of its slot."""
    offset = offset_seconds(user_id, window_seconds)
    return offset - offset % slot_width_seconds
