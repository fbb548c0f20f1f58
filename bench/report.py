"""What was measured, as Markdown: tables, and a line for each aim with its verdict."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.distance import Pair
from bench.imports import Imports
from bench.scale import DAY, Crew, ScanPace, Size
from bench.systems import Round, Rounds

CPUINFO = Path("/proc/cpuinfo")
SCANNED_IN_AN_HOUR_MIN = 10_000_000


@dataclass(frozen=True, slots=True)
class Aim:
    """What was to be reached, and what was. `at_most`: a smaller value is better."""

    text: str
    value: float
    bound: float
    style: str = "{:.2f}"
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def verdict(self) -> str:
        if self.met:
            return "met"
        missed = self.value / self.bound - 1 if self.at_most else 1 - self.value / self.bound
        return f"**missed by {missed:.0%}**"

    @property
    def row(self) -> Sequence[str]:
        sign = "≤" if self.at_most else "≥"
        return (self.text, f"{sign} {self.style.format(self.bound)}", self.style.format(self.value), self.verdict)


def heading(began: datetime) -> str:
    """The machine and the date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{began:%-d %B %Y}; {cores} cores of {_processor()}, {_memory_gb():.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}; Firestore emulator on the same machine"
    )


def systems_table(seen: Mapping[str, Rounds]) -> str:
    head = (
        "",
        "users/s, worker",
        "users/s with its queue",
        "reads a user",
        "writes a user",
        "$ per 100K",
        "peak MB",
        "CPU µs a user",
    )
    return table(head, (_system_row(rounds) for rounds in seen.values()))


def _system_row(seen: Rounds) -> Sequence[str]:
    emphasis = "**" if seen.system.name == "e" else ""
    cells = (
        seen.system.label,
        f"{seen.median(lambda one: one.worker_pace):,.0f}",
        f"{seen.median(lambda one: one.whole_pace):,.0f}",
        f"{seen.billed.reads:.3f}",
        f"{seen.billed.writes:.3f}",
        f"{seen.billed.dollars:.3f}",
        f"{seen.median(lambda one: one.peak_mb):,.0f}",
        f"{seen.median(lambda one: one.cpu_us):,.0f}",
    )
    return [f"{emphasis}{cell}{emphasis}" for cell in cells]


def sizes_table(sizes: Iterable[Size]) -> str:
    head = ("users", "slot", "users a slot", "users a job", "reads a user", "writes a user", "$ per 100K", "builder MB")
    return table(head, (_size_row(size) for size in sizes))


def _size_row(size: Size) -> Sequence[str]:
    return (
        f"{size.plot.users:,}",
        f"{size.plot.slot_seconds:,} s",
        f"{size.users_a_slot:,.0f}",
        f"{size.users_a_job:,.0f}",
        f"{size.billed.reads:.4f}",
        f"{size.billed.writes:.4f}",
        f"{size.billed.dollars:.4f}",
        f"{size.builder_peak_mb:,.1f}",
    )


def pairs_table(seen: Mapping[str, Rounds], pairs: Iterable[Pair]) -> str:
    """The worker beside the loop, first as in the main table."""
    first = Pair(
        "the loop before a short queue, no network",
        seen["e"].median(_worker),
        seen["b"].median(_worker),
        seen["e"].ratio_to(seen["b"], _worker),
    )
    head = ("", "worker, users/s", "one job at a time, users/s", "ratio")
    rows = [(pair.text, f"{pair.worker:,.0f}", f"{pair.loop:,.1f}", f"{pair.ratio:,.0f}") for pair in (first, *pairs)]
    return table(head, rows)


def crews_table(crews: Iterable[Crew]) -> str:
    head = ("processes", "workers, users/s", "bare writes, users/s", "workers : bare", "claims lost to races")
    return table(
        head,
        (
            (
                str(one.workers),
                f"{one.pace:,.0f}",
                f"{one.bare_pace:,.0f}",
                f"{one.pace / one.bare_pace:.0%}",
                f"{one.tried - one.won} of {one.tried} ({one.lost_share:.1%})",
            )
            for one in crews
        ),
    )


