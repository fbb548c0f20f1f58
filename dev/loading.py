"""Writes the population into the database, and keeps the users as a day begins, to check them later."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dev.database import Database, document_id, update_time_ns
from dev.population import Population
from shared.store.values import get_fields

BATCH = 500
LANES = 2
PAGE = 20_000  # for every page the emulator sorts all remaining documents


@dataclass(frozen=True, slots=True)
class LoadedUsers:
    """The users as a day begins. Each has a number. `index_of`: numbers by id. `update_times`: by number."""

    population: Population
    index_of: dict[str, int]
    update_times: array[int]
    #: By number; None on the first day, because then the population can compute them.
    documents: list[dict[str, Any]] | None = None
    #: By number, users whom the app has made or changed on this day, as they were before their refresh.
    changed: dict[int, dict[str, Any]] = field(default_factory=dict)

    def document(self, index: int) -> dict[str, Any]:
        """A user as the day began, or as the app has made or changed it on this day."""
        if index in self.changed:
            return self.changed[index]
        return self.population.document(index) if self.documents is None else self.documents[index]


def load(database: Database, population: Population, report: Callable[[int], None]) -> LoadedUsers:
    """Write every user. `report` is called with the number of users so far."""
    loaded = LoadedUsers(population, {}, array("q"))
    starts = range(0, population.users, BATCH)
    lanes = ThreadPoolExecutor(LANES)
    try:
        for ids, times in lanes.map(lambda start: _load_batch(database, population, start), starts):
            loaded.index_of.update(zip(ids, range(len(loaded.index_of), population.users), strict=False))
            loaded.update_times.extend(times)
            report(len(loaded.index_of))
    finally:
        lanes.shutdown(wait=False, cancel_futures=True)
    return loaded


def _load_batch(database: Database, population: Population, start: int) -> tuple[list[str], list[int]]:
    indexes = range(start, min(start + BATCH, population.users))
    ids = [population.user_id(index) for index in indexes]
    return ids, database.create("users", list(zip(ids, map(population.document, indexes), strict=True)))


def read_again(database: Database, loaded: LoadedUsers) -> LoadedUsers:
    """Read all users again, for the next day."""
    documents: list[dict[str, Any]] = [{}] * len(loaded.index_of)
    update_times = array("q", bytes(8 * len(documents)))
    for document in database.scan("users", PAGE):
        index = loaded.index_of[document_id(document)]
        documents[index] = get_fields(document.fields)
        update_times[index] = update_time_ns(document)
    return LoadedUsers(loaded.population, loaded.index_of, update_times, documents)
