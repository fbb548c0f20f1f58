"""Quiet hours: learn at which hours of the day a user is active, and refresh the user when they are not.

The stamp keeps `activity`, a text of 24 digits, one for each hour of the user's day. A look at the document shows when
it last changed. Unless that was our own grant, the user was active at that hour: its digit grows, and all others
shrink. So the text follows a user whose habits change.

Mostly the last activity before a refresh is seen. The hours after it are quiet; when the next activity begins is not
known. That is why a user is refreshed early in the quiet hours, and not in their middle.

The numbers below were chosen with `make bench-stagger`, on the recorded activity of 78 people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

HOURS = 24
HOUR_SECONDS = 3600
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: What an observation adds to the digit of its hour. Each observation takes 1 from all digits.
OBSERVED = 16
DIGIT_MAX = len(DIGITS) - 1
#: The sum of the digits after two observations. With less, too little is known.
SUM_MIN = 2 * OBSERVED - 1
#: Fewer hours in a row without activity are not quiet hours.
QUIET_HOURS_MIN = 4
#: A change within this time of the moment that the stamp names as that of our grant is the grant itself.
OWN_WRITE_EARLIEST, OWN_WRITE_LATEST = timedelta(minutes=-1), timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where in the quiet hours users are refreshed."""

    #: Hours that are left free after the last activity.
    hours_free: int = 2
    #: Users are refreshed within so many hours after those, so most of them before the next activity.
    hours_used_max: int = 10
    #: Where the window of the day cuts these hours in two, an earlier piece of so many hours is preferred.
    piece_hours_min: int = 2
    #: Users with the same quiet hours are spread over at most so many of them.
    spread_hours_max: int = 8


PLACEMENT = Placement()
_ACTIVITY = re.compile(r"[0-9a-z]{24}")


def read_activity(activity: object) -> str | None:
    """The stamp's `activity`; None for whatever is not such a text."""
    return activity if isinstance(activity, str) and _ACTIVITY.fullmatch(activity) else None


def read_digits(activity: object) -> Sequence[int] | None:
    """The digit of each hour; None for whatever is not such a text."""
    text = read_activity(activity)
    return None if text is None else [int(digit, 36) for digit in text]


def learn_hour(activity: object, hour: int) -> str:
    """The text after one more observation, at that hour of the user's day (0 to 23)."""
    digits = [max(0, digit - 1) for digit in read_digits(activity) or [0] * HOURS]
    digits[hour] = min(DIGIT_MAX, digits[hour] + OBSERVED)
    return "".join(DIGITS[digit] for digit in digits)


def activity_after(stamp: Mapping[str, Any], changed_at: datetime, zone: ZoneInfo) -> str | None:
    """The activity to be written with the user's next grant; None if nothing is known.

    `changed_at`: the document's last change, which counts as activity unless it is the grant that the stamp records.
    """
    activity = stamp.get("activity")
    if not _is_own_write(changed_at, stamp.get("refreshedAt")):
        return learn_hour(activity, changed_at.astimezone(zone).hour)
    return read_activity(activity)


def _is_own_write(changed_at: datetime, granted_at: object) -> bool:
    return isinstance(granted_at, datetime) and OWN_WRITE_EARLIEST <= changed_at - granted_at <= OWN_WRITE_LATEST


def quiet_range(
    activity: object, window_start_seconds: int, window_seconds: int, placement: Placement = PLACEMENT
) -> tuple[int, int] | None:
    """Where to refresh a user: the first second after the window's start, and for how many seconds.

    None if too little is known of the user, or if no quiet hours lie in the window. The window begins so many seconds
    after the user's midnight.
    """
    digits = read_digits(activity)
    if digits is None or sum(digits) < SUM_MIN:
        return None
    first_hour, hours = _longest_rest(digits)
    if hours < QUIET_HOURS_MIN:
        return None
    start = (first_hour + placement.hours_free) * HOUR_SECONDS
    end = start + min(hours - placement.hours_free, placement.hours_used_max) * HOUR_SECONDS
    pieces = _pieces(start, end, window_start_seconds, window_start_seconds + window_seconds)
    if not pieces:
        return None
    enough = [piece for piece in pieces if piece[1] - piece[0] >= placement.piece_hours_min * HOUR_SECONDS]
    start, end = enough[0] if enough else max(pieces, key=lambda piece: piece[1] - piece[0])
    return start - window_start_seconds, min(end - start, placement.spread_hours_max * HOUR_SECONDS)


def _longest_rest(digits: Sequence[int]) -> tuple[int, int]:
    """The longest row of hours without activity, past midnight too: its first hour, and how many there are."""
    busy = [hour for hour in range(HOURS) if digits[hour]]
    rests = [
        ((hour + 1) % HOURS, (following - hour - 1) % HOURS)
        for hour, following in zip(busy, busy[1:] + busy[:1], strict=True)
    ]
    return max(rests, key=lambda rest: rest[1])


def _pieces(start: int, end: int, window_start: int, window_end: int) -> Sequence[tuple[int, int]]:
    """The parts of the window that lie in [start, end) of some day, earliest first."""
    day = HOURS * HOUR_SECONDS
    shifted = ((start + shift, end + shift) for shift in (-day, 0, day))
    cut = [(max(first, window_start), min(last, window_end)) for first, last in shifted]
    return [(first, last) for first, last in cut if first < last]
