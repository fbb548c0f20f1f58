"""Requests: a bad one is refused with a stable code, the field and a message, and nothing internal."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from flask import Flask, Request, request
from hypothesis import example, given
from hypothesis import strategies as st

from shared.edge.bodies import Body, DirectBody, QueueBody, WorkerBody
from shared.edge.requests import BODY_BYTES_MAX, RequestError, check_method, read_body

app = Flask("unit")

DEEP = 100_000


def read(data: bytes | str, kind: type[Body] = DirectBody, *, emulated: bool = True, **more) -> Body:
    with app.test_request_context(method="POST", data=data, **more):
        return read_body(request, kind, emulated=emulated)


def refusal(data: bytes | str, kind: type[Body] = DirectBody, **more) -> RequestError:
    with pytest.raises(RequestError) as raised:
        read(data, kind, **more)
    return raised.value


@pytest.mark.parametrize("data", [b"", b" ", b"\r\n\t", b"{}", b" {} \n"])
@pytest.mark.parametrize("kind", [DirectBody, QueueBody, WorkerBody])
def test_an_empty_body_is_an_empty_object(data, kind):
    """Cloud Scheduler may send no body."""
    assert kind() == read(data, kind)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_is_read_as_json_whatever_its_content_type(content_type):
    assert DirectBody.model_validate({"batchSize": 5}) == read(b'{"batchSize": 5}', content_type=content_type)


@pytest.mark.parametrize(
    ("data", "code", "field", "message"),
    [
        ("{", "invalid_json", None, "the body is not JSON"),
        ("batchSize=5", "invalid_json", None, "the body is not JSON"),
        ("{'batchSize': 5}", "invalid_json", None, "the body is not JSON"),
        ('{"batchSize": 5,}', "invalid_json", None, "the body is not JSON"),
        ('{"batchSize": 5} {}', "invalid_json", None, "the body is not JSON"),
        (b"\xff\xfe", "invalid_json", None, "the body is not JSON"),
        (b"\x00", "invalid_json", None, "the body is not JSON"),
        (b"\xef\xbb\xbf{}", "invalid_json", None, "the body is not JSON"),
        ("{}".encode("utf-16"), "invalid_json", None, "the body is not JSON"),
        (r'{"cursor": "\ud800"}', "invalid_json", None, "the body is not JSON"),
        ('{"batchSize": ' + "9" * 5000 + "}", "invalid_json", None, "the body is not JSON"),
        ("[" * DEEP, "invalid_json", None, "the body is not JSON"),
        ("[" * DEEP + "]" * DEEP, "invalid_json", None, "the body is not JSON"),
        ('{"a":' * DEEP, "invalid_json", None, "the body is not JSON"),
        ('{"batchSize":' + "[" * DEEP + "]" * DEEP + "}", "invalid_json", None, "the body is not JSON"),
        ("null", "not_an_object", None, "the body must be a JSON object"),
        ("[]", "not_an_object", None, "the body must be a JSON object"),
        ('[{"batchSize": 5}]', "not_an_object", None, "the body must be a JSON object"),
        ('"{}"', "not_an_object", None, "the body must be a JSON object"),
        ("5", "not_an_object", None, "the body must be a JSON object"),
        ("true", "not_an_object", None, "the body must be a JSON object"),
        ("NaN", "not_an_object", None, "the body must be a JSON object"),
        ('{"colour": 1}', "unknown_field", "colour", "colour: Extra inputs are not permitted"),
        ('{"batch_size": 5}', "unknown_field", "batch_size", "batch_size: Extra inputs are not permitted"),
        ('{"batchSize": "5"}', "wrong_type", "batchSize", "batchSize: Input should be a valid integer"),
        ('{"batchSize": true}', "wrong_type", "batchSize", "batchSize: Input should be a valid integer"),
        ('{"batchSize": 5.0}', "wrong_type", "batchSize", "batchSize: Input should be a valid integer"),
        ('{"batchSize": NaN}', "wrong_type", "batchSize", "batchSize: Input should be a valid integer"),
        ('{"batchSize": null}', "wrong_type", "batchSize", "batchSize: Input should be a valid integer"),
        ('{"batchSize": 0}', "out_of_range", "batchSize", "batchSize: Input should be greater than or equal to 1"),
        ('{"batchSize": 1001}', "out_of_range", "batchSize", "batchSize: Input should be less than or equal to 1000"),
        ('{"cursor": ""}', "out_of_range", "cursor", "cursor: String should have at least 1 character"),
        ('{"userIds": "ann"}', "wrong_type", "userIds", "userIds: Input should be a valid array"),
        ('{"userIds": ["a", 5]}', "wrong_type", "userIds.1", "userIds.1: Input should be a valid string"),
        ('{"userIds": ["a", ""]}', "invalid_value", "userIds", "userIds: entry 1 is not the id of a document"),
        (
            '{"userIds": ["a"], "cursor": "x"}',
            "invalid_value",
            None,
            "userIds and cursor exclude each other",
        ),
        ('{"asOf": 5}', "invalid_value", "asOf", "asOf: expected a time like 2026-11-22T10:00:00Z"),
        ('{"asOf": "secret T"}', "invalid_value", "asOf", "asOf: expected a time like 2026-11-22T10:00:00Z"),
        ('{"asOf": "2026-11-22"}', "invalid_value", "asOf", "asOf: expected a time like 2026-11-22T10:00:00Z"),
        ('{"asOf": "2026-11-22T10:00:00"}', "invalid_value", "asOf", "asOf: Input should have timezone info"),
        ('{"asOf": "1969-12-31T23:59:59Z"}', "invalid_value", "asOf", "asOf: expected a year from 1970 to 2999"),
    ],
    ids=lambda value: ascii(value)[:40] if isinstance(value, str | bytes) else None,
)
def test_the_error_says_what_is_wrong_with_a_body(data, code, field, message):
    """The answer is 400 with a stable code, the field and a helpful message."""
    error = refusal(data)

    assert (400, code, field, message) == (error.status, error.code, error.field, str(error))


def test_too_few_and_too_many_users_are_out_of_range():
    """A body names at least one user and at most a thousand."""
    for user_ids in ([], ["u"] * 1001):
        error = refusal(json.dumps({"userIds": user_ids}))

        assert (error.code, error.field) == ("out_of_range", "userIds")


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ('{"scan": "full"}', "invalid_value", "scan"),
        ('{"scan": null}', "invalid_value", "scan"),
        ('{"createJobs": "false"}', "wrong_type", "createJobs"),
        ('{"processTime": 999}', "out_of_range", "processTime"),
        ('{"processTime": 1800001}', "out_of_range", "processTime"),
        ('{"maxJobs": 5}', "unknown_field", "maxJobs"),
    ],
)
def test_errors_in_the_builders_body_have_the_same_codes(data, code, field):
    error = refusal(data, QueueBody)

    assert (400, code, field) == (error.status, error.code, error.field)


@pytest.mark.parametrize("kind", [DirectBody, QueueBody, WorkerBody])
def test_as_of_is_refused_in_production(kind):
    """`asOf` is for the emulator. null means that no time is given."""
    error = refusal('{"asOf": "2026-11-22T10:00:00Z"}', kind, emulated=False)

    assert (error.status, error.code, error.field) == (400, "as_of_refused", "asOf")
    assert kind() == read('{"asOf": null}', kind, emulated=False)
    assert read('{"asOf": "2026-11-22T10:00:00Z"}', kind, emulated=True).as_of is not None


def test_a_body_may_be_large():
    """A thousand of the longest ids fit."""
    user_ids = [f"{number:04}{'ü' * 748}" for number in range(1000)]
    data = json.dumps({"userIds": user_ids}, ensure_ascii=False).encode()

    body = read(data)

    assert isinstance(body, DirectBody)
    assert user_ids == body.user_ids
    assert len(data) > 1_500_000


def test_a_body_is_bounded():
    """The limit is exact to the byte."""
    assert read(b" " * (BODY_BYTES_MAX - 2) + b"{}") == DirectBody()

    error = refusal(b" " * (BODY_BYTES_MAX - 1) + b"{}")

    assert (error.status, error.code, error.field) == (400, "body_too_large", None)


def test_a_body_with_too_large_a_content_length_is_not_read():
    """The announced length is enough to refuse it."""
    stream = Endless()
    environ = {"wsgi.input": stream, "CONTENT_LENGTH": str(BODY_BYTES_MAX + 1), "REQUEST_METHOD": "POST"}

    with pytest.raises(RequestError) as raised:
        read_body(Request(environ), DirectBody, emulated=True)

    assert (raised.value.code, stream.taken) == ("body_too_large", 0)


class Endless(BytesIO):
    """A body that never ends. It counts how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0
        self.taken += size
        return b" " * size


