"""What every system is measured on: a project of its own on a warmed emulator, with the same users."""

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
WARM_UP_WRITES = 12_000  # the emulator's JVM doubles its speed over the first 20,000
DAY_SECONDS = 86_400
BATCH_MAX = 500  # writes of a Commit

T = TypeVar("T")


def _project() -> str:
    return f"demo-bench-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Plot:
    """A project on the emulator, as one process describes it to another."""

    users: int
    slot_seconds: int
    #: Share of the users whose balance is below the allowance; the others have spent nothing.
    below: float = 1.0
    #: False for users that this project has never met.
    stamped: bool = True
    #: True for a plan that leaves users with a full balance alone.
    skips_full: bool = False
    job_size: int = 300
    lease_seconds: int = 120
    project: str = field(default_factory=_project)

    def again(self) -> Plot:
        """A fresh project like this one."""
        return replace(self, project=_project())


@dataclass(frozen=True, slots=True)
class Ground:
    """A connection to the project of a plot."""

    plot: Plot
    settings: Settings
    plans: PlanTable
    database: Database

    @classmethod
    def at(cls, host: str, plot: Plot) -> Ground:
        settings = Settings(
            project=plot.project,
            emulator_host=host,
            slot_seconds=plot.slot_seconds,
            job_size=plot.job_size,
            lease_seconds=plot.lease_seconds,
            full_scan_below=0,  # the scans of a large population, however few users there are here
        )
        plans = parse_plans(SKIPPING_FULL if plot.skips_full else PLANS)
        return cls(plot, settings, plans, Database(host, plot.project))

    def context(self, now: datetime) -> Context:
        """A call of one of this project's services at that moment."""
        return Context(self.settings, self.plans, self.wire(), lambda: now)

    def wire(self) -> Wire:
        return Wire(self.database.connection, Budget.of(3600), Cost())

    @property
    def user_ids(self) -> Sequence[str]:
        return user_ids(self.plot.users)

    def seed(self) -> int:
        """Write users on a plan of a day who were granted yesterday, so that each is due; how many have spent."""
        drawn, spenders = random.Random(self.plot.users), max(1, round(self.plot.users * self.plot.below))
        numbered = list(enumerate(self.user_ids))  # ids are in no order, so the spenders are anywhere
        for some in chunks(numbered, 3000):
            users = {f"users/{one}": self._user(drawn, has_spent=number < spenders) for number, one in some}
            self.database.put(users)
        return spenders

    def _user(self, drawn: random.Random, *, has_spent: bool) -> dict[str, Any]:
        """A user as yesterday's refresh and a day of the app have left them."""
        user = {
            "credits": drawn.randrange(ALLOWANCE) if has_spent else ALLOWANCE,
            "plan": "free",
            "email": f"{drawn.getrandbits(40):x}@example.com",
            "createdAt": MIDNIGHT - timedelta(days=drawn.randint(2, 900)),
        }
        granted = self.stamp("free", MIDNIGHT - timedelta(days=1), MIDNIGHT, drawn.randrange(ALLOWANCE))
        return {**user, "creditRefresh": granted} if self.plot.stamped else user

    def stamp(self, plan: str, granted_on: datetime, due_on: datetime, before: int) -> dict[str, Any]:
        """What a grant of that day leaves on a user."""
        return {
            "plan": plan,
            "periods": {plan: granted_on.date().isoformat()},
            "dueOn": WHEN_LOW if self.plot.skips_full else due_on.date().isoformat(),
            "nextAt": due_on,
            "refreshedAt": granted_on,
            "granted": ALLOWANCE - before,
            "before": before,
            "jobId": f"{granted_on.date()}-00002-000-seeded",
        }


@cache
def user_ids(users: int) -> Sequence[str]:
    """28 letters and digits each, in no order, as Firebase gives them."""
    return tuple(hashlib.blake2b(str(n).encode(), digest_size=14).hexdigest() for n in range(users))


def slot_width(users_a_slot: int, users: int) -> int:
    """The width in seconds that puts so many users in a slot."""
    return min(DAY_SECONDS, max(1, round(DAY_SECONDS * users_a_slot / users)))


def warm_up(host: str, writes: int = WARM_UP_WRITES) -> None:
    """Let the emulator's JVM reach its speed, in the calls that systems make: BatchWrite, Commit and queries."""
    plot = Plot(0, DAY_SECONDS)
    database = Database(host, plot.project)
    for start in range(0, writes, 3000):
        documents = {f"warm/{n}": {"n": start + n, "text": "warm"} for n in range(3000)}
        database.put(documents)
        for chunk in chunks(list(documents.items()), BATCH_MAX):
            database.commit(dict(chunk))
        database.all("warm")
    clear(host, plot)


def clear(host: str, plot: Plot) -> None:
    """Remove a project's documents, so that the emulator is as empty for the next."""
    emulator.clear(host, plot.project)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
