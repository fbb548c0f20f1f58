"""Where the time of builder and worker goes: for each kind of call, how many there are and how long they take.

A worker has several calls under way at once, so its calls take more seconds together than the worker takes.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from bench import report
from bench.project import BenchProject, ProjectSpec, clear, slot_width, warm_up
from bench.record import Record
from bench.scale import USERS_A_SLOT
from bench.steps import STEPS
from dev.emulator import emulator
from shared.store.wire import Wire

USERS, QUICK_USERS = 12_000, 300
BELOW = 0.2
ALL_SPENT, FIFTH_SPENT = "everybody has spent", 'a fifth has spent, `when_full = "skip"`'


@dataclass(slots=True)
class Spent:
    """One step of one case: seconds and CPU seconds of the whole, and calls and their seconds by kind."""

    case: str
    step: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    call_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def by_call(self) -> str:
        return ", ".join(f"{number} {rpc} {self.call_seconds[rpc]:.2f} s" for rpc, number in sorted(self.calls.items()))


PROFILE: report.Columns = {
    "": lambda one: one.case,
    "step": lambda one: one.step,
    "seconds": lambda one: f"{one.seconds:.2f}",
    "of these our CPU": lambda one: f"{one.cpu_seconds:.2f}",
    "calls, and their seconds together": lambda one: one.by_call,
}


def main(*, quick: bool = False) -> None:
    """Print the table, and put it into docs/benchmarks.md."""
    users = QUICK_USERS if quick else USERS
    with emulator() as host:
        warm_up(host)
        rows = [
            *measure(host, ALL_SPENT, ProjectSpec(users, slot_width(USERS_A_SLOT, users))),
            *measure(host, FIFTH_SPENT, ProjectSpec(users, slot_width(USERS_A_SLOT, users), BELOW, skips_full=True)),
        ]
    record = Record(()) if quick else Record()
    record.show("profile", f"{users:,} users; {report.heading()}:\n\n{report.table(PROFILE, rows)}")


def measure(host: str, case: str, spec: ProjectSpec) -> Iterator[Spent]:
    """One day of a fresh project, step by step, in this process."""
    project = BenchProject.at(host, spec)
    project.seed()
    try:
        for step, name in (("builder", "build_jobs"), ("worker", "work_on_jobs")):
            run, spent = STEPS[name](project), Spent(case, step)
            with _watching(spent):
                began, cpu = time.monotonic(), time.process_time()
                run()
                spent.seconds, spent.cpu_seconds = time.monotonic() - began, time.process_time() - cpu
            yield spent
    finally:
        clear(host, spec)


@contextmanager
def _watching(spent: Spent) -> Iterator[None]:
    """Note each call to the database and how long it takes."""
    call = Wire._try_once  # noqa: SLF001 (looks on, changes nothing)

    def watched(wire: Wire, rpc: str, *args: Any) -> Any:
        began = time.monotonic()
        try:
            return call(wire, rpc, *args)
        finally:
            spent.calls[rpc] += 1
            spent.call_seconds[rpc] += time.monotonic() - began

    with patch.object(Wire, "_try_once", watched):
        yield
