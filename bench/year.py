"""Measures the reads and the cost of a year for users of daily, weekly and monthly plans, and of a plan few users use.

The real builder and worker run on every day of the year on the emulator. The operations that they report as billed are
added up. A day has a fixed cost (reading the run, the queue and the pause switch) and a cost for each user. Two
populations of different size separate these two costs. So the figures hold for any number of users.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bench.project import DAY_SECONDS, BenchProject, ProjectSpec, clear
from bench.record import Record
from bench.report import AIMS, Aim, Columns, table
from bench.systems import Bill
from dev.emulator import emulator
from shared.core.periods import period_of
from shared.core.runs import ScanRequest
from shared.services.build import build
from shared.services.work import work

FIRST = date(2026, 1, 1)
SECONDS_MAX = 600
LOOP_READS, LOOP_WRITES = 3, 4  # per refreshed user, with one job per user, claimed one at a time


@dataclass(frozen=True, slots=True)
class Kind:
    """Users of one plan. `active`: the share of them that spends on each day. `mix`: their share of a population."""

    label: str
    plan: str
    mix: float = 0.0
    active: float = 0.0
    skips_full: bool = False


DAILY, WEEKLY, MONTHLY = Kind("daily", "free", 0.4), Kind("weekly", "team", 0.2), Kind("monthly", "pro", 0.4)
DORMANT = Kind("daily, 90% dormant", "free", active=0.1)
LEFT_ALONE = Kind('daily, 90% dormant, `when_full = "skip"`', "free", active=0.1, skips_full=True)
KINDS = (DAILY, WEEKLY, MONTHLY, DORMANT, LEFT_ALONE)


@dataclass(frozen=True, slots=True)
class Extent:
    """How many days, and the two numbers of users."""

    days: int = 365
    sizes: tuple[int, int] = (100, 300)


@dataclass(frozen=True, slots=True)
class Usage:
    """Grants and billed operations of some days, of a population or of one user."""

    days: int = 0
    granted: float = 0
    reads: float = 0
    writes: float = 0

    def plus(self, other: Usage, factor: float = 1) -> Usage:
        return Usage(
            self.days or other.days,
            self.granted + other.granted * factor,
            self.reads + other.reads * factor,
            self.writes + other.writes * factor,
        )

    @property
    def fewer_reads(self) -> float:
        """The share of reads saved, compared with reading everybody every day."""
        return 1 - self.reads / self.days

    @property
    def dollars(self) -> float:
        """The cost of 100K such users."""
        return Bill(self.reads, self.writes).dollars

    def loop(self, *, reads_all: bool) -> Usage:
        """The same with one job per user, claimed one at a time. `reads_all`: all users are read every day."""
        reads = self.granted * LOOP_READS if not reads_all else self.days + self.granted * (LOOP_READS - 1)
        return Usage(self.days, self.granted, reads, self.granted * LOOP_WRITES)


COLUMNS: Columns = {
    "plan": lambda row: row[0].label,
    "grants": lambda row: f"{row[1].granted:.1f}",
    "reads": lambda row: f"{row[1].reads:.2f}",
    "reads, everybody every day": lambda row: str(row[1].days),
    "fewer reads": lambda row: f"{row[1].fewer_reads:.1%}",
    "writes": lambda row: f"{row[1].writes:.2f}",
    "$ per 100K": lambda row: f"{row[1].dollars:.2f}",
    "one job each": lambda row: f"{row[1].loop(reads_all=False).dollars:.2f}",
}


def main(*, quick: bool = False) -> None:
    extent, record = (Extent(4, (6, 12)), Record(())) if quick else (Extent(), Record())
    with emulator() as host:
        for scan in (ScanRequest.DUE, ScanRequest.AUTO):
            per_user = {kind: measure_user(host, kind, scan, extent) for kind in KINDS}
            rows = f"Scan `{scan.value}`, {extent.days} days, per user:\n\n{table(COLUMNS, per_user.items())}"
            record.show(f"year-{scan.value}", f"{rows}\n\n{table(AIMS, _aims(per_user))}")


def measure_user(host: str, kind: Kind, scan: ScanRequest, extent: Extent) -> Usage:
    """The usage of one more user of the kind in the year."""
    small, large = (_measure_year(host, kind, scan, users, extent.days) for users in extent.sizes)
    return Usage(extent.days).plus(large.plus(small, -1), 1 / (extent.sizes[1] - extent.sizes[0]))


def _measure_year(host: str, kind: Kind, scan: ScanRequest, users: int, days: int) -> Usage:
    spec = ProjectSpec(users, DAY_SECONDS, skips_full=kind.skips_full)  # one slot a day: few users must fill a job
    project, used = BenchProject.at(host, spec), Usage(days)
    project.database.put(dict(_population(project, kind)))
    try:
        for number in range(days):
            _spend(project, kind.active, number)
            used = used.plus(_measure_day(project, scan, FIRST + timedelta(days=number)))
    finally:
        clear(host, spec)
    return used


def _population(project: BenchProject, kind: Kind) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Users whose period on the eve of the year is granted. Each is due when that period ends."""
    rng, eve, plan = random.Random(1), FIRST - timedelta(days=1), project.plans.find(kind.plan)
    for user_id in project.user_ids:
        created = _midnight(eve - timedelta(days=rng.randint(31, 900)))
        period = period_of(plan, eve, created.date())
        if period is None:
            raise ValueError(f"{kind.plan} has no period on {eve}")
        granted = project.stamp(kind.plan, _midnight(period.start), _midnight(period.end), 0)
        user = {"credits": plan.allowance, "plan": kind.plan, "createdAt": created, "creditRefresh": granted}
        yield f"users/{user_id}", user


