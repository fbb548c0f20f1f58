"""A new project on the emulator for each test. The services run in it at any simulated time."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from unittest.mock import patch

from dev.database import Database
from shared.core.figures import Rollup
from shared.core.plans import PlanTable, parse_plans
from shared.core.runs import ScanRequest
from shared.services.build import build, preview
from shared.services.context import Context
from shared.services.limits import LIMITS, Limits
from shared.services.refresh import refresh_named, refresh_page
from shared.services.reports import BuildReport, PageReport, WorkReport
from shared.services.work import work
from shared.settings import Settings
from shared.store import wire
from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.wire import Connection, Wire, open_client
from tests.support.faults import FaultPlan, Faults
from tests.support.plans import PLANS

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)  # a Sunday
NOON = MIDNIGHT + timedelta(hours=12)
EVENING = MIDNIGHT + timedelta(hours=23, minutes=59)
DAY = timedelta(days=1)


class World:
    """One project. It writes users, runs builder and worker at given times, and reads documents."""

    limits_default: ClassVar[Limits] = LIMITS

    def __init__(
        self, host: str | None = None, plans: str = PLANS, limits: Limits | None = None, **settings: Any
    ) -> None:
        self.settings = Settings(
            project=f"demo-{uuid.uuid4().hex[:12]}",
            emulator_host=host or os.environ["FIRESTORE_EMULATOR_HOST"],
            **{"slot_seconds": 21_600, "full_scan_below": 0, **settings},
        )
        self.plans: PlanTable = parse_plans(plans)
        self.connection = self.connect(self.settings.emulator_host)
        self.database = Database(os.environ["FIRESTORE_EMULATOR_HOST"], str(self.settings.project))
        self.draw = random.Random(7).random
        self.limits = limits or self.limits_default

    def connect(self, host: str | None, faults: Faults | None = None) -> Connection:
        database = f"projects/{self.settings.project}/databases/(default)"
        breaker = Breaker(self.settings.breaker_failures, self.settings.breaker_reset_seconds)
        client = open_client(host) if faults is None else faults.client(str(host))
        return Connection(client, database, emulated=True, breaker=breaker)

    @property
    def admin(self) -> Wire:
        """A wire of the test itself: without faults, and not counted in the cost of an answer."""
        return self.database.wire

    @contextmanager
    def faulty(self, plan: FaultPlan) -> Iterator[Faults]:
        """In the block, service calls use a wire with these faults, and don't wait between tries."""
        faults, sound = Faults(plan), self.connection
        self.connection = self.connect(self.settings.emulator_host, faults)
        with patch.object(wire, "WAIT_SECONDS_MAX", 0.01):
            try:
                yield faults
            finally:
                self.connection = sound

    def context(self, now: datetime, seconds: float = 60, stopping: threading.Event | None = None) -> Context:
        wire = Wire(self.connection, Budget.of(seconds), Cost())
        return Context(
            self.settings, self.plans, wire, lambda: now, stopping or threading.Event(), self.draw, self.limits
        )

    # The services

    def build(self, now: datetime = MIDNIGHT, scan: str = "all", seconds: float = 60) -> BuildReport:
        return build(self.context(now, seconds), ScanRequest(scan), seconds)

    def build_a_page(self, now: datetime = MIDNIGHT, scan: str = "all") -> BuildReport:
        """Run a builder that has to stop as soon as it begins. It scans one page."""
        stopping = threading.Event()
        stopping.set()
        return build(self.context(now, stopping=stopping), ScanRequest(scan), 60)

    def preview(self, now: datetime = MIDNIGHT, scan: str = "all") -> BuildReport:
        return preview(self.context(now), ScanRequest(scan), 60)

    def work(self, now: datetime = EVENING, jobs_max: int = 1000, seconds: float = 60) -> WorkReport:
        return work(self.context(now, seconds), jobs_max, seconds)

    def day(self, midnight: datetime = MIDNIGHT) -> WorkReport:
        """Run builder and worker for one whole day."""
        self.build(midnight)
        return self.work(midnight + timedelta(hours=23, minutes=59))

    def refresh(self, *user_ids: str, now: datetime = NOON) -> PageReport:
        return refresh_named(self.context(now), user_ids)

    def page(self, after: str | None = None, size: int = 300, now: datetime = NOON) -> PageReport:
        return refresh_page(self.context(now), after, size)

    # The documents

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        self.put_all({path: fields})

    def put_all(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.database.put(documents)

    def users(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.put_all({f"users/{user_id}": fields for user_id, fields in documents.items()})

    def update(self, path: str, **fields: Any) -> None:
        """Change some fields of a document. The others stay."""
        self.database.merge({path: fields})

    def delete(self, path: str) -> None:
        self.database.delete(path)

    def get(self, path: str) -> dict[str, Any] | None:
        return self.database.get(path)

    def user(self, user_id: str) -> dict[str, Any]:
        found = self.get(f"users/{user_id}")
        assert found is not None, user_id
        return found

    def all(self, collection: str, under: str = "") -> dict[str, dict[str, Any]]:
        """Every document of a collection, by id."""
        return self.database.all(collection, under)

    def jobs(self) -> dict[str, dict[str, Any]]:
        return self.all("credit_refresh_jobs")

    def run(self, run_id: str = "2026-11-22") -> dict[str, Any]:
        found = self.get(f"credit_refresh_runs/{run_id}")
        assert found is not None, run_id
        return found

    def rollup(self, run_id: str = "2026-11-22") -> dict[str, int]:
        """The sums of a run's roll-up over all shards."""
        return dict(Rollup.of(list(self.all("rollups", f"credit_refresh_runs/{run_id}").values())).figures)

    def pause(self, *, paused: bool = True) -> None:
        self.put("credit_refresh_control/state", {"paused": paused})

    def receipts(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """The receipts of all settled jobs of the queue, each with the job's id."""
        for job_id, job in self.jobs().items():
            for receipt in () if "kind" in job else job.get("receipts", ()):
                yield job_id, receipt


def population(number: int, plan: str = "adder", credits_each: int = 5) -> dict[str, dict[str, Any]]:
    """Plain users who are due today. On the plan `adder` each missing or doubled grant changes the balance."""
    return {f"user{n:05d}": {"credits": credits_each, "plan": plan} for n in range(number)}
