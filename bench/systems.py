"""The systems side by side: what each is made of, one round of each, and its bill."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.ground import Ground, Plot, clear
from bench.measure import CONNECTING_READS, Measured, measured
from dev.billing import billing

PRICE_READ, PRICE_WRITE = 0.03, 0.09  # dollars per 100K, as the default settings have them
DONE_SHARE_MIN = 0.999  # where the emulator stumbles, a few users are left to a retry job, whose time has not come


@dataclass(frozen=True, slots=True)
class System:
    """One way of refreshing everybody. `builder`: the step that makes the queue, if there is one.

    `share`: of the users the others get; the slow ones are measured on fewer, at the same pace.
    """

    name: str
    label: str
    worker: str
    builder: str | None = None
    share: float = 1.0
    job_size: int = 300


SYSTEMS = (
    System("a", "(a) naive: read all users, write each", "read_all_write_each", share=0.05),
    System("b", "(b) one job per user, claimed one at a time", "one_at_a_time", "enqueue_each", share=0.02),
    System("c", "(c) one job per user, claimed in batches", "transaction_per_job", "enqueue_each", share=0.02),
    System("d", "(d) this project, `JOB_SIZE=1`", "work_on_jobs", "build_jobs", share=0.1, job_size=1),
    System("e", "(e) this project", "work_on_jobs", "build_jobs"),
    System("f", "(f) bare `BatchWrite`, one call after another", "bare_batch_writes"),
    System("g", "(f) bare `BatchWrite`, four calls at a time", "bare_in_lanes"),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of a system over the users of a fresh plot."""

    worker: Measured
    builder: Measured | None

    @property
    def steps(self) -> Sequence[Measured]:
        return [step for step in (self.builder, self.worker) if step is not None]

    @property
    def users(self) -> int:
        return self.worker.users

    @property
    def worker_pace(self) -> float:
        return self.worker.pace

    @property
    def whole_pace(self) -> float:
        """Users a second, with the time it takes to make the queue."""
        return self.users / sum(step.seconds for step in self.steps)

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time a user, builder and worker together."""
        return sum(step.cpu_seconds for step in self.steps) / self.users * 1e6

    @property
    def worker_cpu_us(self) -> float:
        return self.worker.cpu_seconds / self.users * 1e6

    @property
    def peak_mb(self) -> float:
        return max(step.peak_mb for step in self.steps)


@dataclass(frozen=True, slots=True)
class Billed:
    """What a user costs, counted on the wire."""

    reads: float
    writes: float

    @property
    def dollars(self) -> float:
        """Per 100K users."""
        return self.reads * PRICE_READ + self.writes * PRICE_WRITE

    def plus(self, reads: float, writes: float) -> Billed:
        return replace(self, reads=self.reads + reads, writes=self.writes + writes)


@dataclass(slots=True)
class Rounds:
    """All passes of one system, and its bill."""

    system: System
    rounds: list[Round] = field(default_factory=list)
    billed: Billed = Billed(0, 0)

    def median(self, figure: Callable[[Round], float]) -> float:
        return statistics.median(map(figure, self.rounds))

    def ratio_to(self, other: Rounds, figure: Callable[[Round], float]) -> float:
        """The median of the ratios round by round: what one round sees of the machine's moods, both saw."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(figure(ours) / figure(theirs) for ours, theirs in pairs)


def plot_for(system: System, users: int, slot_seconds: int) -> Plot:
    return Plot.fresh(max(20, round(users * system.share)), slot_seconds, system.job_size)


def one_round(host: str, system: System, plot: Plot, seen_from: str | None = None) -> Round:
    """Seed a plot, let the system at it, and clear it. `seen_from`: the address the system is given."""
    Ground.at(host, plot).seed()
    address = seen_from or host
    try:
        builder = None if system.builder is None else measured(address, system.builder, plot)
        done = Round(measured(address, system.worker, plot), builder)
    finally:
        clear(host, plot)
    for step in done.steps:
        if step.users < plot.users * DONE_SHARE_MIN:
            raise RuntimeError(f"{system.label}: {step.users} users instead of {plot.users}")
    return done


def bill(host: str, system: System, plot: Plot) -> tuple[Billed, Round]:
    """What a round costs, counted by a proxy on the wire. Its times are the proxy's, and good for nothing."""
    with billing(host) as (proxy, counted):
        done = one_round(host, system, plot, proxy)
        reads, writes = counted.reads - CONNECTING_READS * len(done.steps), counted.writes
    if system.worker.startswith("bare"):
        reads = 0  # of the preparation: what it writes on is given to it
    return Billed(reads / plot.users, writes / plot.users), done


def all_rounds(
    host: str, users: int, slot_seconds: int, rounds: int, tell: Callable[[str], None]
) -> Mapping[str, Rounds]:
    """Every system in every round, in an order that rotates; then the bill of each."""
    seen = {system.name: Rounds(system) for system in SYSTEMS}
    for number in range(rounds):
        turn = number % len(SYSTEMS)
        for system in (*SYSTEMS[turn:], *SYSTEMS[:turn]):
            seen[system.name].rounds.append(one_round(host, system, plot_for(system, users, slot_seconds)))
        paces = ", ".join(f"{one.rounds[-1].worker_pace:,.0f}" for one in seen.values())
        tell(f"round {number + 1}: {paces} users/s")
    for one in seen.values():
        one.billed, _ = bill(host, one.system, plot_for(one.system, users, slot_seconds))
    return seen
