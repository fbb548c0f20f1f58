"""Reads the time of sign-up from what apps write as `createdAt`, if it is not ambiguous."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: A number counts as seconds or milliseconds if that puts it between these two. No number can be both.
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

NANOSECONDS = 1_000_000_000
#: The keys of a Timestamp that was written as a plain object, by the web SDK and by the Admin SDK.
_MAPS = [("seconds", "nanoseconds"), ("_seconds", "_nanoseconds")]


def read_created_at(value: object) -> datetime | date | None:
    """An instant in UTC, or a date if the text is a date like 2026-01-31. None if the value is ambiguous.

    Accepted are a timestamp, an ISO 8601 text with an offset, a date, seconds or milliseconds since 1970, and the map
    that a Timestamp becomes. A text with a time and no offset is ambiguous: it does not say in which zone.
    """
    match value:
        case datetime():
            return value
        case str():
            return parse_date(value) or _from_text(value)
        case bool():
            return None
        case int() | float():
            return _from_number(value)
        case Mapping():
            return _from_map(value)
    return None


@lru_cache(maxsize=4096)
def parse_date(text: str) -> date | None:
    """A date written like 2026-11-22; None for anything else, other forms of ISO 8601 included."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def _from_text(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_number(number: float) -> datetime | None:
    for per_second in (1, 1000):
        if math.isfinite(number) and EARLIEST <= number / per_second < LATEST:
            return datetime.fromtimestamp(number / per_second, UTC)
    return None


def _from_map(fields: Mapping[str, Any]) -> datetime | None:
    for names in _MAPS:
        if set(fields) == set(names):
            seconds, nanoseconds = (fields[name] for name in names)
            if type(seconds) is int and type(nanoseconds) is int and 0 <= nanoseconds < NANOSECONDS:
                return _since_epoch(seconds)
    return None


def _since_epoch(seconds: int) -> datetime | None:
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
