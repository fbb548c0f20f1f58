"""Loading the population, and what has to be remembered of that."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dev.database import Database
from dev.population import Population

BATCH = 500
LANES = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """The users as they were written: the number behind each id, and the update time by number."""

    population: Population
    index_of: dict[str, int]
    update_times: array[int]


def load(database: Database, population: Population, tell: Callable[[int], None]) -> Loaded:
    """Write every user; `tell` hears how many are there."""
    loaded = Loaded(population, {}, array("q"))
    starts = range(0, population.users, BATCH)
    lanes = ThreadPoolExecutor(LANES)
    try:
        for ids, times in lanes.map(lambda start: _load_batch(database, population, start), starts):
            loaded.index_of.update(zip(ids, range(len(loaded.index_of), population.users), strict=False))
            loaded.update_times.extend(times)
            tell(len(loaded.index_of))
    finally:
        lanes.shutdown(wait=False, cancel_futures=True)
    return loaded


def _load_batch(database: Database, population: Population, start: int) -> tuple[list[str], list[int]]:
    indexes = range(start, min(start + BATCH, population.users))
    ids = [population.user_id(index) for index in indexes]
    return ids, database.create("users", list(zip(ids, map(population.document, indexes), strict=True)))
