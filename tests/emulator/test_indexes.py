"""Every query the code makes is served by firestore.indexes.json or by an automatic index.

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


def test_two_days_make_queries_and_all_of_them_are_served():
    """There are queries of users by id and by date, of jobs by time, of runs by day."""
    seen: set[Shape] = set()
    with check_queries(deployed_indexes(), seen):
        two_days()

    assert {shape.group for shape in seen} >= {USERS, JOBS, "credit_refresh_runs"}
    assert Shape(USERS, frozenset(), frozenset(), (("creditRefresh.dueOn", UP), ("__name__", UP))) in seen
    assert Shape(JOBS, frozenset(), frozenset(), (("visibleAt", UP), ("__name__", UP))) in seen


@pytest.mark.parametrize(("group", "path"), [(JOBS, "visibleAt"), (USERS, "creditRefresh.dueOn")])
def test_an_index_left_out_of_the_file_is_missed(group, path):
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
def test_what_indexes_serve(asked, served):
    """Any index of a field serves equality, only that order's index serves an order, only a composite one a mixture."""
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


def test_a_query_s_filters_are_told_apart():
    """Filters under one `and` are told apart: equality, ranges, arrays and null."""
    asked = query.StructuredQuery.pb()()
    asked.from_.add().collection_id = JOBS
    operators = query.StructuredQuery.FieldFilter.Operator
    for path, operator in (("a", operators.EQUAL), ("b", operators.GREATER_THAN), ("c", operators.ARRAY_CONTAINS)):
        condition = asked.where.composite_filter.filters.add().field_filter
        condition.field.field_path, condition.op = path, operator.value
    asked.where.composite_filter.filters.add().unary_filter.field.field_path = "d"

    assert Shape.of(asked) == shape(equal=["a", "d"], contains=["c"], orders=[("b", UP)])
