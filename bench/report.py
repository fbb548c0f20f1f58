"""The results as Markdown: tables, and one line with a verdict for each aim."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.imports import Imports
from bench.scale import ScanPace, Size, WorkerGroup
from bench.systems import BARE, ONE_AT_A_TIME, OURS, PEERS, PROJECT, SKIPPING, Round, System, SystemResult

CPUINFO = Path("/proc/cpuinfo")

#: The headings of a table, each with the function that makes the cell of a row.
Columns = Mapping[str, Callable[[Any], str]]
Results = Mapping[System, SystemResult]

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
    "users": lambda one: f"{one.spec.users:,}",
    "slot": lambda one: f"{one.spec.slot_seconds:,} s",
    "users a slot": lambda one: f"{one.users_a_slot:,.0f}",
    "users a job": lambda one: f"{one.users_a_job:,.0f}",
    "reads a user": lambda one: f"{one.bill.reads:.4f}",
    "writes a user": lambda one: f"{one.bill.writes:.4f}",
    "$ per 100K": lambda one: f"{one.bill.dollars:.4f}",
    "builder MB": lambda one: f"{one.builder_peak_mb:,.1f}",
}
GROUPS: Columns = {
    "processes": lambda one: str(one.workers),
    "workers, users/s": lambda one: f"{one.pace:,.0f}",
    "bare writes, users/s": lambda one: f"{one.bare_pace:,.0f}",
    "workers : bare": lambda one: f"{one.pace / one.bare_pace:.0%}",
    "claims lost to races": lambda one: f"{one.lost_claims} of {one.tried_claims} ({one.lost_share:.1%})",
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
    """A bound and the measured value. `at_most`: a smaller value is better; otherwise a larger one is."""

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
    """A Markdown table. All columns but the first are aligned to the right."""
    rule = "|".join(["---", *["---:"] * (len(columns) - 1)])
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return "\n".join([_line(columns), f"|{rule}|", *map(_line, cells)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def peers_table(near: Results, far: Results) -> str:
    """The solutions that people write by hand and this project, with a near and a far database."""

    def far_pace(one: SystemResult) -> str:
        return f"{far[one.system].median(_pace):,.0f}" if one.system in far else ""

    columns = {name: SYSTEMS[name] for name in ("", "users/s")}
    columns["users/s, 10 ms away"] = far_pace
    columns |= {name: SYSTEMS[name] for name in ("CPU µs a user", "reads a user", "writes a user", "$ per 100K")}
    return table(columns, [one for system, one in near.items() if system in (*PEERS, ONE_AT_A_TIME, *OURS)])


def peer_aims(near: Results, far: Results, situation: str, system: System = PROJECT) -> Iterator[Aim]:
    """This project against the fastest solution by hand: with a near database, with one 10 ms away, and in CPU time."""
    for where, results, bound in (("", near, 1.3), (", 10 ms away", far, 3.0)):
        ours, best = results[system], max(_peers(results), key=lambda one: one.median(_pace))
        text = f"{situation}{where}: builder and worker : the fastest by hand ({best.system.label})"
        yield Aim(text, ours.ratio_to(best, _pace), bound, "{:.2f} times")
    best = max(_peers(near), key=lambda one: one.median(_pace))
    text = f"{situation}: CPU time a user : that of the fastest by hand"
    yield Aim(text, near[system].ratio_to(best, _cpu), 0.2, "{:.2f}", at_most=True)


def skip_aims(near: Results) -> Iterator[Aim]:
    """The reads and writes of a registered user, where full users are left alone and a fifth has spent."""
    bill = near[SKIPPING].bill
    yield Aim("reads a registered user, full users left alone", bill.reads, 0.24, "{:.3f}", at_most=True)
    yield Aim("writes a registered user, full users left alone", bill.writes, 0.22, "{:.3f}", at_most=True)


def _peers(results: Results) -> list[SystemResult]:
    return [one for system, one in results.items() if system in PEERS]


def system_aims(near: Results, far: Results) -> Iterator[Aim]:
    ours, loop, bare = near[PROJECT], near[ONE_AT_A_TIME], near[BARE]
    yield Aim("worker : bare BatchWrite", ours.ratio_to(bare, _worker), 0.85, "{:.0%}")
    yield Aim("builder and worker : bare BatchWrite", ours.ratio_to(bare, _pace), 0.4, "{:.0%}")
    yield Aim("worker : one job at a time, a short queue", ours.ratio_to(loop, _worker), 200, "{:.0f} times")
    away = far[PROJECT].ratio_to(far[ONE_AT_A_TIME], _worker)
    yield Aim("worker : one job at a time, 10 ms away", away, 200, "{:.0f} times")


def size_aims(sizes: Iterable[Size]) -> Iterator[Aim]:
    for size in sizes:
        if size.users_a_slot >= 300:
            slots = f"{size.spec.users:,} users, {size.users_a_slot:,.0f} a slot of {size.spec.slot_seconds:,} s"
            yield Aim(f"reads a user: {slots}", size.bill.reads, 1.01, "{:.4f}", at_most=True)
            yield Aim(f"writes a user: {slots}", size.bill.writes, 1.03, "{:.4f}", at_most=True)


def proof_aim(reads: float, users: int) -> Aim:
    """The reads of the proof that a `due` scan misses nobody."""
    return Aim(f"reads a user of the daily proof, {users:,} users", reads, 0.003, "{:.4f}", at_most=True)


def growth_aims(small: Size, large: Size) -> Iterator[Aim]:
    """Memory and cost a user must not grow with the number of users."""
    yield from size_aims([large])
    compared = f"{large.spec.users:,} : {small.spec.users:,} users"
    memory = large.builder_peak_mb / small.builder_peak_mb
    cost = large.bill.dollars / small.bill.dollars
    yield Aim(f"builder's peak memory, {compared}", memory, 1.10, "{:.3f}", at_most=True)
    yield Aim(f"cost a user, {compared}", cost, 1.02, "{:.4f}", at_most=True)


def scale_aims(groups: Iterable[WorkerGroup], scans: Iterable[ScanPace]) -> Iterator[Aim]:
    for one in groups:
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
