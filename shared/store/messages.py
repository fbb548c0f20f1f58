"""The parts of queries and writes that several stores need, as protobuf messages."""

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
    "in": _OPERATOR.IN.value,
    "contains": _OPERATOR.ARRAY_CONTAINS.value,
}


def new_query(collection_id: str, limit: int | None = None, fields: Iterable[str] = ()) -> Any:
    """A query of one collection. `fields`: the paths of the fields to read; if there is none, all fields are read."""
    wanted = StructuredQueryPb()
    wanted.from_.add().collection_id = collection_id
    for path in fields:
        wanted.select.fields.add().field_path = path
    if limit is not None:
        wanted.limit.value = limit
    return wanted


def add_filters(wanted: Any, filters: Iterable[tuple[str, str, Any]]) -> None:
    """Find only documents for which every (field path, operator, value) holds."""
    conditions = list(filters)
    if not conditions:
        return
    if len(conditions) == 1:
        _set_filter(wanted.where.field_filter, *conditions[0])
        return
    all_of_them = wanted.where.composite_filter
    all_of_them.op = _AND
    for condition in conditions:
        _set_filter(all_of_them.filters.add().field_filter, *condition)


def _set_filter(message: Any, path: str, operator: str, value: Any) -> None:
    message.field.field_path = path
    message.op = OPERATORS[operator]
    put(message.value, value)


def add_order(wanted: Any, path: str, *, descending: bool = False) -> None:
    order = wanted.order_by.add()
    order.field.field_path = path
    order.direction = (_DIRECTION.DESCENDING if descending else _DIRECTION.ASCENDING).value


def new_write(name: str, fields: Mapping[str, Any], mask: Iterable[str] | None = None) -> Any:
    """A write of a document. `mask`: the paths of the fields that it sets, or removes if they are not in `fields`.

    Without a mask the write replaces the whole document.
    """
    message = WritePb()
    message.update.name = name
    put_fields(message.update.fields, fields)
    if mask is not None:
        message.update_mask.field_paths.extend(mask)
    return message


def guard(message: Any, update_time_ns: int | None) -> Any:
    """Add a precondition: the document still has this update time. None: it does not exist yet."""
    if update_time_ns is None:
        message.current_document.exists = False
    else:
        put_nanoseconds(message.current_document.update_time, update_time_ns)
    return message
