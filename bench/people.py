"""When people are active: the recorded activity of 78 people, and what is quiet time to each of them.

bench/activity.csv has the minutes of each day (UTC) on which a person did something. They are the author times of
commits in ten public repositories. People are numbers, and days count from each person's first. The file stands in for
the users of an app, whose hours nobody publishes.
"""

from __future__ import annotations

import csv
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ACTIVITY = Path(__file__).with_name("activity.csv")
DAY_MINUTES = 1440
HOURS = 24
#: An hour is quiet if the person was active in it on at most this share of their active days.
QUIET_SHARE = 0.05
COPIES = 4  # users made of each person: with as many ids, or moved by as many random numbers of hours
SEED = 2026


@dataclass(frozen=True, eq=False)
class Person:
    """`minutes`: when the person was active, in minutes since the midnight (UTC) of their first day, ascending."""

    name: str
    minutes: Sequence[int]

    @property
    def days(self) -> int:
        return self.minutes[-1] // DAY_MINUTES + 1

    def last_before(self, moment: float) -> int | None:
        """The last active minute before that moment."""
        index = bisect_left(self.minutes, moment)
        return self.minutes[index - 1] if index else None

    def copy(self, number: int, hours: int = 0) -> Person:
        """The same person under another name, with all activity so many hours later."""
        return Person(f"{self.name}.{number}", [minute + hours * 60 for minute in self.minutes])

    @cached_property
    def rest(self) -> tuple[int, int]:
        """The longest row of quiet hours, known in hindsight: its first minute of the day, and how many it has."""
        rests = [(hour, self._quiet_hours_from(hour)) for hour in range(HOURS)]
        hour, hours = max(rests, key=lambda rest: rest[1])
        return hour * 60, hours * 60

    def arrivals(self) -> Iterator[int]:
        """The first active minute of each of the person's own days.

        An own day begins in the middle of the rest. What is done earlier in the rest belongs to the evening before.
        """
        start, length = self.rest
        own_day = None
        for minute in self.minutes:
            day = (minute - start - length // 2) // DAY_MINUTES
            if day != own_day:
                own_day = day
                yield minute

    def rest_before(self, minute: int) -> int:
        """When the rest before that active minute began."""
        start, length = self.rest
        return (minute - start - length // 2) // DAY_MINUTES * DAY_MINUTES + start

    def first_of_dates(self) -> Iterator[int]:
        """The first active minute of each date (UTC)."""
        date = None
        for minute in self.minutes:
            if minute // DAY_MINUTES != date:
                date = minute // DAY_MINUTES
                yield minute

    def _quiet_hours_from(self, hour: int) -> int:
        """How many quiet hours follow one another from that hour of the day on."""
        hours = 0
        while hours < HOURS and (hour + hours) % HOURS in self._quiet_hours:
            hours += 1
        return hours

    @cached_property
    def _quiet_hours(self) -> frozenset[int]:
        active = {(minute // DAY_MINUTES, minute % DAY_MINUTES // 60) for minute in self.minutes}
        most = QUIET_SHARE * len({day for day, _ in active})
        return frozenset(hour for hour in range(HOURS) if sum(each == hour for _, each in active) <= most)


def recorded_people() -> list[Person]:
    minutes: defaultdict[str, list[int]] = defaultdict(list)
    with ACTIVITY.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            minutes[row["person"]] += [int(row["day"]) * DAY_MINUTES + int(each) for each in row["minutes_utc"].split()]
    return [Person(f"person{number}", each) for number, each in minutes.items()]


def copied_people(people: Sequence[Person]) -> list[Person]:
    """Each person several times, so that the hash of one id decides less."""
    return [person.copy(number) for person in people for number in range(COPIES)]


def moved_people(people: Sequence[Person]) -> list[Person]:
    """Each person several times, moved by random hours, as users all over the world."""
    draw = random.Random(SEED)  # the same numbers in every run
    return [
        person.copy(number, hours)
        for person in people
        for number, hours in enumerate(draw.sample(range(HOURS), COPIES))
    ]
