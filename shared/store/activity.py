"""The activity log: one document for each action of an operator, newest first, kept for ninety days.

The id begins with a number that falls as time goes on. So the order of ids is newest first, and the log can be filtered
by one field without a composite index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.store.messages import DOCUMENT_ID, add_filters, add_order, new_query, new_write
from shared.store.values import Reference, get_fields, put
from shared.store.wire import Wire

KEPT = timedelta(days=90)
MILLISECONDS_MAX = 10**14 - 1  # of an id's number, which has fourteen digits


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One action as it is stored."""

    entry_id: str
    fields: Mapping[str, Any]


class ActivityStore:
    """The collection `activity` through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._collection_id = f"{prefix}_activity"

    def create_write(self, entry: Mapping[str, Any]) -> Any:
        """The write that adds an entry. `entry` holds an `id` of its own and the `time` of the action."""
        fields = {name: value for name, value in entry.items() if name != "id" and value is not None}
        return new_write(self._name(entry_id(entry["time"], entry["id"])), {**fields, "expireAt": entry["time"] + KEPT})

    def page(self, limit: int, after: str | None, filters: Mapping[str, str]) -> list[ActivityEntry]:
        """Entries from the newest on, those after an id; only those whose fields equal all `filters`."""
        wanted = new_query(self._collection_id, limit)
        add_filters(wanted, [(name, "==", value) for name, value in filters.items()])
        add_order(wanted, DOCUMENT_ID)
        if after is not None:
            put(wanted.start_at.values.add(), Reference(self._name(after)))
        return self._wire.run_query(self._wire.documents, wanted, _entry)

    def _name(self, document_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{document_id}"


def entry_id(time: datetime, own_id: str) -> str:
    """The id of an entry: a later one sorts first."""
    return f"{MILLISECONDS_MAX - int(time.timestamp() * 1000):014d}-{own_id}"


def _entry(document: Any) -> ActivityEntry:
    return ActivityEntry(document.name.rpartition("/")[2], get_fields(document.fields))
