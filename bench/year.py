"""A year of users on plans of a day, a week and a month: what the `due` scan reads, and what the year costs.

Run with `make bench-year`. The real builder and worker go through every day of the year on the emulator, and what they
report as billed is added up. A day costs a fixed part (looking at the run, the queue, the switch) and a part a user;
a second, larger population tells them apart, so that the figures hold for any number of users.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bench.ground import Ground, Plot, clear, stamp, user_ids
from bench.report import table
from bench.systems import PRICE_READ, PRICE_WRITE
from dev.emulator import emulator
from shared.core.periods import period_of
from shared.core.runs import ScanRequest
from shared.services.build import build
from shared.services.work import work

FIRST = date(2026, 1, 1)
DAYS = int(os.environ.get("DAYS", "365"))
SIZES = (150, 450)
PLANS = ("free", "team", "pro")  # of a day, a week, a month
NAMES = {"free": "daily", "team": "weekly", "pro": "monthly"}
MIX = {"free": 0.4, "team": 0.2, "pro": 0.4}  # of a population
SECONDS_MAX = 600
SLOT_SECONDS = 86_400  # at this size; a real population fills its slots
LOOP_READS, LOOP_WRITES = 3, 4  # of one job per user, claimed one at a time, per refreshed user


@dataclass(frozen=True, slots=True)
class Ops:
    """Billed operations; of a year, or of one user in it."""

    reads: float = 0
    writes: float = 0
    granted: float = 0

    def __add__(self, other: Ops) -> Ops:
        return Ops(self.reads + other.reads, self.writes + other.writes, self.granted + other.granted)

    def __sub__(self, other: Ops) -> Ops:
        return self + other.times(-1)

    def times(self, factor: float) -> Ops:
        return Ops(self.reads * factor, self.writes * factor, self.granted * factor)

    @property
    def dollars(self) -> float:
        """Of 100K such users."""
        return self.reads * PRICE_READ + self.writes * PRICE_WRITE


def main() -> None:
    with emulator() as host:
        for scan in (ScanRequest.DUE, ScanRequest.AUTO):
            a_user = {plan: per_user(host, plan, scan) for plan in PLANS}
            print(f"scan `{scan.value}`, {DAYS} days, per user:\n\n{_table(a_user)}\n", flush=True)
            print("\n".join(_verdicts(a_user)), flush=True)
            print(flush=True)


def per_user(host: str, plan: str, scan: ScanRequest) -> Ops:
    """What one more user on the plan costs in the year: the difference of two populations, by their difference."""
    small, large = (year_of(host, plan, scan, users) for users in SIZES)
    return (large - small).times(1 / (SIZES[1] - SIZES[0]))


def year_of(host: str, plan: str, scan: ScanRequest, users: int) -> Ops:
    plot = Plot.fresh(users, SLOT_SECONDS)
    ground = Ground.at(host, plot)
    ground.write(dict(_population(ground, plan, users)))
    try:
        return sum((_day(ground, scan, FIRST + timedelta(days=n)) for n in range(DAYS)), Ops())
    finally:
        clear(host, plot)


def _population(ground: Ground, plan: str, users: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Users whose current period was granted on the eve of the year; the first due on its own day."""
    drawn, eve = random.Random(1), FIRST - timedelta(days=1)
    for user_id in user_ids(users):
        created = _midnight(eve - timedelta(days=drawn.randint(31, 900)))
        period = period_of(ground.plans.find(plan), eve, created.date())
        if period is None:
            raise ValueError(f"{plan} has no period on {eve}")
        granted = stamp(plan, _midnight(period.start), _midnight(period.end), 0)
        yield f"users/{user_id}", {"credits": 7, "plan": plan, "createdAt": created, "creditRefresh": granted}


def _day(ground: Ground, scan: ScanRequest, day: date) -> Ops:
    """One call of the builder and one of the worker: what more calls cost does not depend on the users."""
    morning, evening = ground.context(_midnight(day)), ground.context(_midnight(day) + timedelta(hours=23, minutes=59))
    build(morning, scan, SECONDS_MAX)
    refreshed = work(evening, 1000, SECONDS_MAX).tally.refreshed
    costs = (morning.wire.cost, evening.wire.cost)
    return Ops(sum(cost.reads for cost in costs), sum(cost.writes for cost in costs), refreshed)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def loop(granted: float, days_read: float) -> Ops:
    """One job per user, claimed one at a time; the users read on so many days, or (0) as they are due."""
    reads = granted * LOOP_READS if not days_read else days_read + granted * (LOOP_READS - 1)
    return Ops(reads, granted * LOOP_WRITES, granted)


def _table(a_user: Mapping[str, Ops]) -> str:
    head = (
        "plan",
        "grants",
        "reads",
        "reads, everybody every day",
        "fewer reads",
        "writes",
        "$ per 100K",
        "one job each",
    )
    return table(head, (_row(NAMES[plan], ops) for plan, ops in a_user.items()))


def _row(name: str, ops: Ops) -> Sequence[str]:
    return (
        name,
        f"{ops.granted:.1f}",
        f"{ops.reads:.2f}",
        f"{DAYS}",
        f"{1 - ops.reads / DAYS:.1%}",
        f"{ops.writes:.2f}",
        f"{ops.dollars:.2f}",
        f"{loop(ops.granted, 0).dollars:.2f}",
    )


def _verdicts(a_user: Mapping[str, Ops]) -> Iterator[str]:
    monthly = 1 - a_user["pro"].reads / DAYS
    yield f"- fewer reads on monthly plans: {monthly:.1%}, at least 95% asked: {_met(monthly, 0.95)}"
    mixed = sum((ops.times(MIX[plan]) for plan, ops in a_user.items()), Ops())
    shares = ", ".join(f"{share:.0%} {NAMES[plan]}" for plan, share in MIX.items())
    for told, days_read in (("reading who is due", 0), ("reading everybody every day", DAYS)):
        loops = sum((loop(ops.granted, days_read).times(MIX[plan]) for plan, ops in a_user.items()), Ops())
        lower = 1 - mixed.dollars / loops.dollars
        yield (
            f"- the bill of 100K users ({shares}): ${mixed.dollars:.2f} a year; one job per user, {told}: "
            f"${loops.dollars:.2f}; {lower:.1%} lower, at least 70% asked: {_met(lower, 0.7)}"
        )


def _met(value: float, bound: float) -> str:
    return "met" if value >= bound else f"**missed by {(bound - value) * 100:.1f} points**"


if __name__ == "__main__":
    main()
