"""What changes with the number of users: cost, memory, the scan's pace; and with the number of workers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.ground import DAY_SECONDS, MIDNIGHT, Ground, Plot, clear, slot_width
from bench.measure import Measured, measured, side_by_side, together
from bench.systems import PROJECT, Bill, Round, count_bill
from shared.core.proof import Proof
from shared.services.prove import count_when_low, prove

# The builder flushes at half its lease too, however little it has scanned. On the emulator, which takes minutes for
# what takes Firestore seconds, operations would depend on the machine's pace.
LEASE_SECONDS = 3600
USERS_A_SLOT = 750


@dataclass(frozen=True, slots=True)
class Size:
    """One day of so many users, counted on the wire."""

    plot: Plot
    bill: Bill
    round: Round

    @property
    def users_a_slot(self) -> float:
        return self.plot.users / (DAY_SECONDS / self.plot.slot_seconds)

    @property
    def builder_peak_mb(self) -> float:
        return self.round.steps[0].peak_mb

    @property
    def users_a_job(self) -> float:
        return self.plot.users / self.round.worker.figures["jobs"]


def measure_size(host: str, users: int, users_a_slot: int) -> Size:
    plot = Plot(users, slot_width(users_a_slot, users), lease_seconds=LEASE_SECONDS)
    return Size(plot, *count_bill(host, PROJECT, plot))


def measure_proof(host: str, users: int) -> float:
    """Reads per user of one day's counts: the proof's two, and that of full users who are left alone."""
    plot = Plot(users, DAY_SECONDS, skips_full=True)
    ground = Ground.at(host, plot)
    ground.seed()
    context = ground.context(MIDNIGHT)
    moment = context.control().look(MIDNIGHT).read_time_ns
    before = context.wire.cost.reads
    prove(context, Proof(), [], moment)
    count_when_low(context, moment)
    clear(host, plot)
    return (context.wire.cost.reads - before) / users


@dataclass(frozen=True, slots=True)
class Crew:
    """So many worker processes side by side, and beside them as many that make bare writes."""

    workers: int
    pace: float
    bare_pace: float
    tried: int
    won: int

    @property
    def lost(self) -> int:
        return self.tried - self.won

    @property
    def lost_share(self) -> float:
        return self.lost / self.tried


def measure_crew(host: str, workers: int, users: int, rounds: int) -> Crew:
    """Workers let go at the same moment on one queue of which every job is due: the worst case for claims."""
    plot = Plot(users, slot_width(USERS_A_SLOT, users))
    worked = [_work_together(host, workers, plot.again()) for _ in range(rounds)]
    bare = _write_together(host, workers, plot)
    runs = [run for together_runs in worked for run in together_runs]
    return Crew(
        workers,
        statistics.median(map(together, worked)),
        together(bare),
        tried=sum(run.figures["tried"] for run in runs),
        won=sum(run.figures["jobs"] for run in runs),
    )


def _work_together(host: str, workers: int, plot: Plot) -> Sequence[Measured]:
    Ground.at(host, plot).seed()
    try:
        measured(host, "build_jobs", plot)
        return side_by_side(host, "work_on_jobs", [plot] * workers)
    finally:
        clear(host, plot)


def _write_together(host: str, workers: int, plot: Plot) -> Sequence[Measured]:
    """Each process has its own share of the users, in a project of its own."""
    plots = [replace(plot.again(), users=plot.users // workers) for _ in range(workers)]
    for one in plots:
        Ground.at(host, one).seed()
    try:
        return side_by_side(host, "bare_batch_writes", plots)
    finally:
        for one in plots:
            clear(host, one)


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


def measure_scan(host: str, users: int) -> ScanPace:
    plot = Plot(users, slot_width(USERS_A_SLOT, users))
    Ground.at(host, plot).seed()
    pages, build = measured(host, "scan_pages", plot), measured(host, "build_jobs", plot)
    clear(host, plot)
    return ScanPace(users, build.pace, pages.pace, build.cpu_seconds / build.users * 1e6)
