"""Past this machine: 1, 10 and 100 million users, simulated. Run with `make bench-simulate`.

What a user costs an instance is measured here and now, on the emulator; what the database takes for a call is assumed,
in three grades, since no one promises it. Every lane of every worker is followed through the ticks of a day, call by
call, and every write is counted, by the second, against what documents and indexes bear.

Sources of the limits (Firestore's documentation): "Best practices" and "Quotas and limits": 500 writes a second to a
collection with an indexed field that only grows; one sustained write a second to a document; 10 MiB a commit.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.ground import BATCH, Plot, user_ids, warm_up
from bench.report import heading, table, today
from bench.scale import DAY
from bench.systems import PRICE_READ, PRICE_WRITE, SYSTEMS, one_round
from dev.emulator import emulator
from shared.core.packing import FLUSH_LIMITS
from shared.services.limits import LIMITS
from shared.store.rollups import SHARDS

CLAIM_CALLS = 7  # for a handful: a look, the switch, and five writes, for 1, 2, 4, 8 and 1 jobs
TICK_SECONDS = 300  # Cloud Scheduler calls the workers every five minutes
SLOT_SECONDS = 300
PROCESS_SECONDS = 60  # a worker's budget
SLOTS = DAY // SLOT_SECONDS
SNAPSHOT_BYTES = 57  # of a user on a plan of a day
INDEX_WRITES_MAX = 500  # a second, on an index that only grows
DOCUMENT_WRITES_MAX = 1  # a second, sustained
BURST_SECONDS = 60  # what lasts so long is sustained
JITTER = 0.35  # sigma of the log-normal around each latency
USERS = (1_000_000, 10_000_000, 100_000_000)
MEASURED_USERS = 24_000


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds the database takes, assumed: for a BatchWrite of 300, a small call, to read 2,000 users, for a flush's
    commit of 2 MB."""

    name: str
    batch_write: float
    small: float
    read: float
    commit: float