def scans_table(scans: Iterable[ScanPace]) -> str:
    head = ("users", "builder, users/s", "its pages alone, users/s", "builder, CPU µs a user", "in an hour")
    return table(
        head,
        (
            (
                f"{one.users:,}",
                f"{one.builder:,.0f}",
                f"{one.pages:,.0f}",
                f"{one.cpu_us:,.0f}",
                f"{one.users_an_hour / 1e6:,.0f} million",
            )
            for one in scans
        ),
    )


@dataclass(frozen=True, slots=True)
class Everything:
    """What `make bench` measured."""

    seen: Mapping[str, Rounds]
    sizes: Sequence[Size]
    crews: Sequence[Crew]
    scans: Sequence[ScanPace]
    imports: Imports
    pairs: Sequence[Pair]


def aims(all_of_it: Everything) -> list[Aim]:
    """Every aim with what was measured."""
    return [
        *_paces(all_of_it.seen, all_of_it.pairs),
        *_costs(all_of_it.sizes),
        *_scale(all_of_it.crews, all_of_it.scans),
        _imports(all_of_it.imports),
    ]


def _paces(seen: Mapping[str, Rounds], pairs: Sequence[Pair]) -> Iterator[Aim]:
    ours, loop, bare = seen["e"], seen["b"], seen["f"]
    percent = "{:.0%}"
    yield Aim("worker : bare BatchWrite", ours.ratio_to(bare, _worker), 0.85, percent)
    yield Aim("worker : one job at a time, a short queue", ours.ratio_to(loop, _worker), 200, "{:.0f} times")
    for pair in pairs:
        yield Aim(f"worker : one job at a time, {pair.text}", pair.ratio, 200, "{:.0f} times")
    yield Aim("builder and worker : bare BatchWrite", ours.ratio_to(bare, _whole), 0.4, percent)


def _costs(sizes: Sequence[Size]) -> Iterator[Aim]:
    for size in sizes:
        if size.users_a_slot >= 300:
            slots = f"{size.plot.users:,} users, {size.users_a_slot:,.0f} a slot of {size.plot.slot_seconds:,} s"
            yield Aim(f"reads a user: {slots}", size.billed.reads, 1.01, "{:.4f}", at_most=True)
            yield Aim(f"writes a user: {slots}", size.billed.writes, 1.03, "{:.4f}", at_most=True)


def growth_aims(small: Size, large: Size) -> Iterator[Aim]:
    """What must not grow with the number of users."""
    yield from _costs([large])
    compared = f"{large.plot.users:,} : {small.plot.users:,} users"
    memory = large.builder_peak_mb / small.builder_peak_mb
    cost = large.billed.dollars / small.billed.dollars
    yield Aim(f"builder's peak memory, {compared}", memory, 1.10, "{:.3f}", at_most=True)
    yield Aim(f"cost a user, {compared}", cost, 1.02, "{:.4f}", at_most=True)


def _scale(crews: Sequence[Crew], scans: Sequence[ScanPace]) -> Iterator[Aim]:
    for one in crews:
        if one.workers > 1:
            yield Aim(f"claims lost, {one.workers} workers", one.lost_share, 0.05, "{:.1%}", at_most=True)
    scanned = min(one.users_an_hour for one in scans) / 1e6
    yield Aim("users one builder scans in an hour", scanned, SCANNED_IN_AN_HOUR_MIN / 1e6, "{:.0f} million")


def _imports(imports: Imports) -> Aim:
    text = f"importing main ({imports.main:.2f} s) : the two libraries alone ({imports.bare:.2f} s)"
    return Aim(text, imports.ratio, 1.3, at_most=True)


def aims_table(all_aims: Iterable[Aim]) -> str:
    return table(("aim", "bound", "measured", "verdict"), (aim.row for aim in all_aims))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all but the first column to the right."""
    rule = "|".join(["---", *["---:"] * (len(head) - 1)])
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def slot_width(users_a_slot: int, users: int) -> int:
    """The width that puts so many users in a slot, of those that divide the day."""
    return max(1, round(DAY * users_a_slot / users))


def today() -> datetime:
    return datetime.now(UTC)


def _worker(one: Round) -> float:
    return one.worker_pace


def _whole(one: Round) -> float:
    return one.whole_pace


def _processor() -> str:
    names = [line for line in _lines(CPUINFO) if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
