"""What changes with the number of users: cost, memory, the scan's pace; and with the number of workers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.ground import Ground, Plot, clear
from bench.measure import Measured, measured, side_by_side, together
from bench.systems import SYSTEMS, Billed, Round, bill

PROJECT = next(system for system in SYSTEMS if system.name == "e")
DAY = 86_400
# The builder flushes at half its lease too, however little it has scanned. On the emulator, which takes minutes for
# what takes Firestore seconds, operations would depend on the machine's pace.
LEASE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Size:
    """One day of so many users, counted on the wire."""

    plot: Plot
    billed: Billed
    round: Round

    @property
    def users_a_slot(self) -> float:
        return self.plot.users / (DAY / self.plot.slot_seconds)

    @property
    def builder_peak_mb(self) -> float:
        return 0.0 if self.round.builder is None else self.round.builder.peak_mb

    @property
    def users_a_job(self) -> float:
        return self.plot.users / self.round.worker.figures["jobs"]


def day_of(host: str, users: int, slot_seconds: int) -> Size:
    plot = replace(Plot.fresh(users, slot_seconds), lease_seconds=LEASE_SECONDS)
    return Size(plot, *bill(host, PROJECT, plot))


@dataclass(frozen=True, slots=True)
class Crew:
    """So many worker processes side by side, and beside them as many that make bare writes."""

    workers: int
    pace: float
    bare_pace: float
    tried: int
    won: int

    @property
    def lost_share(self) -> float:
        return 1 - self.won / self.tried


def crew(host: str, workers: int, users: int, slot_seconds: int, rounds: int) -> Crew:
    """Workers let go at the same moment on one queue of which every job is due: the worst case for claims."""
    seen = [_worked_together(host, workers, Plot.fresh(users, slot_seconds)) for _ in range(rounds)]
    bare = [_written_together(host, workers, users, slot_seconds) for _ in range(rounds)]
    runs = [run for runs in seen for run in runs]
    return Crew(
        workers,
        statistics.median(map(together, seen)),
        statistics.median(map(together, bare)),
        tried=sum(run.figures["tried"] for run in runs),
        won=sum(run.figures["jobs"] for run in runs),
    )


def _worked_together(host: str, workers: int, plot: Plot) -> Sequence[Measured]:
    Ground.at(host, plot).seed()
    try:
        measured(host, "build_jobs", plot)
        return side_by_side(host, "work_on_jobs", [plot] * workers)
    finally:
        clear(host, plot)


def _written_together(host: str, workers: int, users: int, slot_seconds: int) -> Sequence[Measured]:
    """Each process has its own share of the users, in a project of its own."""
    plots = [Plot.fresh(users // workers, slot_seconds) for _ in range(workers)]
    for plot in plots:
        Ground.at(host, plot).seed()
    try:
        return side_by_side(host, "bare_batch_writes", plots)
    finally:
        for plot in plots:
            clear(host, plot)


@dataclass(frozen=True, slots=True)
class ScanPace:
    """Users a second: of the builder, and of its pages alone. `cpu_us`: of the builder, a user."""

    users: int
    builder: float
    pages: float
    cpu_us: float

    @property
    def users_an_hour(self) -> float:
        return self.builder * 3600


def scan_pace(host: str, users: int, slot_seconds: int, rounds: int) -> ScanPace:
    plots = [Plot.fresh(users, slot_seconds) for _ in range(rounds)]
    builds, pages = [], []
    for plot in plots:
        Ground.at(host, plot).seed()
        pages.append(measured(host, "scan_pages", plot).pace)
        builds.append(measured(host, "build_jobs", plot))
        clear(host, plot)
    cpu_us = statistics.median(build.cpu_seconds / build.users * 1e6 for build in builds)
    return ScanPace(users, statistics.median(b.pace for b in builds), statistics.median(pages), cpu_us)
