"""Who comes before the refill: ways of spreading users over the day, tried on the recorded activity of people.

Every person has a plan of a day. The builder reads all of them at midnight (UTC); the slots follow in the course of the
day. What is known of a person is what the project would know: the time of the document's last change, once at midnight
and once more at the slot of a person who was active since. Slots and learning are the project's own code.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from bench import report
from bench.figure import draw_stagger
from bench.people import DAY_MINUTES, HOURS, Person, copied_people, moved_people, recorded_people
from bench.record import Record
from shared.core.hour_limit import SHARES_MAX, HourLimit, Window
from shared.core.quiet_hours import PLACEMENT, Placement, learn_hour
from shared.core.stagger import offset_seconds, quiet_offset_seconds

DAY_SECONDS = 86_400
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)  # any day will do
EARLY_SHARE_MAX = 0.07
PEOPLE_MIN = 40  # with fewer people left, an hour's share says nothing
QUICK_PEOPLE = 6

Offset = Callable[[Person, str | None], int]  # seconds after midnight, by the person and what was learnt


@dataclass(frozen=True, slots=True)
class Spread:
    """One way of spreading users. `learns`: it is told of the hours of activity. `levels`: full hours overflow."""

    label: str
    offset: Offset
    learns: bool = False
    levels: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of all people under one way of spreading them."""

    label: str
    days: int = 0  # people's own days with activity
    early: int = 0  # of those, on which the person came before the refill
    dates: int = 0  # the same by date (UTC)
    early_by_date: int = 0
    waited_minutes: int = 0  # from coming to the refill, on early days
    slots: int = 0
    read_again: int = 0  # slots of people who were active since midnight
    busiest: float = 0.0  # users of the busiest hour of any day : an even share

    @property
    def early_share(self) -> float:
        return self.early / self.days

    @property
    def waited_hours(self) -> float:
        return self.waited_minutes / max(1, self.early) / 60


