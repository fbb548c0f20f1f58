"""What was measured, as Markdown: tables, and a line for each aim with its verdict."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.imports import Imports
from bench.scale import Crew, ScanPace, Size
from bench.systems import BARE, ONE_AT_A_TIME, OURS, PEERS, PROJECT, SKIPPING, Round, Seen, System

CPUINFO = Path("/proc/cpuinfo")

#: By the heading of a column, what it says of a row.
Columns = Mapping[str, Callable[[Any], str]]
Table = Mapping[System, Seen]

SYSTEMS: Columns = {
    "": lambda one: one.system.label,
    "users/s": lambda one: f"{one.median(_pace):,.0f}",
    "users/s, worker alone": lambda one: f"{one.median(_worker):,.0f}",
    "CPU µs a user": lambda one: f"{one.median(_cpu):,.0f}",
    "peak MB": lambda one: f"{one.median(lambda done: done.peak_mb):,.0f}",
    "reads a user": lambda one: f"{one.bill.reads:.3f}",
    "writes a user": lambda one: f"{one.bill.writes:.3f}",
    "$ per 100K": lambda one: f"{one.bill.dollars:.3f}",
}
SIZES: Columns = {
    "users": lambda one: f"{one.plot.users:,}",
    "slot": lambda one: f"{one.plot.slot_seconds:,} s",
    "users a slot": lambda one: f"{one.users_a_slot:,.0f}",
    "users a job": lambda one: f"{one.users_a_job:,.0f}",
    "reads a user": lambda one: f"{one.bill.reads:.4f}",
    "writes a user": lambda one: f"{one.bill.writes:.4f}",
    "$ per 100K": lambda one: f"{one.bill.dollars:.4f}",
    "builder MB": lambda one: f"{one.builder_peak_mb:,.1f}",
}
CREWS: Columns = {
    "processes": lambda one: str(one.workers),
    "workers, users/s": lambda one: f"{one.pace:,.0f}",
    "bare writes, users/s": lambda one: f"{one.bare_pace:,.0f}",
    "workers : bare": lambda one: f"{one.pace / one.bare_pace:.0%}",
    "claims lost to races": lambda one: f"{one.lost} of {one.tried} ({one.lost_share:.1%})",
}
SCANS: Columns = {
    "users": lambda one: f"{one.users:,}",
    "builder, users/s": lambda one: f"{one.builder:,.0f}",
    "its pages alone, users/s": lambda one: f"{one.pages:,.0f}",
    "builder, CPU µs a user": lambda one: f"{one.cpu_us:,.0f}",
    "in an hour": lambda one: f"{one.users_an_hour / 1e6:,.0f} million",
}
STAGGER: Columns = {
    "": lambda one: one.label,
    "came before the refill": lambda one: f"{one.early_share:.1%}",
    "waited then, hours": lambda one: f"{one.waited_hours:.1f}",
    "by date (UTC)": lambda one: f"{one.early_by_date / one.dates:.1%}",
    "read again": lambda one: f"{one.read_again / one.slots:.1%}",
    "busiest hour : even": lambda one: f"{one.busiest:.1f}",
}


@dataclass(frozen=True, slots=True)
class Aim:
    """What was to be reached, and what was. `at_most`: a smaller value is better."""

    text: str
    value: float
    bound: float
    style: str = "{:.2f}"
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.value <= self.bound if self.at_most else self.value >= self.bound:
            return "met"
        missed = self.value / self.bound - 1 if self.at_most else 1 - self.value / self.bound
        return f"**missed by {missed:.0%}**"


AIMS: Columns = {
    "aim": lambda aim: aim.text,
    "bound": lambda aim: f"{'≤' if aim.at_most else '≥'} {aim.style.format(aim.bound)}",
    "measured": lambda aim: aim.style.format(aim.value),
    "verdict": lambda aim: aim.verdict,
}


def table(columns: Columns, rows: Iterable[Any]) -> str:
    """A Markdown table; all but the first column to the right."""
    rule = "|".join(["---", *["---:"] * (len(columns) - 1)])
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return "\n".join([_line(columns), f"|{rule}|", *map(_line, cells)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def peers_table(near: Table, far: Table) -> str:
    """What people write by hand beside this project, with the database near and far."""

    def far_pace(one: Seen) -> str:
        return f"{far[one.system].median(_pace):,.0f}" if one.system in far else ""

    columns = {name: SYSTEMS[name] for name in ("", "users/s")}
    columns["users/s, 10 ms away"] = far_pace
    columns |= {name: SYSTEMS[name] for name in ("CPU µs a user", "reads a user", "writes a user", "$ per 100K")}
    return table(columns, [one for system, one in near.items() if system in (*PEERS, ONE_AT_A_TIME, *OURS)])


def peer_aims(near: Table, far: Table, told: str, system: System = PROJECT) -> Iterator[Aim]:
    """This project against the fastest of those written by hand: near, and 10 ms away; and by CPU time."""
    for where, seen, bound in (("", near, 1.3), (", 10 ms away", far, 3.0)):
        ours, best = seen[system], max(_peers(seen), key=lambda one: one.median(_pace))
        text = f"{told}{where}: builder and worker : the fastest by hand ({best.system.label})"
        yield Aim(text, ours.ratio_to(best, _pace), bound, "{:.2f} times")
    best = max(_peers(near), key=lambda one: one.median(_pace))
    text = f"{told}: CPU time a user : that of the fastest by hand"
    yield Aim(text, near[system].ratio_to(best, _cpu), 0.2, "{:.2f}", at_most=True)


def skip_aims(near: Table) -> Iterator[Aim]:
    """What a registered user costs where full users are left alone and a fifth has spent."""
    bill = near[SKIPPING].bill
    yield Aim("reads a registered user, full users left alone", bill.reads, 0.24, "{:.3f}", at_most=True)
    yield Aim("writes a registered user, full users left alone", bill.writes, 0.22, "{:.3f}", at_most=True)


def _peers(seen: Table) -> list[Seen]:
    return [one for system, one in seen.items() if system in PEERS]


def system_aims(near: Table, far: Table) -> Iterator[Aim]:
    ours, loop, bare = near[PROJECT], near[ONE_AT_A_TIME], near[BARE]
    yield Aim("worker : bare BatchWrite", ours.ratio_to(bare, _worker), 0.85, "{:.0%}")
    yield Aim("builder and worker : bare BatchWrite", ours.ratio_to(bare, _pace), 0.4, "{:.0%}")
    yield Aim("worker : one job at a time, a short queue", ours.ratio_to(loop, _worker), 200, "{:.0f} times")
    away = far[PROJECT].ratio_to(far[ONE_AT_A_TIME], _worker)
    yield Aim("worker : one job at a time, 10 ms away", away, 200, "{:.0f} times")


def size_aims(sizes: Iterable[Size]) -> Iterator[Aim]:
    for size in sizes:
        if size.users_a_slot >= 300:
            slots = f"{size.plot.users:,} users, {size.users_a_slot:,.0f} a slot of {size.plot.slot_seconds:,} s"
            yield Aim(f"reads a user: {slots}", size.bill.reads, 1.01, "{:.4f}", at_most=True)
            yield Aim(f"writes a user: {slots}", size.bill.writes, 1.03, "{:.4f}", at_most=True)


def proof_aim(reads: float, users: int) -> Aim:
    """What it costs to prove each day that nobody is missing."""
    return Aim(f"reads a user of the daily proof, {users:,} users", reads, 0.003, "{:.4f}", at_most=True)


def growth_aims(small: Size, large: Size) -> Iterator[Aim]:
    """What must not grow with the number of users."""
    yield from size_aims([large])
    compared = f"{large.plot.users:,} : {small.plot.users:,} users"
    memory = large.builder_peak_mb / small.builder_peak_mb
    cost = large.bill.dollars / small.bill.dollars
    yield Aim(f"builder's peak memory, {compared}", memory, 1.10, "{:.3f}", at_most=True)
    yield Aim(f"cost a user, {compared}", cost, 1.02, "{:.4f}", at_most=True)


def scale_aims(crews: Iterable[Crew], scans: Iterable[ScanPace]) -> Iterator[Aim]:
    for one in crews:
        if one.workers > 1:
            yield Aim(f"claims lost, {one.workers} workers", one.lost_share, 0.05, "{:.1%}", at_most=True)
    scanned = min(one.users_an_hour for one in scans) / 1e6
    yield Aim("users one builder scans in an hour", scanned, 10, "{:.0f} million")


def import_aim(imports: Imports) -> Aim:
    text = f"importing main ({imports.main:.2f} s) : the two libraries alone ({imports.bare:.2f} s)"
    return Aim(text, imports.ratio, 1.3, at_most=True)


def heading() -> str:
    """The date and the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%-d %B %Y}; {cores} cores of {_processor()}, {memory_gb:.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}; Firestore emulator on the same machine"
    )


def _processor() -> str:
    lines: Sequence[str] = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _pace(one: Round) -> float:
    return one.pace


def _worker(one: Round) -> float:
    return one.worker_pace


def _cpu(one: Round) -> float:
    return one.cpu_us
