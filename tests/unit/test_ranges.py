"""Ranges and cursors of a scan: who is read where, and how far a scan has come."""

from __future__ import annotations

import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.ranges import VALUE_CHARACTERS_MAX, Cursor, RangeName, due, everybody, from_cursor, is_found_by_date
from shared.core.users import ABSENT

SUNDAY = date(2026, 11, 22)
DUE = due(SUNDAY, 31, 50)

user_ids = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@given(user_ids, st.sampled_from(RangeName), st.text() | st.integers() | st.floats(allow_nan=False))
def test_a_cursor_is_parsed_as_it_was_written(user_id, name, value):
    """This holds for any id, and for any value of the field."""
    cursor = Cursor(user_id, name, "" if name is RangeName.EVERYBODY else json.dumps(value))

    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (None, None),
        ("ann", Cursor("ann")),
        ("2026-11-22/ann", Cursor("ann", RangeName.BY_DATE, '"2026-11-22"')),
        ("11/22/2026/ann", Cursor("ann", RangeName.BY_DATE, '"11/22/2026"')),
    ],
)
def test_cursors_of_an_earlier_version_are_read(text, cursor):
    """A run may be under way when a new version is deployed."""
    assert Cursor.parse(text) == cursor


@pytest.mark.parametrize("text", ["/nowhere/5/ann", "/"])
def test_a_cursor_of_an_unknown_range_is_refused(text):
    """So the run is reported as unreadable."""
    with pytest.raises(ValueError, match="RangeName"):
        Cursor.parse(text)


def test_a_scan_of_everybody_is_one_range_or_wraps_around():
    """If it wraps around, its second range ends where the scan began."""
    assert [each.name for each in everybody(None)] == ["everybody"]
    whole, rest = everybody("mia")
    assert (whole.end, rest.end.value, rest.end.inclusive) == (None, "mia", True)


def test_a_due_scan_reads_odd_values_first():
    """Balances are read only where a plan leaves full users alone."""
    assert [each.name for each in DUE] == [name for name in RangeName if name not in ("everybody", "wrapped")]
    assert [each.name for each in due(SUNDAY, 31, None)] == [
        "named",
        "before_text",
        "too_late",
        "after_text",
        "by_date",
    ]
    assert {each.name for each in DUE if not each.is_odd} == {"by_date", "by_balance"}


@pytest.mark.parametrize(
    ("due_on", "name"),
    [
        ("", "by_date"),
        ("2026-11-22", "by_date"),
        ("1999", "by_date"),
        ("2026-11-23", None),
        ("2026-12-23", None),
        ("2026-12-24", "too_late"),
        ("9999-12-31", "too_late"),
        ("soon", "too_late"),
        ("when-low", None),
        ("when-lower", "after_text"),
        ("zebra", "after_text"),
        (5, "other types"),
        (True, "other types"),
        (["2026-11-22"], "other types"),
        ({}, "other types"),
        (None, "other types"),
        (ABSENT, None),
    ],
)
def test_each_due_on_is_in_one_range_or_right_for_later(due_on, name):
    """In no range are dates that some plan's period could make, and `when-low`, whose users are found by balance."""
    assert is_found_by_date(due_on, DUE) is (name is not None)
    if isinstance(due_on, str):
        found = {each.name for each in DUE if is_found_by_date(due_on, [each])}
        assert found == ({name} if name else set())


def test_when_low_is_odd_where_no_plan_leaves_full_users_alone():
    """A backup may bring it back. No balance leads to such a user, so a scan by `dueOn` has to."""
    assert [is_found_by_date("when-low", due(SUNDAY, 31, low_below)) for low_below in (None, 50)] == [True, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (RangeName.AFTER_TEXT, "eno=" * 300_000),
        (RangeName.BY_DATE, json.dumps("2026-11-21" + "x" * 1_000_000)),
        (RangeName.BY_DATE, json.dumps("2026-11-21" + "😀" * 300_000)),
    ],
    ids=["odd", "text", "emoji"],
)
def test_a_cursor_is_short_however_long_its_value_is(name, value):
    """The run document holds several cursors, and no document may be larger than 1 MiB."""
    cursor = Cursor("ann", name, value)
    parsed = Cursor.parse(str(cursor))

    assert len(str(cursor)) < VALUE_CHARACTERS_MAX + 100
    assert (parsed.user_id, parsed.range, parsed.is_cut, cursor.is_cut) == ("ann", name, True, False)
    assert str(parsed) == str(cursor)
    assert parsed.order == cursor.order


def test_ranges_read_to_the_end_are_not_read_again():
    """A scan goes on with its cursor's range and those after it."""
    assert from_cursor(DUE, None) == DUE
    names = [each.name for each in from_cursor(DUE, Cursor("ann", RangeName.BY_DATE, '"2026-11-21"'))]
    assert names == ["by_date", "by_balance"]


def test_the_longest_period_may_reach_beyond_the_calendar():
    """The range `too_late` then begins at the last day of the year 9999."""
    assert due(date(9999, 12, 1), 366, None)[2].start.value == "9999-12-31"


ORDERED = [
    Cursor("__id-5__"),
    Cursor("__id7__"),
    Cursor("__id10__"),
    Cursor("ann"),
    Cursor("ann", RangeName.WRAPPED),
    Cursor("zoe", RangeName.BY_DATE, '"2026-11-20"'),
    Cursor("ann", RangeName.BY_DATE, '"2026-11-21"'),
    Cursor("bob", RangeName.BY_DATE, '"2026-11-21"'),
    Cursor("ann", RangeName.BY_BALANCE, json.dumps(-math.inf)),
    Cursor("ann", RangeName.BY_BALANCE, "2"),
    Cursor("ann", RangeName.BY_BALANCE, "10.5"),
]


def test_cursors_are_ordered_as_a_scan_reads():
    """The order is by range, by value, and then by id. Firestore puts numbered ids before all others."""
    keys = [(cursor.order[0], cursor.order[1], cursor.order[2], cursor.order[3]) for cursor in ORDERED]

    assert sorted(keys) == keys
