"""Measures what changes with the number of users (cost, memory, pace of the scan) and with the number of workers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.measure import Measurement, joint_pace, measure_side_by_side, measure_step
from bench.project import DAY_SECONDS, MIDNIGHT, BenchProject, ProjectSpec, clear, slot_width
from bench.systems import PROJECT, Bill, Round, count_bill
from shared.core.proof import Proof
from shared.services.prove import count_when_low, prove

# The builder also flushes when half its lease is over. The emulator is so slow that this would happen often, and the
# counted operations would depend on the machine.
LEASE_SECONDS = 3600
USERS_A_SLOT = 750


@dataclass(frozen=True, slots=True)
class Size:
    """The result of one day with so many users. Its operations are counted on the wire."""

    spec: ProjectSpec
    bill: Bill
    round: Round

    @property
    def users_a_slot(self) -> float:
        return self.spec.users / (DAY_SECONDS / self.spec.slot_seconds)

    @property
    def builder_peak_mb(self) -> float:
        return self.round.steps[0].peak_mb

    @property
    def users_a_job(self) -> float:
        return self.spec.users / self.round.worker.figures["jobs"]


def measure_size(host: str, users: int, users_a_slot: int) -> Size:
    spec = ProjectSpec(users, slot_width(users_a_slot, users), lease_seconds=LEASE_SECONDS)
    return Size(spec, *count_bill(host, PROJECT, spec))


def measure_proof(host: str, users: int) -> float:
    """Reads per user of one day's three counts: two for the proof, and one of the full users who are left alone."""
    spec = ProjectSpec(users, DAY_SECONDS, skips_full=True)
    project = BenchProject.at(host, spec)
    project.seed()
    context = project.context(MIDNIGHT)
    moment = context.control().look(MIDNIGHT).read_time_ns
    before = context.wire.cost.reads
    prove(context, Proof(), [], moment)
    count_when_low(context, moment)
    clear(host, spec)
    return (context.wire.cost.reads - before) / users


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """The result of so many workers side by side. For comparison, as many processes made bare writes."""

    workers: int
    pace: float
    bare_pace: float
    tried_claims: int
    won_claims: int

    @property
    def lost_claims(self) -> int:
        return self.tried_claims - self.won_claims

    @property
    def lost_share(self) -> float:
        return self.lost_claims / self.tried_claims


def measure_group(host: str, workers: int, users: int, rounds: int) -> WorkerGroup:
    """Start all workers at the same moment on one queue with only due jobs. This is the worst case for claims."""
    spec = ProjectSpec(users, slot_width(USERS_A_SLOT, users))
    worked = [_work_together(host, workers, spec.fresh_copy()) for _ in range(rounds)]
    bare = _write_together(host, workers, spec)
    runs = [run for side_by_side in worked for run in side_by_side]
    return WorkerGroup(
        workers,
        statistics.median(map(joint_pace, worked)),
        joint_pace(bare),
        tried_claims=sum(run.figures["tried"] for run in runs),
        won_claims=sum(run.figures["jobs"] for run in runs),
    )


def _work_together(host: str, workers: int, spec: ProjectSpec) -> Sequence[Measurement]:
    BenchProject.at(host, spec).seed()
    try:
        measure_step(host, "build_jobs", spec)
        return measure_side_by_side(host, "work_on_jobs", [spec] * workers)
    finally:
        clear(host, spec)


def _write_together(host: str, workers: int, spec: ProjectSpec) -> Sequence[Measurement]:
    """Run the processes with bare writes. Each has its share of the users in a project of its own."""
    specs = [replace(spec.fresh_copy(), users=spec.users // workers) for _ in range(workers)]
    for one in specs:
        BenchProject.at(host, one).seed()
    try:
        return measure_side_by_side(host, "bare_batch_writes", specs)
    finally:
        for one in specs:
            clear(host, one)


@dataclass(frozen=True, slots=True)
class ScanPace:
    """Users a second of the builder, and of its page queries alone. `cpu_us`: CPU time of the builder for each user."""

    users: int
    builder: float
    pages: float
    cpu_us: float

    @property
    def users_an_hour(self) -> float:
        return self.builder * 3600


def measure_scan(host: str, users: int) -> ScanPace:
    spec = ProjectSpec(users, slot_width(USERS_A_SLOT, users))
    BenchProject.at(host, spec).seed()
    pages, build = measure_step(host, "scan_pages", spec), measure_step(host, "build_jobs", spec)
    clear(host, spec)
    return ScanPace(users, build.pace, pages.pace, build.cpu_seconds / build.users * 1e6)