def test_a_body_without_a_length_is_bounded_as_well():
    """A body sent in chunks is read up to the limit and no further."""
    stream = Endless()
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True, "REQUEST_METHOD": "POST"}

    with pytest.raises(RequestError) as raised:
        read_body(Request(environ), DirectBody, emulated=True)

    assert raised.value.code == "body_too_large"
    assert stream.taken < BODY_BYTES_MAX + 100_000


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_the_error_for_a_wrong_method_names_the_right_one(method):
    """The answer is 405, before the body is read."""
    with app.test_request_context(method=method), pytest.raises(RequestError) as raised:
        check_method(request, ("POST",))

    assert (raised.value.status, raised.value.code) == (405, "method_not_allowed")
    assert str(raised.value) == f"{method} is not possible here; use POST"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_any_allowed_method_passes(method):
    with app.test_request_context(method=method):
        check_method(request, ("GET", "POST"))


FIELDS = ["asOf", "batchSize", "createJobs", "cursor", "maxJobs", "processTime", "scan", "userIds"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), json_values, max_size=4)


@given(
    st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")) | bodies.map(json.dumps),
    st.sampled_from([DirectBody, QueueBody, WorkerBody]),
    st.booleans(),
)
@example(b"[" * DEEP, DirectBody, True)  # noqa: FBT003 (drawn by position)
@example('{"' + "x" * 10_000 + '": 1}', DirectBody, True)  # noqa: FBT003
def test_any_bytes_are_a_body_or_refused(data, kind, emulated):
    """Any bytes are accepted, or answered 400 with a code and a message of reasonable length."""
    try:
        body = read(data, kind, emulated=emulated)
    except RequestError as exc:
        assert exc.status == 400  # noqa: PT017 (either outcome holds)
        assert exc.code  # noqa: PT017
        assert 0 < len(str(exc)) <= 500  # noqa: PT017
        assert exc.field is None or 0 < len(exc.field) <= 100  # noqa: PT017
        return

    assert isinstance(body, kind)
    assert emulated or body.as_of is None


def test_a_body_cut_off_on_the_way_is_refused():
    """A body that arrived only in part is not taken for the whole."""
    cut_off = {"data": b'{"maxJobs"', "environ_overrides": {"CONTENT_LENGTH": "500"}}
    with app.test_request_context(method="POST", **cut_off), pytest.raises(RequestError) as raised:
        read_body(request, WorkerBody, emulated=True)

    assert (raised.value.status, raised.value.code) == (400, "body_cut_off")
