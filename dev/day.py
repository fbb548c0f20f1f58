"""Plays one simulated day: calls like Cloud Scheduler's, some made twice, two workers at once, one of them killed.

A tick is five minutes of the day. Each call gets the simulated time as `asOf`, so one tick follows the other without
waiting. The calls of a tick and the spending of the app run side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from dev.cloud_scheduler import Answer, deliver
from dev.database import Database
from dev.function_server import FunctionServer
from dev.newcomers import Newcomers, midnight
from dev.spending import Spender
from shared.store.values import get

BUILDER, WORKER, TRIGGER = "credit_refresh_queue", "credit_refresh_worker", "credit_refresh_user_created"
BODIES: dict[str, dict[str, Any]] = {BUILDER: {"scan": "auto"}, WORKER: {}}

TICK_MINUTES = 5
BUILDER_MINUTES = 10
BUILDER_TWICE_MINUTES = 360
DAY_MINUTES = 1440
TAIL_MINUTES = 20  # after midnight the worker still works on retry jobs of the last slot
DELIVERIES_MAX = 4  # Cloud Scheduler tries again after an answer of 5xx
CRASH_SECONDS_MAX = 10
CRASH_JOBS_MAX = 20  # jobs that are observed to see when the worker holds one
JOBS = "credit_refresh_jobs"


class DeliveryError(Exception):
    """A function refused a call or failed each time, so the demo can't go on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls of one tick. Each is an entry point and the number of its server."""

    calls: tuple[tuple[str, int], ...]
    crash: bool = False


def plan_tick(minute: int, slot_minutes: int) -> Plan:
    """The calls at that minute: the worker every five minutes, the builder every ten. Some calls are made twice to one
    server, and some at once to both workers. At noon a worker is killed."""
    if minute == crash_minute(slot_minutes):
        return Plan(((WORKER, 1),), crash=True)
    calls = [(WORKER, minute // TICK_MINUTES % 2)]
    number, step = divmod(minute, slot_minutes)
    if step == 0:  # when a slot begins, both workers are called, or one of them twice
        calls.append((WORKER, (number + calls[0][1]) % 2))
    elif minute % 60 == 20:
        calls.append((WORKER, 1 - calls[0][1]))
    if minute % BUILDER_MINUTES == 0 and minute < DAY_MINUTES:
        calls += [(BUILDER, 0)] * (2 if minute % BUILDER_TWICE_MINUTES == 0 else 1)
    return Plan(tuple(calls))


def crash_minute(slot_minutes: int) -> int | None:
    """The minute of the first slot from noon on; None if the whole day is one slot."""
    noon = DAY_MINUTES // 2
    minute = -(-noon // slot_minutes) * slot_minutes
    return minute if minute < DAY_MINUTES else None


@dataclass(slots=True)
class Ledger:
    """Sums of the functions' answers."""

    calls: int = 0
    idle_calls: int = 0
    duplicates: int = 0
    races: int = 0
    retried: int = 0
    reads: int = 0
    writes: int = 0
    idle_reads: int = 0
    scanned: int = 0
    queued: int = 0
    skipped: int = 0
    jobs_created: int = 0
    refreshed: int = 0
    conflicts: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    errors_total: int = 0

    def add(self, entry_point: str, answer: Answer) -> None:
        body = answer.body
        idle = not (body["scannedUsers"] if entry_point == BUILDER else body["jobsClaimed"])
        self.calls += 1
        self.idle_calls += idle
        self.idle_reads += body["reads"] if idle else 0
        self.reads += body["reads"]
        self.writes += body["writes"]
        self.scanned += body.get("scannedUsers", 0)
        self.queued += body.get("queuedUsers", 0)
        self.jobs_created += body.get("jobsCreated", 0)
        self.refreshed += body.get("refreshedUsers", 0)
        self.skipped += body["skippedUsers"]
        self.conflicts += body.get("conflicts", 0)
        self.errors += body["errors"]
        self.errors_total += body["errorsTotal"]


@dataclass(frozen=True, slots=True)
class Day:
    """Plays the day on running functions. `servers`: those of each entry point."""

    day: date
    slot_minutes: int
    servers: Mapping[str, Sequence[FunctionServer]]
    database: Database
    spender: Spender
    newcomers: Newcomers
    executor: Executor
    #: 0 for the first day that is played.
    number: int = 0
    ledger: Ledger = field(default_factory=Ledger)

    def play(self, report: Callable[[int, Ledger], None]) -> None:
        """Play from midnight to midnight and a little longer. `report` is called after each tick."""
        for minute in range(0, DAY_MINUTES + TAIL_MINUTES, TICK_MINUTES):
            self._tick(minute)
            report(minute, self.ledger)

    def at(self, minute: int) -> datetime:
        return midnight(self.day) + timedelta(minutes=minute)

    @property
    def run_id(self) -> str:
        return self.day.isoformat()

    @property
    def killed_at(self) -> datetime | None:
        minute = crash_minute(self.slot_minutes)
        return None if minute is None else self.at(minute)

    def _tick(self, minute: int) -> None:
        plan = plan_tick(minute, self.slot_minutes)
        self.newcomers.act_until(minute * 60)
        spending = self.executor.submit(self.spender.spend_until, minute * 60)
        if plan.crash:
            self._crash(*plan.calls[0], minute)
        else:
            calls = [(entry_point, self._submit(entry_point, server, minute)) for entry_point, server in plan.calls]
            for entry_point, call in calls:
                self._count(entry_point, call.result(), minute)
        spending.result()
        self.ledger.races += len({call for call in plan.calls if call[0] == WORKER}) > 1
        self.ledger.duplicates += len(plan.calls) - len(set(plan.calls))

    def _submit(self, entry_point: str, server: int, minute: int) -> Future[Answer]:
        return self.executor.submit(self._deliver, self.servers[entry_point][server].port, entry_point, minute)

    def _deliver(self, port: int, entry_point: str, minute: int) -> Answer:
        at = self.at(minute)
        return deliver(port, entry_point, at, {**BODIES[entry_point], "asOf": at.isoformat()})

    def _count(self, entry_point: str, answer: Answer, minute: int) -> None:
        """Add an answer to the sums. After a failure call again, as Cloud Scheduler does."""
        for _ in range(DELIVERIES_MAX - 1):
            if answer.status == 200 or 400 <= answer.status < 500:
                break
            self.ledger.retried += 1
            time.sleep(1)
            answer = self._deliver(self.servers[entry_point][0].port, entry_point, minute)
        if answer.status != 200:
            body = answer.body or "no answer"
            raise DeliveryError(f"{entry_point} at {self.at(minute):%H:%M} answered {answer.status}: {body}")
        self.ledger.add(entry_point, answer)

    def _crash(self, entry_point: str, server: int, minute: int) -> None:
        """Call one worker, kill it as soon as it holds a job, and start another in its place."""
        jobs = self.database.find(JOBS, "scheduledFor", self.at(minute), CRASH_JOBS_MAX)
        call = self._submit(entry_point, server, minute)
        deadline = time.monotonic() + CRASH_SECONDS_MAX
        while jobs and not call.done() and time.monotonic() < deadline:
            states = self.database.read(JOBS, jobs, ["status"]).values()
            if any(get(state.fields["status"]) == "processing" for state in states):
                break
        victim = self.servers[entry_point][server]
        victim.kill()
        call.result()
        victim.start()
        victim.wait()
