"""`make bench`: everything that depends on the machine, measured in one run: the systems side by side on one warmed
emulator, and what else is compared likewise.

Prints Markdown: what README shows is what this printed. `QUICK=1` is for trying it out; its figures mean nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import report
from bench.distance import Pair, far_away, same_queue
from bench.figure import draw
from bench.ground import Plot, warm_up
from bench.imports import import_times
from bench.scale import Crew, ScanPace, Size, crew, day_of, scan_pace
from bench.systems import all_rounds
from dev.emulator import emulator


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int = 5
    users: int = 24_000
    crew_users: int = 48_000
    crew_rounds: int = 3  # the share of lost claims differs by half between rounds
    scan_rounds: int = 1
    pair_rounds: int = 3
    sizes: tuple[tuple[int, int], ...] = ((12_000, 30), (12_000, 100), (12_000, 300), (24_000, 750))
    scans: tuple[int, ...] = (12_000, 48_000)
    users_a_slot: int = 750


QUICK = Extent(
    rounds=1,
    users=3_000,
    crew_users=6_000,
    crew_rounds=1,
    pair_rounds=1,
    sizes=((1_200, 30), (2_400, 300)),
    scans=(3_000,),
)


def main(extent: Extent) -> None:
    began, clock = report.today(), time.monotonic()
    told = report.heading(began)
    print(f"{told}\n", flush=True)
    slot_seconds = report.slot_width(extent.users_a_slot, extent.users)
    with _warm_emulator() as host:
        seen = all_rounds(host, extent.users, slot_seconds, extent.rounds, _tell)
    _print(f"Medians of {extent.rounds} rounds, {extent.users:,} users in slots of {slot_seconds:,} s; {told}.")
    _print(report.systems_table(seen))
    with _warm_emulator() as host:
        scans = [_scan(host, users, extent) for users in extent.scans]
    _print(report.scans_table(scans))
    crews = [_crew(workers, extent) for workers in (1, 2, 4)]
    _print(report.crews_table(crews))
    pairs = [_pair(kind, Plot.fresh(extent.users, slot_seconds), extent) for kind in (same_queue, far_away)]
    _print(report.pairs_table(seen, pairs))
    with _warm_emulator() as host:
        sizes = [_size(host, users, a_slot) for users, a_slot in extent.sizes]
    _print(report.sizes_table(sizes))
    imports = import_times(extent.rounds)
    _print(report.aims_table(report.aims(report.Everything(seen, sizes, crews, scans, imports, pairs))))
    if extent is not QUICK:
        for path in draw(seen, told):
            _print(f"drawn: docs/{path.name}")
    _tell(f"{time.monotonic() - clock:.0f} s in all")


@contextmanager
def _warm_emulator() -> Iterator[str]:
    """One for what is compared with each other; after a dozen projects of 48,000 users it has been seen to hang."""
    with emulator() as host:
        warm_up(host)
        yield host


def _pair(kind: Callable[[str, Plot, int], Pair], plot: Plot, extent: Extent) -> Pair:
    with _warm_emulator() as host:
        one = kind(host, plot, extent.pair_rounds)
    _tell(f"{one.text}: {one.worker:,.0f} and {one.loop:,.1f} users/s")
    return one


def _scan(host: str, users: int, extent: Extent) -> ScanPace:
    one = scan_pace(host, users, report.slot_width(extent.users_a_slot, users), extent.scan_rounds)
    _tell(f"scan of {users:,}: {one.builder:,.0f} users/s")
    return one


def _crew(workers: int, extent: Extent) -> Crew:
    slot_seconds = report.slot_width(extent.users_a_slot, extent.crew_users)
    with _warm_emulator() as host:
        one = crew(host, workers, extent.crew_users, slot_seconds, extent.crew_rounds)
    _tell(f"{workers} workers: {one.pace:,.0f} users/s, {one.lost_share:.1%} of claims lost")
    return one


def _size(host: str, users: int, users_a_slot: int) -> Size:
    size = day_of(host, users, report.slot_width(users_a_slot, users))
    _tell(f"{users:,} users: {size.billed.reads:.4f} reads, {size.billed.writes:.4f} writes")
    return size


def _print(text: str) -> None:
    print(f"{text}\n", flush=True)


def _tell(text: str) -> None:
    print(text, flush=True)


main(QUICK if os.environ.get("QUICK") else Extent())
