"""A substitute for Cloud Scheduler. It calls the functions in real time. It can also play several days at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import gcd
from time import time
from typing import Any

from dev.clock import Clock
from dev.cloud_scheduler import Answer, deliver
from dev.ticks import tick_line

BUILDER, WORKER = "credit_refresh_queue", "credit_refresh_worker"
BUILDER_SECONDS = 600
LATE_SECONDS = 0.05  # call a little after a boundary, so that it is never before it
END_SECONDS_MAX = 5
STEP = timedelta(hours=1)  # days are played hour by hour
CALLS_MAX = 100  # calls of one function, until it has nothing left to do
FIGURES = ("queuedUsers", "refreshedUsers", "failedUsers", "adoptedUsers")


class ScheduleError(Exception):
    """A function did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduler job. It is called once at the start, and whenever the real time is a multiple of `every_seconds`."""

    entry_point: str
    every_seconds: int
    body: dict[str, Any] = field(default_factory=dict)


def jobs_for(worker_seconds: int, slot_seconds: int) -> list[Job]:
    """The jobs of production, but the worker is called more often, and whenever a slot begins. None for 0 seconds."""
    if worker_seconds == 0:
        return []
    return [
        Job(BUILDER, BUILDER_SECONDS, {"scan": "auto"}),
        Job(WORKER, gcd(worker_seconds, slot_seconds)),
    ]


class LocalSchedule:
    """Calls the functions on one port. `holding`: users existed before and are not adopted, so no builder is called.

    While days are played, no calls are made in real time.
    """

    def __init__(self, port: int, clock: Clock, *, holding: bool) -> None:
        self.holding = holding
        self._port = port
        self._clock = clock
        self._moving = threading.Lock()
        self._ended = threading.Event()

    @contextmanager
    def delivering(self, jobs: list[Job]) -> Iterator[None]:
        """Call the jobs in real time until the block ends. Each has its own thread, so a slow one delays no other."""
        threads = [threading.Thread(target=self._tick, args=(job,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(END_SECONDS_MAX)

    def move_to(self, moment: datetime) -> dict[str, int]:
        """Play every hour until then and move the clock with it. Returns the sums. Raises ScheduleError."""
        figures: Counter[str] = Counter()
        with self._moving:
            while (now := min(self._clock.now() + STEP, moment)) < moment:
                self._play(now, figures)
            self._play(moment, figures)
        return {name: figures[name] for name in FIGURES if name in figures}

    def adopt(self) -> dict[str, int]:
        """Adopt all users: their current period counts as granted. From then on the builder is called."""
        figures: Counter[str] = Counter()
        with self._moving:
            self._call_until_done(BUILDER, {"scan": "adopt"}, self._clock.now(), figures)
            self.holding = False
        return dict(figures)

    def _play(self, now: datetime, figures: Counter[str]) -> None:
        self._clock.move_to(now)
        if not self.holding:
            self._call_until_done(BUILDER, {"scan": "auto"}, now, figures)
        self._call_until_done(WORKER, {}, now, figures)

    def _call_until_done(self, entry_point: str, body: dict[str, Any], now: datetime, figures: Counter[str]) -> None:
        for _ in range(CALLS_MAX):
            answer = deliver(self._port, entry_point, now, {**body, "asOf": now.isoformat()})
            if answer.status != 200:
                raise ScheduleError(f"{entry_point} at {now.isoformat()} answered {_text_of(answer)}")
            figures.update({name: answer.body[name] for name in FIGURES if name in answer.body})
            if not answer.body["hasMore"]:
                return
        raise ScheduleError(f"{entry_point} at {now.isoformat()} had work left after {CALLS_MAX} calls")

    def _tick(self, job: Job) -> None:
        while not self._ended.is_set():
            if not self._moving.locked() and not (self.holding and job.entry_point == BUILDER):
                self._deliver(job)
            self._ended.wait(job.every_seconds - time() % job.every_seconds + LATE_SECONDS)

    def _deliver(self, job: Job) -> None:
        answer = deliver(self._port, job.entry_point, self._clock.now(), job.body)
        line = tick_line(job.entry_point, datetime.now().astimezone(), answer)
        if line is not None and not self._ended.is_set():
            print(line, flush=True)


def _text_of(answer: Answer) -> str:
    return f"{answer.status or 'nothing'}: {dict(answer.body)}"
