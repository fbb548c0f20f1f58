"""Every query of the code is served by firestore.indexes.json or by an automatic index.

conftest.py checks the queries of all tests in this folder against the file. These tests show that the check works.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from google.cloud.firestore_v1.types import query

from tests.support.indexes import INDEX_FILE, Indexes, Shape, check_queries, deployed_indexes
from tests.support.world import DAY, MIDNIGHT, World, population

JOBS, USERS = "credit_refresh_jobs", "users"
UP, DOWN = "ASCENDING", "DESCENDING"


def table() -> dict:
    return json.loads(INDEX_FILE.read_text(encoding="utf-8"))


def without(group: str, path: str) -> Indexes:
    """The index file without one override."""
    overrides = [
        each for each in table()["fieldOverrides"] if (each["collectionGroup"], each["fieldPath"]) != (group, path)
    ]
    assert len(overrides) == len(table()["fieldOverrides"]) - 1
    return Indexes({**table(), "fieldOverrides": overrides})


def two_days() -> None:
    """Run all scans, the worker, a page and a preview."""
    world = World(job_size=5)
    world.users(population(12))
    world.day()
    world.preview()
    world.page(size=5)
    world.page("user00003", size=5)
    world.build_a_page(MIDNIGHT + DAY, scan="due")
    world.build(MIDNIGHT + DAY + timedelta(hours=1), scan="auto")
    world.build(MIDNIGHT + 2 * DAY, scan="adopt")


def test_all_queries_of_two_days_are_served():
    """There are queries for users by date, for jobs by time, and for runs."""
    seen: set[Shape] = set()
    with check_queries(deployed_indexes(), seen):
        two_days()

    assert {shape.group for shape in seen} >= {USERS, JOBS, "credit_refresh_runs"}
    assert Shape(USERS, frozenset(), frozenset(), (("creditRefresh.dueOn", UP), ("__name__", UP))) in seen
    assert Shape(JOBS, frozenset(), frozenset(), (("visibleAt", UP), ("__name__", UP))) in seen


@pytest.mark.parametrize(("group", "path"), [(JOBS, "visibleAt"), (USERS, "creditRefresh.dueOn")])
def test_an_index_that_is_left_out_of_the_file_is_reported(group, path):
    """Each index is in the file because a query needs it."""
    with (
        check_queries(without(group, path), set()),
        pytest.raises(AssertionError, match=f"lacks an index of {group}: {path}"),
    ):
        two_days()


def shape(group=JOBS, equal=(), contains=(), orders=()) -> Shape:
    return Shape(group, frozenset(equal), frozenset(contains), tuple(orders))


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        (shape("others", equal=["a", "b"]), True),
        (shape("others", orders=[("a", UP), ("__name__", UP)]), True),
        (shape("others", orders=[("a", DOWN), ("__name__", DOWN)]), True),
        (shape("others", orders=[("a", UP), ("__name__", DOWN)]), False),
        (shape("others", orders=[("__name__", DOWN)]), False),
        (shape("others", contains=["a"], orders=[("__name__", UP)]), True),
        (shape("others", equal=["a"], orders=[("b", UP)]), False),
        (shape("others", orders=[("a", UP), ("b", UP)]), False),
        (shape("some", equal=["up"]), True),
        (shape("some", equal=["up", "down"]), True),
        (shape("some", equal=["none"]), False),
        (shape("some", orders=[("up", DOWN)]), False),
        (shape("some", orders=[("down", DOWN)]), True),
        (shape("some", contains=["list"]), True),
        (shape("some", contains=["up"]), False),
        (shape("some", equal=["map.open"]), True),
        (shape("some", equal=["map.open.below"]), True),
        (shape("some", equal=["map.shut"]), False),
        (shape("paired", equal=["a"], orders=[("b", DOWN), ("__name__", DOWN)]), True),
        (shape("paired", equal=["a"], orders=[("b", UP)]), False),
        (shape("paired", equal=["c"], orders=[("b", DOWN)]), False),
    ],
)
def test_an_index_serves_the_queries_it_fits(asked, served):
    """Equality needs any index of the field, an order needs an index of that order, a mixture needs a composite one."""
    overrides = {"*": [], "up": ["ASCENDING"], "down": ["DESCENDING"], "map": [], "map.open": ["ASCENDING"]}
    indexes = Indexes(
        {
            "indexes": [
                {
                    "collectionGroup": "paired",
                    "fields": [{"fieldPath": "a", "order": UP}, {"fieldPath": "b", "order": DOWN}],
                }
            ],
            "fieldOverrides": [
                {"collectionGroup": "some", "fieldPath": path, "indexes": [{"order": order} for order in orders]}
                for path, orders in overrides.items()
            ]
            + [{"collectionGroup": "some", "fieldPath": "list", "indexes": [{"arrayConfig": "CONTAINS"}]}],
        }
    )

    assert (indexes.missing(asked) is None) is served


def test_the_kinds_of_a_query_s_filters_are_recognised():
    """One `and` has filters for equality, a range, an array and null."""
    asked = query.StructuredQuery.pb()()
    asked.from_.add().collection_id = JOBS
    operators = query.StructuredQuery.FieldFilter.Operator
    for path, operator in (("a", operators.EQUAL), ("b", operators.GREATER_THAN), ("c", operators.ARRAY_CONTAINS)):
        condition = asked.where.composite_filter.filters.add().field_filter
        condition.field.field_path, condition.op = path, operator.value
    asked.where.composite_filter.filters.add().unary_filter.field.field_path = "d"

    assert Shape.of(asked) == shape(equal=["a", "d"], contains=["c"], orders=[("b", UP)])
