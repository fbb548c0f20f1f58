"""The worker beside the loop that takes one job at a time, under what the emulator on this machine does to either.

It sorts the whole queue for every query, which Firestore does not; and it is no network away, which Firestore is.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bench.ground import Ground, Plot, clear
from bench.measure import Measured, measured

ROUND_TRIP_MS = 10  # of a function and a database in one region
TAKEN = 100  # jobs the loop takes of a queue; its pace does not depend on how many


@dataclass(frozen=True, slots=True)
class Pair:
    """Users a second of the worker and of the loop; `ratio`: the median of the rounds' own."""

    text: str
    worker: float
    loop: float
    ratio: float


def same_queue(host: str, plot: Plot, rounds: int) -> Pair:
    """Both before the same users, and so the loop before as many jobs."""
    return _pair("before the same queue", (host, host), (plot, plot), rounds)


def far_away(host: str, plot: Plot, rounds: int) -> Pair:
    """The database a network away; the loop's queue is short, so that its query is quick."""
    with relay(host, ROUND_TRIP_MS / 2000) as address:
        return _pair(f"{ROUND_TRIP_MS} ms away", (host, address), (plot, replace(plot, users=TAKEN)), rounds)


@contextmanager
def relay(host: str, delay_seconds: float) -> Iterator[str]:
    """The server at that address, so many seconds away in each direction."""
    command = [sys.executable, "-m", "bench.relay", host, str(delay_seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"127.0.0.1:{int(process.stdout.readline() if process.stdout else '')}"
        finally:
            process.kill()


def _pair(text: str, hosts: tuple[str, str], plots: tuple[Plot, Plot], rounds: int) -> Pair:
    """`hosts`: the database, and the address it is worked at; `plots`: the worker's and the loop's."""
    runs = [
        (
            _queued_and_worked(hosts, "build_jobs", "work_on_jobs", plots[0].again()),
            _queued_and_worked(hosts, "enqueue_each", "one_at_a_time", replace(plots[1].again(), taken_max=TAKEN)),
        )
        for _ in range(rounds)
    ]
    return Pair(
        text,
        statistics.median(worker.pace for worker, _ in runs),
        statistics.median(loop.pace for _, loop in runs),
        statistics.median(worker.pace / loop.pace for worker, loop in runs),
    )


def _queued_and_worked(hosts: tuple[str, str], queued: str, worked: str, plot: Plot) -> Measured:
    host, seen_from = hosts
    Ground.at(host, plot).seed()
    try:
        measured(host, queued, plot)
        return measured(seen_from, worked, plot)
    finally:
        clear(host, plot)
