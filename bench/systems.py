"""The systems that are compared: their steps, their passes over the same users, and their bills."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from bench.measure import CONNECTING_READS, Measurement, is_node_step, measure_step
from bench.project import BenchProject, ProjectSpec, clear
from bench.relay import relay
from dev.billing import billing
from shared.settings import Settings

PRICE_READ: float = Settings.model_fields["price_read"].default  # dollars per 100K
PRICE_WRITE: float = Settings.model_fields["price_write"].default
DONE_SHARE_MIN = 0.999  # if a call to the emulator fails, a few users wait for a later retry job
BILLED_USERS = 1000  # enough for a system whose cost a user does not depend on their number


@dataclass(frozen=True, slots=True)
class System:
    """One way of refreshing everybody. Its steps run one after the other, and the last refreshes the users.

    `users_max`: how many users a slow system is measured on. `far_users_max`: the same with a far database.
    `below`: the share of users below the allowance, if it is not that of the case.
    """

    label: str
    steps: tuple[str, ...]
    users_max: int = 1_000_000
    far_users_max: int | None = None
    job_size: int = 300
    skips_full: bool = False
    below: float | None = None

    @property
    def is_stamped(self) -> bool:
        """True if it writes stamps. Then its users have one of the day before."""
        return self.is_bare or self.steps[-1] == "work_on_jobs"

    @property
    def is_bare(self) -> bool:
        return self.steps[-1].startswith("bare")


NODE_BULK = System("Node: query, BulkWriter", ("node_bulk_writer",), 4000)
NODE_UNTHROTTLED = System("Node: query, BulkWriter unthrottled", ("node_bulk_writer_unthrottled",))
NODE_BATCH = System("Node: query, WriteBatch of 500", ("node_write_batch",))
PYTHON_BULK = System("Python: query, BulkWriter", ("python_bulk_writer",), 2500)
PEERS = (NODE_BULK, NODE_UNTHROTTLED, NODE_BATCH, PYTHON_BULK)

NAIVE = System("Python: read all users, write each", ("read_all_write_each",), 1200)
ONE_AT_A_TIME = System("one job per user, claimed one at a time", ("enqueue_each", "one_at_a_time"), 480, 100)
IN_BATCHES = System("one job per user, claimed in batches", ("enqueue_each", "transaction_per_job"), 480)
JOB_EACH = System("this project, `JOB_SIZE=1`", ("build_jobs", "work_on_jobs"), 2400, job_size=1)
PROJECT = System("this project", ("build_jobs", "work_on_jobs"))
SKIPPING = System('this project, `when_full = "skip"`', ("build_jobs", "work_on_jobs"), skips_full=True)
FEW_ACTIVE = replace(SKIPPING, label=f"{SKIPPING.label}, 5% have spent", below=0.05)
OURS = (PROJECT, SKIPPING, FEW_ACTIVE)
BARE = System("bare `BatchWrite`, one call after another", ("bare_batch_writes",))
BARE_IN_LANES = System("bare `BatchWrite`, eight calls at a time", ("bare_in_lanes",))
EVERY_SYSTEM = (*PEERS, NAIVE, ONE_AT_A_TIME, IN_BATCHES, JOB_EACH, PROJECT, BARE, BARE_IN_LANES)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison of systems. Each pass has a fresh project like `spec`."""

    spec: ProjectSpec
    systems: tuple[System, ...]
    rounds: int
    round_trip_ms: float = 0

    def spec_for(self, system: System, users_max: int | None = None) -> ProjectSpec:
        """The spec of a fresh project for a system. Slow systems have fewer users; users below the allowance count."""
        far_max = system.far_users_max if self.round_trip_ms else None
        most = users_max or far_max or system.users_max
        below = system.below or self.spec.below
        users = max(1, round(min(self.spec.users * below, most) / below))
        return ProjectSpec(
            users,
            self.spec.slot_seconds,
            below,
            stamped=system.is_stamped,
            skips_full=system.skips_full,
            job_size=system.job_size,
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of a system over the users of a fresh project. `users`: those who were below the allowance."""

    users: int
    steps: tuple[Measurement, ...]

    @property
    def worker(self) -> Measurement:
        """The step that refreshed the users."""
        return self.steps[-1]

    @property
    def pace(self) -> float:
        """Users below the allowance a second, over all steps."""
        return self.users / sum(step.seconds for step in self.steps)

    @property
    def worker_pace(self) -> float:
        return self.users / self.worker.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time for each user below the allowance, over all steps."""
        return sum(step.cpu_seconds for step in self.steps) / self.users * 1e6

    @property
    def peak_mb(self) -> float:
        return max(step.peak_mb for step in self.steps)


@dataclass(frozen=True, slots=True)
class Bill:
    """Reads and writes per registered user, counted on the wire."""

    reads: float
    writes: float

    @property
    def dollars(self) -> float:
        """Per 100K registered users."""
        return self.reads * PRICE_READ + self.writes * PRICE_WRITE


@dataclass(slots=True)
class SystemResult:
    """All passes of one system in one case, and its bill if it was counted."""

    system: System
    rounds: list[Round] = field(default_factory=list)
    bill: Bill = Bill(0, 0)

    def median(self, figure: Callable[[Round], float]) -> float:
        return statistics.median(map(figure, self.rounds))

    def ratio_to(self, other: SystemResult, figure: Callable[[Round], float]) -> float:
        """The median of the ratios in each round. The machine's speed changes between rounds, so they are not mixed."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(figure(ours) / figure(theirs) for ours, theirs in pairs)


def compare(host: str, case: Case, report: Callable[[str], None]) -> Mapping[System, SystemResult]:
    """Run every system in every round, in a rotating order. If the database is near, count the bill of each system."""
    results = {system: SystemResult(system) for system in case.systems}
    with relay(host, case.round_trip_ms / 2000) if case.round_trip_ms else nullcontext(host) as address:
        for number in range(case.rounds):
            turn = number % len(case.systems)
            for system in (*case.systems[turn:], *case.systems[:turn]):
                results[system].rounds.append(run_once(host, system, case.spec_for(system), address))
            paces = ", ".join(f"{one.rounds[-1].pace:,.0f}" for one in results.values())
            report(f"round {number + 1}: {paces} users/s")
    if not case.round_trip_ms:
        for one in results.values():
            users_max = None if one.system in OURS else BILLED_USERS
            one.bill, _ = count_bill(host, one.system, case.spec_for(one.system, users_max))
    return results


def run_once(host: str, system: System, spec: ProjectSpec, address: str | None = None) -> Round:
    """Seed a project, let the system refresh it, and clear it. `address`: where the system finds the database."""
    below = BenchProject.at(host, spec).seed()
    try:
        done = Round(below, tuple(measure_step(address or host, step, spec) for step in system.steps))
    finally:
        clear(host, spec)
    if done.worker.users < below * DONE_SHARE_MIN:
        raise RuntimeError(f"{system.label}: {done.worker.users} users instead of {below}")
    return done


def count_bill(host: str, system: System, spec: ProjectSpec) -> tuple[Bill, Round]:
    """The bill of one pass, counted by a proxy on the wire. The proxy makes the times of that pass useless."""
    with billing(host) as (proxy, counted):
        done = run_once(host, system, spec, proxy)
        reads, writes = counted.reads - CONNECTING_READS * len(done.steps), counted.writes
    if system.is_bare:
        reads = 0  # its users are read beforehand
    return Bill(reads / spec.users, writes / spec.users), done


def without_node(systems: Sequence[System]) -> tuple[System, ...]:
    return tuple(system for system in systems if not any(map(is_node_step, system.steps)))
