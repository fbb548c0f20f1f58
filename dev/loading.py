"""Loading the population, and what has to be remembered of the users a day begins with."""

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
PAGE = 20_000  # the emulator sorts all that is left for every page


@dataclass(frozen=True, slots=True)
class Loaded:
    """The users as a day begins: the number behind each id, and by number the update time."""

    population: Population
    index_of: dict[str, int]
    update_times: array[int]
    #: By number; None on the first day, when the population says what they are.
    documents: list[dict[str, Any]] | None = None
    #: By number, of the users whom the app has made or changed since: what the refresh of the day is to begin with.
    since: dict[int, dict[str, Any]] = field(default_factory=dict)

    def document(self, index: int) -> dict[str, Any]:
        """A user as the day began, or as the app has made it since."""
        if index in self.since:
            return self.since[index]
        return self.population.document(index) if self.documents is None else self.documents[index]


def load(database: Database, population: Population, tell: Callable[[int], None]) -> Loaded:
    """Write every user. `tell` is told how many there are so far."""
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


def remember(database: Database, loaded: Loaded) -> Loaded:
    """The users as they are now, for a day that follows another."""
    documents: list[dict[str, Any]] = [{}] * len(loaded.index_of)
    update_times = array("q", bytes(8 * len(documents)))
    for document in database.scan("users", PAGE):
        index = loaded.index_of[document_id(document)]
        documents[index] = get_fields(document.fields)
        update_times[index] = update_time_ns(document)
    return Loaded(loaded.population, loaded.index_of, update_times, documents)
