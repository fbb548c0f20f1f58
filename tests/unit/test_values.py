"""Values: they are encoded for Firestore and decoded again without change."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

import pytest
from google.cloud.firestore_v1.field_path import FieldPath
from hypothesis import given
from hypothesis import strategies as st

from shared.core.jobs import JobStatus
from shared.store.values import (
    DocumentPb,
    ValuePb,
    WritePb,
    field_path,
    get,
    get_fields,
    get_time,
    nanoseconds,
    put,
    put_fields,
    put_nanoseconds,
    put_time,
)

# The range of a Firestore timestamp.
times = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary()
    | times,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


def encoded_and_decoded(python: object) -> object:
    """The value after encoding to bytes and decoding again."""
    message = ValuePb()
    put(message, python)
    return get(ValuePb.FromString(message.SerializeToString()))


def types_in(python: object) -> object:
    """The types of a value and of everything inside it."""
    if isinstance(python, dict):
        return {name: types_in(item) for name, item in python.items()}
    return [types_in(item) for item in python] if isinstance(python, list) else type(python)


@given(values)
def test_a_value_is_decoded_as_it_was(python):
    """Value and type are kept: 5 is not 5.0, True is not 1, and a text is not its bytes."""
    decoded = encoded_and_decoded(python)

    assert python == decoded
    assert types_in(python) == types_in(decoded)


@pytest.mark.parametrize(
    ("python", "kind"),
    [
        (None, "null_value"),
        (True, "boolean_value"),
        (False, "boolean_value"),
        (0, "integer_value"),
        (1, "integer_value"),
        (-0.0, "double_value"),
        (5.0, "double_value"),
        (math.inf, "double_value"),
        ("", "string_value"),
        (JobStatus.PENDING, "string_value"),
        (b"", "bytes_value"),
        (b"ab", "bytes_value"),
        (datetime(2026, 11, 22, tzinfo=UTC), "timestamp_value"),
        ([], "array_value"),
        ((), "array_value"),
        ({}, "map_value"),
        (OrderedDict(), "map_value"),
        (MappingProxyType({"a": 1}), "map_value"),
    ],
)
def test_a_value_has_its_kind(python, kind):
    """An empty value has its kind too, so nothing is left unset."""
    message = ValuePb()
    put(message, python)

    assert kind == message.WhichOneof("value_type")


@pytest.mark.parametrize("python", [{1}, date(2026, 11, 22), Decimal(5), object(), 5j])
def test_a_type_that_firestore_does_not_have_is_refused(python):
    """The error names the type."""
    with pytest.raises(TypeError, match=rf"^{type(python).__name__} has no Firestore value$"):
        put(ValuePb(), python)


@pytest.mark.parametrize("python", [2**63, -(2**63) - 1])
def test_a_number_outside_64_bits_is_refused(python):
    """It is not truncated."""
    with pytest.raises(ValueError, match="out of range"):
        put(ValuePb(), python)


def test_nan_is_decoded_as_nan():
    """Firestore can hold NaN, and the check of a balance must see it."""
    decoded = encoded_and_decoded(math.nan)

    assert isinstance(decoded, float)
    assert math.isnan(decoded)


def test_a_reference_is_decoded_as_its_path():
    """A geo point stays as it is."""
    message = ValuePb()
    message.reference_value = "projects/p/databases/(default)/documents/users/ann"
    point = ValuePb()
    point.geo_point_value.latitude = 52.5

    assert get(message) == "projects/p/databases/(default)/documents/users/ann"
    assert get(point).latitude == 52.5


def test_a_value_that_was_never_set_is_none():
    """A newer server may send a kind that we don't know."""
    assert get(ValuePb()) is None


@given(st.dictionaries(texts, values, max_size=5))
def test_a_document_is_decoded_as_it_was(fields):
    document, write = DocumentPb(), WritePb()
    put_fields(document.fields, fields)
    put_fields(write.update.fields, fields)

    assert fields == get_fields(document.fields) == get_fields(write.update.fields)


@given(times)
def test_a_time_is_kept_to_the_microsecond(instant):
    """This holds from the year 1 to 9999, before and after 1970."""
    message = ValuePb().timestamp_value
    put_time(message, instant)

    assert 0 <= message.nanos < 1_000_000_000
    assert instant == get_time(message)


def test_a_time_of_any_zone_is_decoded_in_utc():
    """A time without a zone is refused."""
    message = ValuePb().timestamp_value
    put_time(message, datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=2))))

    assert get_time(message) == datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert get_time(message).tzinfo is UTC
    with pytest.raises(TypeError):
        put_time(message, datetime(2026, 11, 22))  # noqa: DTZ001 (it is refused)


def test_a_time_is_rounded_down_to_the_microsecond():
    """Python has no nanoseconds. Times before 1970 are rounded down too."""
    message = ValuePb().timestamp_value
    message.seconds, message.nanos = -1, 999_999_999

    assert get_time(message) == datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_update_time_is_kept_to_the_nanosecond(instant_ns):
    """A precondition needs the exact update time."""
    message = ValuePb().timestamp_value
    put_nanoseconds(message, instant_ns)

    assert 0 <= message.nanos < 1_000_000_000
    assert instant_ns == nanoseconds(message)


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (["credits"], "credits"),
        (["creditRefresh", "periods", "free"], "creditRefresh.periods.free"),
        (["_a1", "B_"], "_a1.B_"),
        (["periods", "team plan"], "periods.`team plan`"),
        (["periods", "1st"], "periods.`1st`"),
        (["a.b"], "`a.b`"),
        (["a`b"], r"`a\`b`"),
        (["a\\b"], r"`a\\b`"),
        (["über"], "`über`"),
        (["free\n"], "`free\n`"),
    ],
)
def test_a_field_path_is_quoted_where_it_must_be(names, path):
    """A plan's name may hold any character, so it may need quotes."""
    assert path == field_path(names)


@given(st.lists(texts.filter(lambda name: name and "\n" not in name), min_size=1, max_size=4))
def test_a_field_path_equals_that_of_the_client_library(names):
    """Google's client quotes names with line breaks wrongly, so these are left out."""
    assert FieldPath(*names).to_api_repr() == field_path(names)
