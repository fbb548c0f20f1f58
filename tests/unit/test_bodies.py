"""Request bodies: strict types and ranges of every field."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.core.runs import ScanRequest
from shared.edge.bodies import AS_OF_EXPECTED, NAMED_USERS_MAX, Body, DirectBody, QueueBody, WorkerBody
from shared.store.job_documents import is_document_id

EVERY_BODY = [DirectBody, QueueBody, WorkerBody]
MORNING = datetime(2026, 11, 22, 10, tzinfo=UTC)


def read(kind: type[Body], fields: dict) -> Any:
    return kind.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        (DirectBody, {"batch_size": 300, "cursor": None, "user_ids": None}),
        (QueueBody, {"process_time": 60_000, "scan": ScanRequest.ALL, "create_jobs": True}),
        (WorkerBody, {"process_time": 60_000, "max_jobs": 1000}),
    ],
)
def test_an_empty_body_has_the_defaults(kind, defaults):
    """Every field has the documented default, and `as_of` is not set."""
    assert {"as_of": None, **defaults} == read(kind, {}).model_dump()


@pytest.mark.parametrize(
    ("kind", "fields", "values"),
    [
        (DirectBody, {"batchSize": 1}, {"batch_size": 1}),
        (DirectBody, {"batchSize": 1000}, {"batch_size": 1000}),
        (DirectBody, {"cursor": "WzIsImEiXQ=="}, {"cursor": "WzIsImEiXQ=="}),
        (DirectBody, {"cursor": None, "userIds": None}, {"cursor": None, "user_ids": None}),
        (DirectBody, {"userIds": ["ann"]}, {"user_ids": ["ann"]}),
        (DirectBody, {"userIds": ["ann"], "cursor": None}, {"user_ids": ["ann"]}),
        (DirectBody, {"userIds": ["b", "a", "b", "a"]}, {"user_ids": ["b", "a"]}),
        (DirectBody, {"userIds": ["u" * 1500]}, {"user_ids": ["u" * 1500]}),
        (QueueBody, {"processTime": 1000, "scan": "all"}, {"process_time": 1000, "scan": ScanRequest.ALL}),
        (QueueBody, {"scan": "due", "createJobs": False}, {"scan": ScanRequest.DUE, "create_jobs": False}),
        (QueueBody, {"scan": "auto", "createJobs": True}, {"scan": ScanRequest.AUTO, "create_jobs": True}),
        (QueueBody, {"scan": "adopt"}, {"scan": ScanRequest.ADOPT}),
        (WorkerBody, {"processTime": 1_800_000, "maxJobs": 1}, {"process_time": 1_800_000, "max_jobs": 1}),
    ],
)
def test_right_values_are_read(kind, fields, values):
    """Values at both ends of each range are accepted. A user named twice counts once."""
    body = read(kind, fields)

    assert values == {name: getattr(body, name) for name in values}


# Values that are refused, each with its body and field.
NOT_WHOLE: list[object] = [None, True, "5", 5.0, 5.5, [], {}, float("nan"), float("inf")]
REFUSED = [
    *[(DirectBody, "batchSize", value) for value in [0, -1, 1001, 10**30, *NOT_WHOLE]],
    *[(DirectBody, "cursor", value) for value in ["", "x" * 13_001, 5, True, [], {}]],
    *[(DirectBody, "userIds", value) for value in [[], "ann", 5, {}, {"0": "ann"}, ["u"] * (NAMED_USERS_MAX + 1)]],
    *[(DirectBody, "userIds", [value]) for value in [5, None, True, "", ".", "..", "a/b", "__a__", "u" * 1501, ["a"]]],
    *[(QueueBody, "scan", value) for value in ["", "ALL", "full", None, True, 5, ["all"], {"all": 1}]],
    *[(QueueBody, "createJobs", value) for value in [None, 0, 1, "false", "", []]],
    *[(kind, "processTime", value) for kind in (QueueBody, WorkerBody) for value in [0, 999, 1_800_001, *NOT_WHOLE]],
    *[(WorkerBody, "maxJobs", value) for value in [0, -1, 1001, *NOT_WHOLE]],
    *[
        (kind, "asOf", value)
        for kind in EVERY_BODY
        for value in [
            0,
            1_790_000_000,
            1.5,
            True,
            [],
            {},
            ["2026-11-22T10:00:00Z"],
            "",
            "now",
            "T",
            "1790000000",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22 10:00:00Z",
            "2026-11-22T25:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-11-22T10:00:00+25:00",
            "1969-12-31T23:59:59Z",
            "3000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-12:00",
        ]
    ],
    *[(kind, name, 1) for kind in EVERY_BODY for name in ("batch_size", "as_of", "asof", "AsOf", "colour")],
    (DirectBody, "processTime", 60_000),
    (DirectBody, "maxJobs", 5),
    (QueueBody, "batchSize", 5),
    (WorkerBody, "scan", "all"),
]


@pytest.mark.parametrize(("kind", "field", "value"), REFUSED, ids=lambda value: str(value)[:30])
def test_wrong_values_and_keys_are_refused(kind, field, value):
    """For a wrong type, a value out of range or an unknown key, the first problem names that field."""
    with pytest.raises(ValidationError) as raised:
        read(kind, {field: value})

    assert field == raised.value.errors()[0]["loc"][0]


def test_a_page_and_named_users_exclude_each_other():
    """A call refreshes either a page or the named users."""
    with pytest.raises(ValidationError, match="userIds and cursor exclude each other"):
        read(DirectBody, {"userIds": ["ann"], "cursor": "x"})


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, False),
        ({"userIds": None}, False),
        ({"asOf": "2026-11-22T10:00:00Z"}, False),
        ({"userIds": ["ann"]}, True),
        ({"batchSize": 300}, True),
        ({"cursor": None}, True),
        ({"cursor": "x"}, True),
    ],
)
def test_a_direct_call_says_which_users_it_is_about(fields, outcome):
    """It names users, or asks for a page of all users."""
    assert read(DirectBody, fields).says_whom is outcome


@pytest.mark.parametrize("kind", EVERY_BODY)
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (None, None),
        ("2026-11-22T10:00:00Z", MORNING),
        ("2026-11-22T12:00:00+02:00", MORNING),
        ("2026-11-22T10:00Z", MORNING),
        ("2026-11-22T10:00:00.250Z", MORNING + timedelta(milliseconds=250)),
        ("20261122T100000Z", MORNING),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2999-12-31T23:59:59-12:00", datetime(2999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))),
    ],
)
def test_as_of_is_iso_8601_with_an_offset(kind, text, instant):
    """The rule is the same in every body. null means that no time is given."""
    assert instant == read(kind, {"asOf": text}).as_of


@given(st.text() | st.datetimes().map(datetime.isoformat))
def test_as_of_has_an_offset_or_is_refused(text):
    """A text without an offset or with a year out of range is refused. The message does not repeat the text."""
    try:
        body = read(Body, {"asOf": text})
    except ValidationError as exc:
        (problem,) = exc.errors(include_input=False)
        assert problem["type"] in ("value_error", "timezone_aware", "json_invalid")
        assert text in AS_OF_EXPECTED or text not in problem["msg"].removeprefix("Value error, ")
        return

    assert body.as_of is not None
    assert body.as_of.utcoffset() is not None
    assert 1970 <= body.as_of.year <= 2999


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (DirectBody(), 60.0),
        (QueueBody(), 60.0),
        (read(WorkerBody, {"processTime": 1500}), 1.5),
        (read(QueueBody, {"processTime": 1000}), 1),
    ],
)
def test_a_body_has_its_time_budget_in_seconds(body, seconds):
    """A body without `processTime` has a minute."""
    assert seconds == body.process_seconds


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(texts, min_size=1, max_size=10))
def test_named_users_are_document_ids_and_each_counts_once(user_ids):
    """They keep their order. A body with one bad id is refused."""
    try:
        body = read(DirectBody, {"userIds": user_ids})
    except ValidationError:
        assert not all(map(is_document_id, user_ids))
        return

    assert list(dict.fromkeys(user_ids)) == body.user_ids


@pytest.mark.parametrize(
    ("user_id", "fits"),
    [
        ("__id123__", True),
        ("__id-5__", True),
        ("__id9223372036854775807__", True),
        ("__id-9223372036854775808__", True),
        ("__id9223372036854775808__", False),
        ("__id99999999999999999999__", False),
        (f"__id{'9' * 1400}__", False),
        ("__id0__", False),
        ("__id007__", False),
        ("__id٣__", False),
        ("__id__", False),
        ("__id5__x__", False),
        ("__ann__", False),
        ("_____", False),
        ("____", True),
        ("__", True),
        ("__a", True),
        ("__id5__\n", True),
    ],
)
def test_only_datastore_ids_may_begin_and_end_with_two_underscores(user_id, fits):
    """Firestore reserves names between double underscores, except `__id123__`, which imports from Datastore use.

    Such a number has 64 bits, and no leading zero. Firestore refuses the whole request that names another one.
    """
    assert is_document_id(user_id) is fits
