"""The schedule: local days, their instants, and each user's slot in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.core.stagger import STAGGER_ALGORITHM, slot_seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days begin at midnight in `zone`; users are spread over `window_seconds` from there."""

    zone: ZoneInfo
    window_seconds: int
    slot_width_seconds: int

    def day_of(self, instant: datetime) -> date:
        """The day whose half-open interval [start, next start) contains the instant."""
        day = instant.astimezone(self.zone).date()
        following = day + timedelta(days=1)
        # Clocks set back across midnight show a date again; the day that has begun goes on.
        return following if instant >= self.day_start(following) else day

    def day_start(self, day: date) -> datetime:
        """Local midnight as an instant in UTC; where midnight is skipped, the first instant after it."""
        return _midnight(self.zone, day)

    def slot_start(self, day: date, user_id: str) -> datetime:
        """When the user's slot of that day begins."""
        return self.day_start(day) + timedelta(
            seconds=slot_seconds(user_id, self.window_seconds, self.slot_width_seconds)
        )

    @property
    def spread(self) -> str:
        """Changes when users' slots do."""
        return f"{self.zone.key}/{self.window_seconds}/{self.slot_width_seconds}/{STAGGER_ALGORITHM}"


@lru_cache(maxsize=4096)
def _midnight(zone: ZoneInfo, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
