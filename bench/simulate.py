"""Calculates 1, 10 and 100 million users, which this machine can't run.

The CPU time for a user is measured on the emulator. The time of a database call is assumed, in three grades, because
nobody promises it. From these follow the time of the scan, the busiest tick of the day, and the writes a second. The
writes a second are compared with the limits of documents and indexes. A tick is the time between two calls of the
scheduler.

Sources of the limits (Firestore's documentation): "Best practices" and "Quotas and limits": 500 writes a second to a
collection with an indexed field that only grows; one sustained write a second to a document; 10 MiB a commit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.project import DAY_SECONDS, ProjectSpec, user_ids, warm_up
from bench.record import Record
from bench.report import Columns, heading, table
from bench.sign_ups import sign_ups_table
from bench.steps import BATCH
from bench.systems import PRICE_READ, PRICE_WRITE, PROJECT, run_once
from dev.emulator import emulator
from shared.core.packing import FLUSH_LIMITS
from shared.services.limits import LIMITS
from shared.store.rollups import SHARDS

CLAIM_CALLS = 7  # for a full claim: a query, the pause switch, and five writes, for 1, 2, 4, 8 and 1 jobs
TICK_SECONDS = 300  # Cloud Scheduler calls the workers every five minutes
PROCESS_SECONDS = 60  # the budget of a worker's call
SLOTS = DAY_SECONDS // TICK_SECONDS  # a slot is as wide as a tick
SNAPSHOT_BYTES = 57  # of a user on a plan of a day
INDEX_WRITES_MAX = 500  # a second, on an index that only grows
DOCUMENT_WRITES_MAX = 1  # a second, sustained
USERS = (1_000_000, 10_000_000, 100_000_000)


@dataclass(frozen=True, slots=True)
class Speed:
    """Times in seconds. Assumed: a BatchWrite of 300 users, a small call, reading 2,000 users, a Commit of 2 MB.
    Measured: the CPU time of builder and worker for a user."""

    name: str
    batch_write: float
    small: float
    read: float
    commit: float
    builder_cpu: float
    worker_cpu: float

    @classmethod
    def grades(cls, builder_cpu: float, worker_cpu: float) -> tuple[Speed, ...]:
        return (
            cls("quick", 0.10, 0.01, 0.3, 0.5, builder_cpu, worker_cpu),
            cls("middling", 0.30, 0.03, 0.8, 1.0, builder_cpu, worker_cpu),
            cls("slow", 1.00, 0.10, 2.0, 2.5, builder_cpu, worker_cpu),
        )

    @property
    def scan(self) -> float:
        """Seconds of one builder for a user. Pages are read ahead, but the scan waits for each Commit."""
        users_a_commit = FLUSH_LIMITS.commit_bytes // (len(user_ids(1)[0]) + SNAPSHOT_BYTES + 8)
        return max(self.read / 2000, self.builder_cpu) + self.commit / users_a_commit

    def job(self, users: float) -> float:
        """Seconds of a lane for a job of so many users: its share of a claim, the writes of the users, the settling."""
        claim = self.small * CLAIM_CALLS / LIMITS.claim_jobs
        return claim + users * self.worker_cpu + self.batch_write * max(0.2, users / BATCH) + self.small


@dataclass(frozen=True, slots=True)
class Day:
    """A day with so many users."""

    users: int
    speed: Speed

    @property
    def users_a_job(self) -> float:
        """Users in a job. A flush makes jobs of all users it holds, so a slot's last job may have fewer than 300."""
        a_slot = min(FLUSH_LIMITS.flush_users, self.users) / SLOTS
        return a_slot / -(-a_slot // BATCH)

    @property
    def scan_seconds(self) -> float:
        return self.users * self.speed.scan

    @property
    def jobs(self) -> float:
        """Jobs of the busiest tick: those of its slot, and those scanned in that time whose slot had passed already."""
        late = min(1.0, TICK_SECONDS / self.scan_seconds) * min(SLOTS, self.scan_seconds // TICK_SECONDS) / SLOTS
        return self.users * (1 / SLOTS + late) / self.users_a_job

    @property
    def worker_pace(self) -> float:
        """Jobs a second of one worker. Its lanes limit them, and so does its one core."""
        lanes = LIMITS.lanes / self.speed.job(self.users_a_job)
        return min(lanes, 1 / (self.users_a_job * self.speed.worker_cpu))

    @property
    def workers(self) -> int:
        return math.ceil(self.jobs / (self.worker_pace * PROCESS_SECONDS))

    @property
    def tick_seconds(self) -> float:
        return max(self.speed.job(self.users_a_job), self.jobs / (self.worker_pace * self.workers))

    @property
    def settle_rate(self) -> float:
        """Jobs settled a second. Each is a write to the indexes on `visibleAt` and `completedAt`."""
        return self.jobs / max(1.0, self.tick_seconds)

    @property
    def create_rate(self) -> float:
        """Jobs created a second while the builder scans."""
        return self.users / self.users_a_job / self.scan_seconds

    @property
    def dollars(self) -> float:
        jobs = self.users / self.users_a_job
        idle = SLOTS * (2 + self.workers)
        reads = self.users + jobs * (1 + 1 / LIMITS.claim_jobs) + idle
        writes = self.users + 4 * jobs + idle
        return (reads * PRICE_READ + writes * PRICE_WRITE) / 100_000


COLUMNS: Columns = {
    "users": lambda day: f"{day.users / 1e6:,.0f} million",
    "database": lambda day: day.speed.name,
    "scan": lambda day: f"{day.scan_seconds / 60:,.0f} min",
    "workers": lambda day: str(day.workers),
    "busiest tick": lambda day: f"{day.tick_seconds:,.1f} s",
    "users/s": lambda day: f"{day.settle_rate * day.users_a_job:,.0f}",
    "jobs settled": lambda day: f"{day.settle_rate:,.0f}/s",
    "jobs created": lambda day: f"{day.create_rate:,.0f}/s",
    "of an index's limit": lambda day: f"{max(day.settle_rate, day.create_rate) / INDEX_WRITES_MAX:.0%}",
    "a document of the roll-up": lambda day: f"{day.settle_rate / SHARDS:.1f} writes/s",
    "$/day": lambda day: f"{day.dollars:,.2f}",
}


def limits_reached(speed: Speed) -> Iterator[tuple[float, str]]:
    """Each limit, with the number of users from which on it is reached."""
    fill = Day(USERS[-1], speed).users_a_job
    jobs_a_user = 1 / SLOTS / fill / PROCESS_SECONDS  # a second, if the jobs of a tick are done within the budget
    yield 3600 / speed.scan, "one builder scans for more than an hour; users of the first slots are late"
    yield DAY_SECONDS / speed.scan, "one builder scans for more than a day"
    yield SHARDS * DOCUMENT_WRITES_MAX / jobs_a_user, f"the {SHARDS} documents of a roll-up get a write a second each"
    yield INDEX_WRITES_MAX / jobs_a_user, "the index on `completedAt` gets 500 writes a second"


def measure_cpu(users: int, rounds: int) -> tuple[float, float]:
    """Seconds of CPU time of builder and worker for a user, on this machine and a warmed emulator."""
    with emulator() as host:
        warm_up(host)
        builds, works = zip(
            *(run_once(host, PROJECT, ProjectSpec(users, 2700)).steps for _ in range(rounds)), strict=True
        )
    builder, worker = (statistics.median(one.cpu_seconds / one.users for one in steps) for steps in (builds, works))
    return builder, worker


def main(*, quick: bool = False) -> None:
    record = Record(()) if quick else Record()
    record.show("sign-ups", sign_ups_table())
    builder, worker = measure_cpu(600, 1) if quick else measure_cpu(24_000, 3)
    caption = f"Measured: builder {builder * 1e6:.0f}, worker {worker * 1e6:.0f} µs of CPU a user; {heading()}."
    grades = Speed.grades(builder, worker)
    rows = table(COLUMNS, (Day(users, speed) for users in USERS for speed in grades))
    record.show("past-this-machine", "\n\n".join([caption, rows, *map(_limits_of, grades)]))


def _limits_of(speed: Speed) -> str:
    lines = [f"- from {users / 1e6:,.0f} million users on: {what}" for users, what in sorted(limits_reached(speed))]
    return "\n".join([f"A {speed.name} database; first to give way:\n", *lines])