def _spend(project: BenchProject, active: float, day: int) -> None:
    rng = random.Random(day)
    spenders = [user_id for user_id in project.user_ids if rng.random() < active]
    project.database.merge({f"users/{user_id}": {"credits": 7} for user_id in spenders})


def _measure_day(project: BenchProject, scan: ScanRequest, day: date) -> Usage:
    """Measure one call of the builder and one of the worker. The cost of more calls does not depend on the users."""
    morning, evening = (
        project.context(_midnight(day)),
        project.context(_midnight(day) + timedelta(hours=23, minutes=59)),
    )
    build(morning, scan, SECONDS_MAX)
    refreshed = work(evening, 1000, SECONDS_MAX).tally.refreshed
    costs = (morning.wire.cost, evening.wire.cost)
    return Usage(1, refreshed, sum(cost.reads for cost in costs), sum(cost.writes for cost in costs))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _aims(per_user: Mapping[Kind, Usage]) -> Iterator[Aim]:
    yield Aim("fewer reads on monthly plans", per_user[MONTHLY].fewer_reads, 0.95, "{:.1%}")
    mixed = _mixed(per_user)
    shares = ", ".join(f"{kind.mix:.0%} {kind.label}" for kind in per_user if kind.mix)
    for manner, reads_all in (("reading who is due", False), ("reading everybody every day", True)):
        loop = _mixed({kind: usage.loop(reads_all=reads_all) for kind, usage in per_user.items()})
        text = f"bill of 100K users ({shares}), ${mixed.dollars:.2f}, below ${loop.dollars:.2f}: one job each, {manner}"
        yield Aim(text, 1 - mixed.dollars / loop.dollars, 0.7, "{:.1%}")
    by_hand = Bill(*[LEFT_ALONE.active * mixed.days] * 2).dollars
    text = f"bill of 100K users, 90% dormant, full users left alone : a script by hand (${by_hand:.2f})"
    yield Aim(text, per_user[LEFT_ALONE].dollars / by_hand, 1.1, at_most=True)


def _mixed(per_user: Mapping[Kind, Usage]) -> Usage:
    mixed = Usage()
    for kind, usage in per_user.items():
        mixed = mixed.plus(usage, kind.mix)
    return mixed