@dataclass(slots=True)
class Watched:
    """One person in the course of a simulation: what the stamp has learnt, and all slots in minutes."""

    person: Person
    activity: str | None = None
    slots: list[int] = field(default_factory=list)

    def refresh(self, midnight: int, slot: int) -> bool:
        """Refresh the person at the slot; learn from the looks before. True if the document had to be read again."""
        last, granted = self.person.last_before(slot), self.slots[-1] if self.slots else -1
        self.slots.append(slot)
        if last is not None and last > granted:  # otherwise the last change is our own grant
            self.activity = learn_hour(self.activity, last % DAY_MINUTES // 60)
        return last is not None and last >= midnight


def hash_over(hours: int) -> Offset:
    return lambda person, _: offset_seconds(person.name, hours * 3600)


def quiet(placement: Placement = PLACEMENT) -> Offset:
    return lambda person, activity: quiet_offset_seconds(person.name, activity, 0, DAY_SECONDS, placement)


def best_hour(person: Person, _activity: str | None) -> int:
    """The same hour every day. It is the one with the fewest days on which the person comes before the refill."""
    return _best_hour(person) * 3600


@cache
def _best_hour(person: Person) -> int:
    start, _ = person.rest
    arrivals = sorted((minute - start) % DAY_MINUTES for minute in person.arrivals())
    firsts = sorted(minute % DAY_MINUTES for minute in person.first_of_dates())

    def early_days(hour: int) -> tuple[int, int]:
        return bisect_left(arrivals, (hour * 60 - start) % DAY_MINUTES), bisect_left(firsts, hour * 60)

    return min(range(HOURS), key=early_days)


QUIET = Spread("quiet", quiet(), learns=True, levels=True)
SPREADS = (
    Spread("hash over 24 hours", hash_over(24)),
    Spread("hash over 4 hours", hash_over(4)),
    QUIET,
    Spread("quiet, no hour left free after the activity", quiet(Placement(hours_free=0)), learns=True, levels=True),
    Spread("quiet, one hour left free", quiet(Placement(hours_free=1)), learns=True, levels=True),
    Spread("quiet, within four hours of that", quiet(Placement(hours_used_max=4)), learns=True, levels=True),
    Spread("each person's best hour, known in hindsight", best_hour),
)


def main(*, quick: bool = False) -> None:
    """Print the table and its aims, and put them and the plot into docs."""
    people = recorded_people()[: QUICK_PEOPLE if quick else None]
    populations = {"as recorded": copied_people(people), "moved by random hours": moved_people(people)}
    outcomes = {name: [simulate(spread, each) for spread in SPREADS] for name, each in populations.items()}
    aims = [aim for name, each in outcomes.items() for aim in _aims(name, each[SPREADS.index(QUIET)])]
    tables = [
        f"{_heading(name, populations[name])}\n\n{report.table(report.STAGGER, each)}"
        for name, each in outcomes.items()
    ]
    record = Record(()) if quick else Record()
    record.show("stagger", "\n\n".join([*tables, report.table(report.AIMS, aims)]))
    if not quick:
        draw_stagger(outcomes)


def _heading(name: str, people: Sequence[Person]) -> str:
    days = sum(len(list(person.arrivals())) for person in people)
    return f"{len(people):,} users, {name}; {days:,} days with activity:"


def _aims(name: str, outcome: Outcome) -> list[report.Aim]:
    return [
        report.Aim(
            f"{outcome.label}, {name}: came before the refill",
            outcome.early_share,
            EARLY_SHARE_MAX,
            "{:.1%}",
            at_most=True,
        ),
        report.Aim(
            f"{outcome.label}, {name}: busiest hour : even share", outcome.busiest, SHARES_MAX, "{:.1f}", at_most=True
        ),
    ]


def simulate(spread: Spread, people: Sequence[Person]) -> Outcome:
    """All days of all people. Everybody's first day is the same."""
    outcome = Outcome(spread.label)
    everybody = [Watched(person) for person in people]
    for day in range(max(person.days for person in people)):
        present = [each for each in everybody if day < each.person.days]
        offsets = [spread.offset(each.person, each.activity if spread.learns else None) for each in present]
        if spread.levels:
            offsets = level(present, offsets)
        _refresh(present, offsets, day, outcome)
    for each in everybody:
        _judge(each, outcome)
    return outcome


def level(present: Sequence[Watched], offsets: Sequence[int]) -> list[int]:
    """The offsets after those beyond an hour's share have been moved to other hours."""
    window = Window(MIDNIGHT, MIDNIGHT + timedelta(seconds=DAY_SECONDS))
    slots: defaultdict[datetime, list[tuple[str, Window | None]]] = defaultdict(list)
    for each, offset in zip(present, offsets, strict=True):
        slots[MIDNIGHT + timedelta(seconds=offset)].append((each.person.name, window))
    moved = HourLimit(MIDNIGHT, DAY_SECONDS, 1).move_overflow(slots, {}, MIDNIGHT)
    new = {name: (slot - MIDNIGHT) // timedelta(seconds=1) for (_, name), slot in moved.items()}
    return [new.get(each.person.name, offset) for each, offset in zip(present, offsets, strict=True)]


def _refresh(present: Sequence[Watched], offsets: Sequence[int], day: int, outcome: Outcome) -> None:
    """One day: refresh everybody at their slot."""
    midnight = day * DAY_MINUTES
    for each, offset in zip(present, offsets, strict=True):
        outcome.slots += 1
        outcome.read_again += each.refresh(midnight, midnight + offset // 60)
    if len(present) >= PEOPLE_MIN:
        fullest = max(Counter(offset // 3600 for offset in offsets).values())
        outcome.busiest = max(outcome.busiest, fullest * HOURS / len(present))


def _judge(each: Watched, outcome: Outcome) -> None:
    """Count the days on which the person came before the refill.

    By own days: no slot lay between the beginning of the rest and the arrival. By date: the slot of the date lay after
    the first activity of it.
    """
    slots, person = each.slots, each.person
    for minute in person.arrivals():
        following = bisect_right(slots, minute)
        is_early = following == 0 or slots[following - 1] < person.rest_before(minute)
        outcome.days += 1
        outcome.early += is_early
        if is_early and following < len(slots):
            outcome.waited_minutes += slots[following] - minute
    for minute in person.first_of_dates():
        outcome.dates += 1
        outcome.early_by_date += minute < slots[minute // DAY_MINUTES]
