"""The projects that systems are measured on. Each pass has a fresh one on a warmed emulator, with the same users."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from dev import emulator
from dev.database import Database
from shared.core.plans import PlanTable, parse_plans
from shared.core.ranges import WHEN_LOW
from shared.services.context import Context
from shared.settings import Settings
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.wire import Wire

PLANS = """
default_plan = "free"
[plans.free]
allowance = 50
period = "day"
policy = "top_up"
[plans.team]
allowance = 350
period = "week"
policy = "top_up"
[plans.pro]
allowance = 2000
period = "month"
policy = "reset"
"""
SKIPPING_FULL = PLANS.replace('policy = "top_up"', 'policy = "top_up"\nwhen_full = "skip"', 1)
ALLOWANCE = 50
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
EVENING = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
WARM_UP_WRITES = 12_000  # the emulator's JVM doubles its speed in the first 20,000
DAY_SECONDS = 86_400
BATCH_MAX = 500  # writes of a Commit

T = TypeVar("T")


def _project() -> str:
    return f"demo-bench-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """The description of a project on the emulator. It can be passed to another process."""

    users: int
    slot_seconds: int
    #: Share of the users whose balance is below the allowance. The others have a full balance.
    below: float = 1.0
    #: False for users without a stamp of ours.
    stamped: bool = True
    #: True for a plan that leaves users with a full balance alone.
    skips_full: bool = False
    job_size: int = 300
    lease_seconds: int = 120
    project: str = field(default_factory=_project)

    def fresh_copy(self) -> ProjectSpec:
        """The same under a new project id."""
        return replace(self, project=_project())


@dataclass(frozen=True, slots=True)
class BenchProject:
    """A project on the emulator, with a connection to it."""

    spec: ProjectSpec
    settings: Settings
    plans: PlanTable
    database: Database

    @classmethod
    def at(cls, host: str, spec: ProjectSpec) -> BenchProject:
        settings = Settings(
            project=spec.project,
            emulator_host=host,
            slot_seconds=spec.slot_seconds,
            job_size=spec.job_size,
            lease_seconds=spec.lease_seconds,
            full_scan_below=0,  # scan as a large population is scanned
        )
        plans = parse_plans(SKIPPING_FULL if spec.skips_full else PLANS)
        return cls(spec, settings, plans, Database(host, spec.project))

    def context(self, now: datetime) -> Context:
        """The context of one service call at that moment."""
        return Context(self.settings, self.plans, self.wire(), lambda: now)

    def wire(self) -> Wire:
        return Wire(self.database.connection, Budget.of(3600), Cost())

    @property
    def user_ids(self) -> Sequence[str]:
        return user_ids(self.spec.users)

    def seed(self) -> int:
        """Write users of a daily plan who were granted yesterday, so that all are due. Returns how many have spent."""
        rng, spenders = random.Random(self.spec.users), max(1, round(self.spec.users * self.spec.below))
        numbered = list(enumerate(self.user_ids))  # ids are in random order, and so are the spenders
        for some in chunks(numbered, 3000):
            users = {f"users/{one}": self._user(rng, has_spent=number < spenders) for number, one in some}
            self.database.put(users)
        return spenders

    def _user(self, rng: random.Random, *, has_spent: bool) -> dict[str, Any]:
        """A user after yesterday's refresh and a day of spending."""
        user = {
            "credits": rng.randrange(ALLOWANCE) if has_spent else ALLOWANCE,
            "plan": "free",
            "email": f"{rng.getrandbits(40):x}@example.com",
            "createdAt": MIDNIGHT - timedelta(days=rng.randint(2, 900)),
        }
        granted = self.stamp("free", MIDNIGHT - timedelta(days=1), MIDNIGHT, rng.randrange(ALLOWANCE))
        return {**user, "creditRefresh": granted} if self.spec.stamped else user

    def stamp(self, plan: str, granted_on: datetime, due_on: datetime, before: int) -> dict[str, Any]:
        """The stamp of a grant of that day."""
        return {
            "plan": plan,
            "periods": {plan: granted_on.date().isoformat()},
            "dueOn": WHEN_LOW if self.spec.skips_full else due_on.date().isoformat(),
            "nextAt": due_on,
            "refreshedAt": granted_on,
            "granted": ALLOWANCE - before,
            "before": before,
            "jobId": f"{granted_on.date()}-00002-000-seeded",
        }


@cache
def user_ids(users: int) -> Sequence[str]:
    """Ids of 28 letters and digits in random order, like those of Firebase."""
    return tuple(hashlib.blake2b(str(n).encode(), digest_size=14).hexdigest() for n in range(users))


def slot_width(users_a_slot: int, users: int) -> int:
    """The width in seconds of slots with so many users."""
    return min(DAY_SECONDS, max(1, round(DAY_SECONDS * users_a_slot / users)))


def warm_up(host: str, writes: int = WARM_UP_WRITES) -> None:
    """Bring the emulator's JVM to full speed with the calls that the systems make: BatchWrite, Commit and queries."""
    spec = ProjectSpec(0, DAY_SECONDS)
    database = Database(host, spec.project)
    for start in range(0, writes, 3000):
        documents = {f"warm/{n}": {"n": start + n, "text": "warm"} for n in range(3000)}
        database.put(documents)
        for chunk in chunks(list(documents.items()), BATCH_MAX):
            database.commit(dict(chunk))
        database.all("warm")
    clear(host, spec)


def clear(host: str, spec: ProjectSpec) -> None:
    """Remove a project's documents, so that the next one finds an empty emulator."""
    emulator.clear(host, spec.project)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
