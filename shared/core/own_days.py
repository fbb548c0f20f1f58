"""Days in a time zone, and the days of a user whose zone is not the deployment's.

A run is one of the deployment's days, an interval of instants. A user's local date belongs to the run in whose day the
user's midnight lies. Where both zones change their clocks differently, a run's day may hold two of a user's midnights,
or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

ONE_DAY = timedelta(days=1)


@lru_cache(maxsize=4096)
def midnight(zone: ZoneInfo, day: date) -> datetime:
    """Local midnight in UTC. Where clocks skip midnight, the first instant after it."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def day_at(zone: ZoneInfo, instant: datetime) -> date:
    """The day whose half-open interval [start, next start) contains the instant."""
    day = instant.astimezone(zone).date()
    following = day + ONE_DAY
    # Clocks that are set back across midnight show the last date again. The day that has begun goes on.
    return following if instant >= midnight(zone, following) else day


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name; None if there is none.

    The name comes from a user's document. It is looked up in the list of names first, so no other text gets as far as
    the file system.
    """
    return _zone(name) if name in _zone_names() else None


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # the file is damaged or gone
        return None


@dataclass(frozen=True, slots=True)
class OwnDays:
    """The days of a user in `zone`, and the runs of a deployment in `runs_zone` that they belong to."""

    zone: ZoneInfo
    runs_zone: ZoneInfo

    def day_of(self, instant: datetime) -> date:
        """The user's local date at that moment."""
        return day_at(self.zone, instant)

    def run_day(self, day: date) -> date:
        """The day of the run to which the user's local date belongs."""
        return _run_day(self.zone, self.runs_zone, day)

    def days_in_run(self, run_day: date) -> tuple[date, ...]:
        """The user's local dates that the run has to grant: those that begin in its day; else the latest before."""
        return _days_in_run(self.zone, self.runs_zone, run_day)


@lru_cache(maxsize=4096)
def _run_day(zone: ZoneInfo, runs_zone: ZoneInfo, day: date) -> date:
    try:
        return day_at(runs_zone, midnight(zone, day))
    except OverflowError:  # the first or last possible day: the same in each zone
        return day


@lru_cache(maxsize=4096)
def _days_in_run(zone: ZoneInfo, runs_zone: ZoneInfo, run_day: date) -> tuple[date, ...]:
    start, end = midnight(runs_zone, run_day), midnight(runs_zone, run_day + ONE_DAY)
    before = day_at(zone, start)
    nearby = [before + number * ONE_DAY for number in range(4)]
    # A date that the zone skips begins when the next date does.
    found = tuple(
        day
        for day in nearby
        if start <= midnight(zone, day) < end and midnight(zone, day) < midnight(zone, day + ONE_DAY)
    )
    return found or (before,)