GRADES = (
    Latencies("quick", 0.10, 0.01, 0.3, 0.5),
    Latencies("middling", 0.30, 0.03, 0.8, 1.0),
    Latencies("slow", 1.00, 0.10, 2.0, 2.5),
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of CPU a user takes an instance with one core, as measured."""

    builder: float
    worker: float


@dataclass(slots=True)
class Tick:
    """What the workers of one tick did: how long, and what was written in each second."""

    seconds: float = 0.0
    users: Counter[int] = field(default_factory=Counter)
    settled: Counter[int] = field(default_factory=Counter)
    claimed: Counter[int] = field(default_factory=Counter)

    def sustained(self, writes: Counter[int]) -> float:
        """Writes a second over the busiest minute, or over the tick if that is shorter."""
        width = max(1, min(BURST_SECONDS, round(self.seconds)))
        starts = range(max(1, round(self.seconds) - width + 1))
        return max(sum(writes[second] for second in range(start, start + width)) for start in starts) / width


def users_a_commit() -> int:
    """How many users one commit of the builder holds."""
    return FLUSH_LIMITS.commit_bytes // (len(user_ids(1)[0]) + SNAPSHOT_BYTES + 8)


def users_a_job(users: int) -> float:
    """A flush ends every job it has begun: its users, over the slots of the day, in jobs of up to 300."""
    a_slot = min(FLUSH_LIMITS.flush_users, users) / SLOTS
    return a_slot / -(-a_slot // BATCH)


def scan_seconds(users: int, grade: Latencies, cpu: Cpu) -> float:
    """One builder: pages are fetched ahead, so a user takes the longer of its reading and its work; commits wait."""
    return users * (max(grade.read / 2000, cpu.builder) + grade.commit / users_a_commit())


def due_by_tick(users: int, scanned_in: float) -> Sequence[float]:
    """Users that become due in each tick: of its slot those scanned by then, and those scanned late of slots past."""
    done = [min(1.0, tick * TICK_SECONDS / scanned_in) for tick in range(SLOTS + 1)]
    late = [(done[tick + 1] - done[tick]) * users * tick / SLOTS for tick in range(SLOTS)]
    on_time = [users / SLOTS * (done[tick] if tick else done[1]) for tick in range(SLOTS)]
    return [one + other for one, other in zip(on_time, late, strict=True)]


def simulate(jobs: int, fill: float, workers: int, grade: Latencies, cpu: Cpu) -> Tick:
    """Lanes take jobs one after another: claim (in handfuls), one BatchWrite, one Commit; an instance has one core."""
    drawn, tick = random.Random(jobs), Tick()
    lanes = [(0.0, worker, lane) for worker in range(workers) for lane in range(LIMITS.lanes)]
    core_free = [0.0] * workers
    for number in range(jobs):
        free_at, worker, lane = heapq.heappop(lanes)
        begun = max(free_at, core_free[worker])
        core_free[worker] = begun + fill * cpu.worker
        claim = _drawn(drawn, grade.small) * (CLAIM_CALLS if number % LIMITS.claim_jobs == 0 else 0)
        written = core_free[worker] + claim + _drawn(drawn, grade.batch_write * max(0.2, fill / BATCH))
        ended = written + _drawn(drawn, grade.small)
        tick.claimed[int(begun + claim)] += 1
        tick.users[int(written)] += round(fill)
        tick.settled[int(ended)] += 1
        tick.seconds = max(tick.seconds, ended)
        heapq.heappush(lanes, (ended, worker, lane))
    return tick


def _drawn(drawn: random.Random, seconds: float) -> float:
    return seconds * drawn.lognormvariate(0, JITTER)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A day of so many users under one grade of latencies."""

    users: int
    grade: Latencies
    scan_seconds: float
    workers: int
    tick: Tick
    fill: float

    @property
    def completed_at(self) -> float:
        """Writes a second to the index on when jobs were settled: it only grows."""
        return self.tick.sustained(self.tick.settled)

    @property
    def visible_at(self) -> float:
        """… to the index on when claimed jobs come back: it only grows too."""
        return self.tick.sustained(self.tick.claimed)

    @property
    def created(self) -> float:
        """Jobs created a second while the builder scans."""
        return self.users / self.fill / self.scan_seconds

    @property
    def rollup(self) -> float:
        """Writes a second to each document of the roll-up."""
        return self.completed_at / SHARDS

    @property
    def dollars_a_day(self) -> float:
        jobs = self.users / self.fill
        idle = DAY / TICK_SECONDS * (2 + self.workers)
        reads = self.users + jobs * (1 + 1 / LIMITS.claim_jobs) + idle
        writes = self.users + 4 * jobs + idle
        return (reads * PRICE_READ + writes * PRICE_WRITE) / 100_000

    @property
    def hottest(self) -> tuple[str, float]:
        """What is nearest to its limit, and the share of it that is used."""
        loads = {
            f"jobs.completedAt, {self.completed_at:,.0f} writes/s": self.completed_at / INDEX_WRITES_MAX,
            f"jobs.visibleAt, {self.visible_at:,.0f} writes/s": self.visible_at / INDEX_WRITES_MAX,
            f"jobs by id and run, {self.created:,.0f} writes/s": self.created / INDEX_WRITES_MAX,
        }
        name = max(loads, key=loads.__getitem__)
        return name, loads[name]


def day_of(users: int, grade: Latencies, cpu: Cpu) -> Outcome:
    """The busiest tick of the day, by as few workers as end it within their budget."""
    scanned_in, fill = scan_seconds(users, grade, cpu), users_a_job(users)
    jobs = round(max(due_by_tick(users, scanned_in)) / fill)
    workers = 1
    while (tick := simulate(jobs, fill, workers, grade, cpu)).seconds > PROCESS_SECONDS:
        workers += max(1, workers // 4)
    return Outcome(users, grade, scanned_in, workers, tick, fill)


def first_to_give_way(grade: Latencies, cpu: Cpu) -> Iterator[tuple[float, str]]:
    """From how many users on each limit is reached, in order."""
    a_user = scan_seconds(10_000_000, grade, cpu) / 10_000_000
    fill = users_a_job(10_000_000)
    writes_a_user_second = 1 / SLOTS / fill / PROCESS_SECONDS  # of its tick, worked off within the budget
    yield 3600 / a_user, "one builder scans for more than an hour; whoever's slot comes first is late"
    yield DAY / a_user, "one builder scans for more than a day"
    yield SHARDS * DOCUMENT_WRITES_MAX / writes_a_user_second, f"the {SHARDS} documents of a roll-up: a write a second"
    yield INDEX_WRITES_MAX / writes_a_user_second, "the index on `completedAt`: 500 writes a second"


def measured_cpu() -> Cpu:
    """Of builder and worker, a user: this machine's, in one round on a warmed emulator."""
    system = next(system for system in SYSTEMS if system.name == "e")
    with emulator() as host:
        warm_up(host)
        rounds = [one_round(host, system, Plot.fresh(MEASURED_USERS, 2700)) for _ in range(3)]
    builders = [step.cpu_seconds / step.users for one in rounds if (step := one.builder) is not None]
    return Cpu(statistics.median(builders), statistics.median(one.worker.cpu_seconds / one.users for one in rounds))


def main() -> None:
    print(f"{heading(today())}\n")
    cpu = measured_cpu()
    print(f"Measured: builder {cpu.builder * 1e6:.0f}, worker {cpu.worker * 1e6:.0f} µs of CPU a user.\n")
    head = (
        "users",
        "database",
        "scan",
        "workers",
        "tick",
        "users/s",
        "hottest index",
        "of its limit",
        "roll-up",
        "$/day",
    )
    print(table(head, (_row(day_of(users, grade, cpu)) for users in USERS for grade in GRADES)))
    for grade in GRADES:
        print(f"\nA {grade.name} database; first to give way:\n")
        for users, what in sorted(first_to_give_way(grade, cpu)):
            print(f"- from {users / 1e6:,.0f} million users on: {what}")


def _row(one: Outcome) -> Sequence[str]:
    name, share = one.hottest
    return (
        f"{one.users / 1e6:,.0f} million",
        one.grade.name,
        f"{one.scan_seconds / 60:,.0f} min",
        f"{one.workers}",
        f"{one.tick.seconds:,.0f} s",
        f"{one.tick.sustained(one.tick.users):,.0f}",
        name,
        f"{share:.0%}",
        f"{one.rollup:.1f} writes/s a document",
        f"{one.dollars_a_day:,.2f}",
    )


if __name__ == "__main__":
    main()
