"""Queries and guarded writes as protobuf messages. Only this module sets their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.cloud.firestore_v1.types import query

from shared.store.values import WritePb, put, put_fields, put_nanoseconds

StructuredQueryPb = query.StructuredQuery.pb()
DOCUMENT_ID = "__name__"

_DIRECTION = query.StructuredQuery.Direction
_OPERATOR = query.StructuredQuery.FieldFilter.Operator
_AND = query.StructuredQuery.CompositeFilter.Operator.AND.value

OPERATORS = {
    "==": _OPERATOR.EQUAL.value,
    "<": _OPERATOR.LESS_THAN.value,
    "<=": _OPERATOR.LESS_THAN_OR_EQUAL.value,
    ">=": _OPERATOR.GREATER_THAN_OR_EQUAL.value,
    "contains": _OPERATOR.ARRAY_CONTAINS.value,
}


def new_query(collection_id: str, limit: int | None = None, fields: Iterable[str] = ()) -> Any:
    """A query of one collection. `fields`: paths of what is read of each document; none: all of it."""
    wanted = StructuredQueryPb()
    wanted.from_.add().collection_id = collection_id
    for path in fields:
        wanted.select.fields.add().field_path = path
    if limit is not None:
        wanted.limit.value = limit
    return wanted


def add_filters(wanted: Any, filters: Iterable[tuple[str, str, Any]]) -> None:
    """Keep documents for which every (field path, operator, value) holds."""
    conditions = list(filters)
    if len(conditions) == 1:
        _set_filter(wanted.where.field_filter, *conditions[0])
        return
    both = wanted.where.composite_filter
    both.op = _AND
    for condition in conditions:
        _set_filter(both.filters.add().field_filter, *condition)


def _set_filter(message: Any, path: str, operator: str, value: Any) -> None:
    message.field.field_path = path
    message.op = OPERATORS[operator]
    put(message.value, value)


def add_order(wanted: Any, path: str, *, descending: bool = False) -> None:
    order = wanted.order_by.add()
    order.field.field_path = path
    order.direction = (_DIRECTION.DESCENDING if descending else _DIRECTION.ASCENDING).value


def new_write(name: str, fields: Mapping[str, Any], mask: Iterable[str] | None = None) -> Any:
    """A write of a document. `mask`: the field paths that it changes; those without a value in `fields` are removed.
    Without `mask` the whole document is written."""
    message = WritePb()
    message.update.name = name
    put_fields(message.update.fields, fields)
    if mask is not None:
        message.update_mask.field_paths.extend(mask)
    return message


def guard(message: Any, update_time_ns: int | None) -> Any:
    """Add a precondition: the document has not changed since it was read (None: it does not exist yet)."""
    if update_time_ns is None:
        message.current_document.exists = False
    else:
        put_nanoseconds(message.current_document.update_time, update_time_ns)
    return message
