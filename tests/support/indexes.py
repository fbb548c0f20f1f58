"""Checks that the deployed indexes serve every query. Production refuses other queries, but the emulator serves them.

Queries are checked as they go over the wire. A query needs a composite index of firestore.indexes.json, or one
single-field index. A query that only tests for equality may use several single-field indexes. A single-field index
exists unless an override of the file removes it. An override of a parent field or of `*` counts, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.types import firestore, query

INDEX_FILE = Path(__file__).resolve().parents[2] / "firestore.indexes.json"
AUTOMATIC = frozenset({"ASCENDING", "DESCENDING", "CONTAINS"})
NAME = "__name__"
RANGES = {"LESS_THAN", "LESS_THAN_OR_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL", "NOT_EQUAL", "NOT_IN"}

Filters = list[tuple[str, str]]


@dataclass(frozen=True)
class Shape:
    """What a query needs of an index: fields tested for equality, arrays tested for an element, and the sort orders."""

    group: str
    equal: frozenset[str]
    contains: frozenset[str]
    orders: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, structured: Any) -> Shape:
        """The shape of a StructuredQuery message. A range without an order is in ascending order."""
        filters = list(_filters(structured.where))
        contains = {path for path, operator in filters if operator.startswith("ARRAY_CONTAINS")}
        ranges = [path for path, operator in filters if operator in RANGES]
        directions = query.StructuredQuery.Direction
        orders = [(each.field.field_path, directions(each.direction or 1).name) for each in structured.order_by]
        ordered = {path for path, _ in orders}
        orders += [(path, "ASCENDING") for path in dict.fromkeys(ranges) if path not in ordered]
        equal = {path for path, _ in filters} - contains - set(ranges)
        return cls(structured.from_[0].collection_id, frozenset(equal), frozenset(contains), tuple(orders))


def _filters(where: Any) -> Iterator[tuple[str, str]]:
    kind = where.WhichOneof("filter_type")
    if kind == "composite_filter":
        for each in where.composite_filter.filters:
            yield from _filters(each)
    elif kind == "field_filter":
        operators = query.StructuredQuery.FieldFilter.Operator
        yield where.field_filter.field.field_path, operators(where.field_filter.op).name
    elif kind == "unary_filter":
        yield where.unary_filter.field.field_path, "EQUAL"


class Indexes:
    """The indexes of firestore.indexes.json and the automatic ones."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._composites = [(each["collectionGroup"], _columns(each["fields"])) for each in table["indexes"]]
        self._overrides = {
            (each["collectionGroup"], each["fieldPath"]): frozenset(
                str(index.get("order") or index.get("arrayConfig")) for index in each["indexes"]
            )
            for each in table["fieldOverrides"]
        }

    def of_field(self, group: str, path: str) -> frozenset[str]:
        """The single-field indexes of a field."""
        names = path.split(".")
        for length in range(len(names), 0, -1):
            if (found := self._overrides.get((group, ".".join(names[:length])))) is not None:
                return found
        return self._overrides.get((group, "*"), AUTOMATIC)

    def missing(self, shape: Shape) -> str | None:
        """The index that a query lacks; None if the query is served."""
        sorted_by = [order for order in shape.orders if order[0] != NAME]
        if len(sorted_by) > 1 or (sorted_by and (shape.equal or shape.contains)):
            return None if self._has_composite(shape) else f"a composite index for {shape}"
        directions = {direction for _, direction in shape.orders}
        if len(directions) > 1 or (not sorted_by and "DESCENDING" in directions):
            return f"a composite index for {shape}: documents' names are in ascending order"
        lacking = [path for path in shape.equal if not self.of_field(shape.group, path) & {"ASCENDING", "DESCENDING"}]
        lacking += [path for path in shape.contains if "CONTAINS" not in self.of_field(shape.group, path)]
        lacking += [path for path, direction in sorted_by if direction not in self.of_field(shape.group, path)]
        return f"an index of {shape.group}: {', '.join(lacking)} for {shape}" if lacking else None

    def _has_composite(self, shape: Shape) -> bool:
        wanted = tuple(order for order in shape.orders if order[0] != NAME)
        for group, columns in self._composites:
            head, tail = columns[: len(columns) - len(wanted)], columns[len(columns) - len(wanted) :]
            if group == shape.group and tail == wanted and {path for path, _ in head} == shape.equal | shape.contains:
                return True
        return False


def _columns(fields: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((each["fieldPath"], each.get("order") or each["arrayConfig"]) for each in fields)


@cache
def deployed_indexes() -> Indexes:
    return Indexes(json.loads(INDEX_FILE.read_text(encoding="utf-8")))


@contextmanager
def check_queries(indexes: Indexes, shapes: set[Shape]) -> Iterator[None]:
    """Check every query of this process in the block before it is sent. Raises AssertionError for a missing index.

    `shapes`: the shapes of all queries are added to it.
    """
    run_query, aggregate = FirestoreClient.run_query, FirestoreClient.run_aggregation_query

    def check(structured: Any) -> None:
        shape = Shape.of(structured)
        shapes.add(shape)
        missing = indexes.missing(shape)
        assert missing is None, f"in production this query is refused; firestore.indexes.json lacks {missing}"

    def check_and_query(self: Any, request: Any = None, **kwargs: Any) -> Any:
        check(firestore.RunQueryRequest.pb(request).structured_query)
        return run_query(self, request, **kwargs)

    def check_and_aggregate(self: Any, request: Any = None, **kwargs: Any) -> Any:
        check(firestore.RunAggregationQueryRequest.pb(request).structured_aggregation_query.structured_query)
        return aggregate(self, request, **kwargs)

    with (
        patch.object(FirestoreClient, "run_query", check_and_query),
        patch.object(FirestoreClient, "run_aggregation_query", check_and_aggregate),
    ):
        yield
