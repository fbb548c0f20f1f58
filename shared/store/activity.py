"""The activity log: one document for each action of an operator, newest first, kept for ninety days.

The id begins with a number that falls as time goes on. So the order of ids is newest first, and the log can be filtered
by one field without a composite index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from google.cloud.firestore_v1.types import query

from shared.store.values import WritePb, get_fields, put_fields
from shared.store.wire import Wire

StructuredQueryPb = query.StructuredQuery.pb()
ASCENDING = query.StructuredQuery.Direction.ASCENDING.value
AND = query.StructuredQuery.CompositeFilter.Operator.AND.value
EQUAL = query.StructuredQuery.FieldFilter.Operator.EQUAL.value

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
        message = WritePb()
        message.update.name = self._name(entry_id(entry["time"], entry["id"]))
        fields = {name: value for name, value in entry.items() if name != "id" and value is not None}
        put_fields(message.update.fields, {**fields, "expireAt": entry["time"] + KEPT})
        return message

    def page(self, limit: int, after: str | None, filters: Mapping[str, str]) -> list[ActivityEntry]:
        """Entries from the newest on, those after an id; only those whose fields equal all `filters`."""
        wanted = StructuredQueryPb()
        wanted.from_.add().collection_id = self._collection_id
        for name, value in filters.items():
            wanted.where.composite_filter.op = AND
            condition = wanted.where.composite_filter.filters.add().field_filter
            condition.field.field_path = name
            condition.op = EQUAL
            condition.value.string_value = value
        order = wanted.order_by.add()
        order.field.field_path, order.direction = "__name__", ASCENDING
        if after is not None:
            wanted.start_at.values.add().reference_value = self._name(after)
        wanted.limit.value = limit
        return self._wire.run_query(self._wire.documents, wanted, _entry)

    def _name(self, document_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{document_id}"


def entry_id(time: datetime, own_id: str) -> str:
    """The id of an entry: a later one sorts first."""
    return f"{MILLISECONDS_MAX - int(time.timestamp() * 1000):014d}-{own_id}"


def _entry(document: Any) -> ActivityEntry:
    return ActivityEntry(document.name.rpartition("/")[2], get_fields(document.fields))
