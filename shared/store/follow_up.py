"""The follow-up list of a run: the users who fail by their own data, by name, in documents below the run.

One document is written with each flush that found such users. It holds at most a thousand of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.store.messages import DOCUMENT_ID, add_filters, add_order, new_query, new_write
from shared.store.values import get_fields
from shared.store.wire import Wire

DOCUMENTS_MAX = 100  # of one run; a builder writes one for each thousand users who fail
ENTRIES_MAX = 1000  # of one document that keeps entries of an earlier run
KEPT_FROM = 90_000  # numbers of such documents; a run has fewer flushes


class FollowUpStore:
    """The follow-up lists below the runs, through one call's wire."""

    def __init__(self, wire: Wire, prefix: str, retention: timedelta) -> None:
        self._wire = wire
        self._retention = retention
        self._runs = f"{wire.documents}/{prefix}_runs"
        self._collection_id = f"{prefix}_follow_ups"

    def add_write(
        self, run_id: str, generation: int, number: int, entries: Sequence[Mapping[str, Any]], now: datetime
    ) -> Any:
        """The write that adds entries to the list. Entries have userId, code, error and since, and some named or adopt.

        If somebody deleted the run document, an old document of that number may exist. It is overwritten.
        """
        fields = {
            "generation": generation,
            "entries": [dict(entry) for entry in entries],
            "expireAt": now + self._retention,
        }
        return new_write(f"{self._runs}/{run_id}/{self._collection_id}/{number:05d}", fields)

    def kept_writes(
        self, run_id: str, generation: int, entries: Sequence[Mapping[str, Any]], now: datetime
    ) -> list[Any]:
        """The writes that put entries of an earlier run's list at the end of this run's list."""
        return [
            self.add_write(run_id, generation, KEPT_FROM + number, entries[start : start + ENTRIES_MAX], now)
            for number, start in enumerate(range(0, len(entries), ENTRIES_MAX))
        ]

    def read(self, run_id: str, generation: int) -> list[Mapping[str, Any]]:
        """All entries of one generation's list, in the order of the scan. Costs a read for each document."""
        wanted = new_query(self._collection_id, DOCUMENTS_MAX)
        add_filters(wanted, [("generation", "==", generation)])
        add_order(wanted, DOCUMENT_ID)
        found = self._wire.run_query(f"{self._runs}/{run_id}", wanted, lambda document: get_fields(document.fields))
        return [entry for fields in found for entry in fields.get("entries", ()) if isinstance(entry, dict)]
