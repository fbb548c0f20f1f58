"""Measures everything that depends on the machine: systems side by side, and what changes with their size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import report
from bench.figure import draw
from bench.imports import import_times
from bench.measure import prepare_node
from bench.project import ProjectSpec, slot_width, warm_up
from bench.record import Record
from bench.scale import USERS_A_SLOT, WorkerGroup, measure_group, measure_proof, measure_scan, measure_size
from bench.systems import (
    EVERY_SYSTEM,
    FEW_ACTIVE,
    ONE_AT_A_TIME,
    PEERS,
    PROJECT,
    SKIPPING,
    Case,
    System,
    compare,
    without_node,
)
from dev.emulator import emulator

ROUND_TRIP_MS = 10  # between a function and a database in one region
BELOW = 0.2  # share of the users who have spent, in the second comparison


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. `shown`: write the results into README, docs and the chart, not only on the terminal."""

    rounds: int = 3
    users: int = 24_000
    far_users: int = 12_000
    far_rounds: int = 2
    worker_counts: tuple[int, ...] = (1, 2, 4)
    group_users: int = 48_000
    group_rounds: int = 2
    sizes: tuple[tuple[int, int], ...] = ((12_000, 30), (12_000, 100), (12_000, 300), (24_000, 750))
    scans: tuple[int, ...] = (12_000, 48_000)
    growth: tuple[tuple[int, int], ...] = ((50_000, 700), (200_000, 700))
    warm_up_writes: int = 12_000
    systems: tuple[System, ...] = EVERY_SYSTEM
    shown: bool = True

    @property
    def record(self) -> Record:
        return Record() if self.shown else Record(())


QUICK = Extent(
    rounds=1,
    users=600,
    far_users=300,
    far_rounds=1,
    worker_counts=(1, 2),
    group_users=600,
    group_rounds=1,
    sizes=((600, 300),),
    scans=(600,),
    growth=((600, 300), (1200, 300)),
    warm_up_writes=3000,
    shown=False,
)


def main(*, quick: bool = False) -> None:
    measure(QUICK if quick else Extent())


def measure(extent: Extent) -> None:
    clock, systems = time.monotonic(), _runnable(extent.systems)
    aims = [*compare_all(extent, systems), *compare_fifth_spent(extent, systems), *measure_scaling(extent)]
    imports = import_times(extent.rounds)
    extent.record.show("aims", report.table(report.AIMS, [*aims, report.import_aim(imports)]))
    print(f"{time.monotonic() - clock:.0f} s in all", flush=True)


def _runnable(systems: tuple[System, ...]) -> tuple[System, ...]:
    """The systems that can be run on this machine."""
    missing = prepare_node()
    if missing is None:
        return systems
    print(f"Without the systems written for Node: {missing}.\n", flush=True)
    return without_node(systems)


def compare_all(extent: Extent, systems: tuple[System, ...]) -> Iterator[report.Aim]:
    """Compare all systems where every user has spent, with a near and a far database."""
    spec = ProjectSpec(extent.users, slot_width(USERS_A_SLOT, extent.users))
    far_systems = (*_peers_and_ours(systems), ONE_AT_A_TIME)
    heading = report.heading()
    with _warm_emulator(extent) as host:
        near = compare(host, Case(spec, systems, extent.rounds), print)
        far = compare(host, Case(_far_spec(extent), far_systems, extent.far_rounds, ROUND_TRIP_MS), print)
    caption = f"Medians of {extent.rounds} rounds, {extent.users:,} users; {heading}."
    extent.record.show("by-hand", f"{caption}\n\n{report.peers_table(near, far)}")
    extent.record.show("systems", f"{caption}\n\n{report.table(report.SYSTEMS, near.values())}")
    if extent.shown:
        draw(near, heading)
    yield from report.peer_aims(near, far, "all have spent")
    yield from report.system_aims(near, far)


def compare_fifth_spent(extent: Extent, systems: tuple[System, ...]) -> Iterator[report.Aim]:
    """Compare solutions by hand with this project where a fifth has spent. One plan leaves full users alone."""
    spec, systems = _far_spec(extent, BELOW), (*_peers_and_ours(systems), SKIPPING)
    with _warm_emulator(extent) as host:
        near = compare(host, Case(spec, (*systems, FEW_ACTIVE), extent.rounds), print)
        far = compare(host, Case(spec, systems, extent.far_rounds, ROUND_TRIP_MS), print)
    caption = f"Of {spec.users:,} users {spec.below:.0%} have spent:"
    extent.record.show("by-hand-a-fifth", f"{caption}\n\n{report.peers_table(near, far)}")
    yield from report.peer_aims(near, far, f"{spec.below:.0%} have spent", SKIPPING)
    yield from report.skip_aims(near)


def _peers_and_ours(systems: tuple[System, ...]) -> tuple[System, ...]:
    return tuple(system for system in systems if system in (*PEERS, PROJECT))


def _far_spec(extent: Extent, below: float = 1.0) -> ProjectSpec:
    return ProjectSpec(extent.far_users, slot_width(USERS_A_SLOT, extent.far_users), below)


def measure_scaling(extent: Extent) -> Iterator[report.Aim]:
    """Measure the scan, the width of slots, and workers side by side."""
    with _warm_emulator(extent) as host:
        scans = [measure_scan(host, users) for users in extent.scans]
        sizes = [measure_size(host, *size) for size in extent.sizes]
        proof = measure_proof(host, extent.users)
    groups = [_measure_group(workers, extent) for workers in extent.worker_counts]
    extent.record.show("scans", report.table(report.SCANS, scans))
    extent.record.show("crews", report.table(report.GROUPS, groups))
    extent.record.show("slots", report.table(report.SIZES, sizes))
    yield from report.size_aims(sizes)
    yield report.proof_aim(proof, extent.users)
    yield from report.scale_aims(groups, scans)


def measure_growth(*, quick: bool = False) -> None:
    """Measure the cost a user and the builder's memory, for few users and for many, with equally full slots."""
    extent = QUICK if quick else Extent()
    with _warm_emulator(extent) as host:
        small, large = (measure_size(host, *size) for size in extent.growth)
    aims = report.table(report.AIMS, report.growth_aims(small, large))
    extent.record.show("growth", f"{report.heading()}\n\n{report.table(report.SIZES, (small, large))}\n\n{aims}")


def _measure_group(workers: int, extent: Extent) -> WorkerGroup:
    with _warm_emulator(extent) as host:
        return measure_group(host, workers, extent.group_users, extent.group_rounds)


@contextmanager
def _warm_emulator(extent: Extent) -> Iterator[str]:
    """An emulator for measurements that are compared with each other. Each comparison has its own, because an emulator
    sometimes hangs after a dozen projects of 48,000 users."""
    with emulator() as host:
        warm_up(host, extent.warm_up_writes)
        yield host
