"""The service level: users are refreshed within half an hour of their slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

ON_TIME_WITHIN = timedelta(minutes=30)
OBJECTIVE = 0.999  # the share of users who have to be on time
DAYS = 30  # the share is computed over so many days


def is_on_time(due_at: datetime, ended_at: datetime) -> bool:
    """True for a refresh that ended within half an hour (inclusive) of the moment it was due."""
    return ended_at - due_at <= ON_TIME_WITHIN


@dataclass(frozen=True, slots=True)
class Served:
    """Users on time and late. `late`: refreshed later than promised, failed, or superseded."""

    on_time: int = 0
    late: int = 0

    def __add__(self, other: Served) -> Served:
        return Served(self.on_time + other.on_time, self.late + other.late)

    @property
    def users(self) -> int:
        return self.on_time + self.late

    @property
    def share(self) -> float | None:
        """The fraction of users on time; None while there are no users."""
        return self.on_time / self.users if self.users else None

    @property
    def error_budget_left(self) -> float | None:
        """The unused part of the allowed late users: 1 when nobody was late, 0 at the objective, negative beyond."""
        return 1 - self.late / (self.users * (1 - OBJECTIVE)) if self.users else None


@dataclass(frozen=True, slots=True)
class DayServed:
    """One day's users on time and late."""

    day: date
    served: Served


def remembered(history: Iterable[DayServed], fresh: Iterable[DayServed], today: date) -> tuple[DayServed, ...]:
    """The earlier days that a new run keeps. Fresh figures replace older ones of the same day."""
    days = {entry.day: entry for entry in (*history, *fresh)}
    oldest = today - timedelta(days=DAYS - 1)
    return tuple(days[day] for day in sorted(days) if oldest <= day < today)
