"""The ground every system is measured on: one warmed emulator, a fresh project, the same users."""

from __future__ import annotations

import hashlib
import itertools
import random
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from shared.core.plans import PlanTable, parse_plans
from shared.services.context import Context
from shared.settings import Settings
from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.values import WritePb, put_fields
from shared.store.wire import Connection, Wire, open_client

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
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
EVENING = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
WARM_UP_WRITES = 24_000  # the emulator's JVM doubles its speed over the first 20,000
BATCH = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plot:
    """A piece of ground, as one process tells another of it: a project with so many users, and how it is settled.

    `taken_max`: of one job per user, how many the loop takes that takes them one at a time.
    """

    project: str
    users: int
    slot_seconds: int
    job_size: int = 300
    lease_seconds: int = 120
    taken_max: int = 1_000_000

    @classmethod
    def fresh(cls, users: int, slot_seconds: int, job_size: int = 300) -> Plot:
        return cls(_project(), users, slot_seconds, job_size)

    def again(self) -> Plot:
        """A fresh one like this."""
        return replace(self, project=_project())


def _project() -> str:
    return f"demo-bench-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Ground:
    """A connection to the project of a plot."""

    plot: Plot
    settings: Settings
    plans: PlanTable
    connection: Connection

    @classmethod
    def at(cls, host: str, plot: Plot) -> Ground:
        settings = Settings(
            project=plot.project,
            emulator_host=host,
            slot_seconds=plot.slot_seconds,
            job_size=plot.job_size,
            lease_seconds=plot.lease_seconds,
        )
        database = f"projects/{plot.project}/databases/(default)"
        connection = Connection(open_client(host), database, emulated=True, breaker=Breaker(5, 60))
        return cls(plot, settings, parse_plans(PLANS), connection)

    @property
    def user_ids(self) -> Sequence[str]:
        return user_ids(self.plot.users)

    def context(self, now: datetime) -> Context:
        """A call of one of our services at that moment."""
        return Context(self.settings, self.plans, self.wire(), lambda: now)

    def wire(self) -> Wire:
        return Wire(self.connection, Budget.of(3600), Cost())

    def seed(self) -> Ground:
        """Users on a plan of a day, granted yesterday, all of whom have spent: each is due, and none is full."""
        drawn = random.Random(self.plot.users)
        self.write({f"users/{user_id}": spent_user(drawn) for user_id in self.user_ids})
        return self

    def write(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        wire = self.wire()
        for chunk in chunks(list(documents.items()), BATCH):
            wire.batch_write([self._message(path, fields) for path, fields in chunk])

    def _message(self, path: str, fields: Mapping[str, Any]) -> Any:
        message = WritePb()
        message.update.name = f"{self.connection.documents}/{path}"
        put_fields(message.update.fields, fields)
        return message


def spent_user(drawn: random.Random) -> dict[str, Any]:
    """A user as yesterday's refresh and an app's day have left it."""
    credits_left = drawn.randrange(49)
    return {
        "credits": credits_left,
        "plan": "free",
        "email": f"{drawn.getrandbits(40):x}@example.com",
        "createdAt": MIDNIGHT - timedelta(days=drawn.randint(2, 900)),
        "creditRefresh": stamp("free", MIDNIGHT - timedelta(days=1), MIDNIGHT, credits_left),
    }


def stamp(plan: str, granted_on: datetime, due_on: datetime, before: int) -> dict[str, Any]:
    """What a grant of that day leaves on a user."""
    return {
        "plan": plan,
        "periods": {plan: granted_on.date().isoformat()},
        "dueOn": due_on.date().isoformat(),
        "nextAt": due_on,
        "refreshedAt": granted_on,
        "granted": 50 - before,
        "before": before,
        "jobId": f"{granted_on.date()}-00002-000-seeded",
    }


@cache
def user_ids(users: int) -> Sequence[str]:
    """28 letters and digits each, in no order, as Firebase gives them."""
    return tuple(hashlib.blake2b(str(n).encode(), digest_size=14).hexdigest() for n in range(users))


def warm_up(host: str) -> None:
    """Let the emulator's JVM reach its speed."""
    plot = Plot.fresh(0, 86_400)
    ground = Ground.at(host, plot)
    for start in range(0, WARM_UP_WRITES, BATCH):
        ground.write({f"warm/{n % 3000}": {"n": n, "text": "warm"} for n in range(start, start + BATCH)})
    clear(host, plot)


def clear(host: str, plot: Plot) -> None:
    """Remove a project's documents, so that the emulator is as empty for the next."""
    url = f"http://{host}/emulator/v1/projects/{plot.project}/databases/(default)/documents"
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60):
        pass


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
