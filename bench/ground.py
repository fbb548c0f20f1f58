"""The ground every system is measured on: one warmed emulator, a fresh project, the same users."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
"""
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
EVENING = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
WARM_UP_WRITES = 24_000  # the emulator's JVM doubles its speed over the first 20,000
BATCH = 300


@dataclass(frozen=True, slots=True)
class Ground:
    """A project of its own with `users` due users in it."""

    settings: Settings
    plans: PlanTable
    connection: Connection
    user_ids: tuple[str, ...]

    @classmethod
    def prepare(cls, host: str, users: int, slot_seconds: int, **settings: Any) -> Ground:
        chosen = Settings(
            project=f"demo-bench-{uuid.uuid4().hex[:8]}", emulator_host=host, slot_seconds=slot_seconds, **settings
        )
        database = f"projects/{chosen.project}/databases/(default)"
        connection = Connection(open_client(host), database, emulated=True, breaker=Breaker(5, 60))
        ground = cls(chosen, parse_plans(PLANS), connection, tuple(f"user{n:07d}" for n in range(users)))
        drawn = random.Random(users)
        ground.write(
            {f"users/{user_id}": {"credits": drawn.randrange(49), "plan": "free"} for user_id in ground.user_ids}
        )
        return ground

    def context(self, now: datetime) -> Context:
        """A call of one of our services at that moment."""
        return Context(self.settings, self.plans, self.wire(), lambda: now)

    def wire(self) -> Wire:
        return Wire(self.connection, Budget.of(3600), Cost())

    def write(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        wire, items = self.wire(), iter(documents.items())
        while chunk := list(itertools.islice(items, BATCH)):
            wire.batch_write([self._message(path, fields) for path, fields in chunk])

    def _message(self, path: str, fields: Mapping[str, Any]) -> Any:
        message = WritePb()
        message.update.name = f"{self.connection.documents}/{path}"
        put_fields(message.update.fields, fields)
        return message


def warm_up(host: str) -> None:
    """Let the emulator's JVM reach its speed."""
    ground = Ground.prepare(host, 1, 86_400)
    for start in range(0, WARM_UP_WRITES, BATCH):
        ground.write({f"warm/{n % 3000}": {"n": n, "text": "warm"} for n in range(start, start + BATCH)})


def chunks(items: tuple[Any, ...], size: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
