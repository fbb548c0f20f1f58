"""Python values to Firestore's and back, on plain protobuf messages (proto-plus objects cost ten times as much)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore_v1.types import document, write

ValuePb = document.Value.pb()
DocumentPb = document.Document.pb()
WritePb = write.Write.pb()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALARS = frozenset({"string_value", "integer_value", "double_value", "boolean_value"})
_SIMPLE_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


class Reference(str):
    """The name of a document, as a value."""

    __slots__ = ()


def put(value: Any, python: Any) -> None:  # noqa: C901 (one case a type)
    """Set a Value message from None, a bool, int, float, str, Reference, bytes, datetime, list, tuple or mapping."""
    match python:
        case None:
            value.null_value = 0
        case bool():
            value.boolean_value = python
        case int():
            value.integer_value = python
        case float():
            value.double_value = python
        case Reference():
            value.reference_value = python
        case str():
            value.string_value = python
        case bytes():
            value.bytes_value = python
        case datetime():
            put_time(value.timestamp_value, python)
        case Mapping():
            value.map_value.SetInParent()
            put_fields(value.map_value.fields, python)
        case Sequence():
            value.array_value.SetInParent()
            for item in python:
                put(value.array_value.values.add(), item)
        case _:
            raise TypeError(f"{type(python).__name__} has no Firestore value")


def put_fields(fields: Any, python: Mapping[str, Any]) -> None:
    """Set the entries of a map of Values."""
    for name, item in python.items():
        put(fields[name], item)


def get(value: Any) -> Any:
    """The Python value of a Value message. A reference gives its path; bytes and geo points stay as they are."""
    kind = value.WhichOneof("value_type")
    if kind in _SCALARS:  # nearly all of them; asked for first, because every field of every user comes by here
        return getattr(value, kind)
    if kind == "map_value":
        return get_fields(value.map_value.fields)
    if kind == "timestamp_value":
        return get_time(value.timestamp_value)
    if kind == "array_value":
        return [get(item) for item in value.array_value.values]
    return None if kind is None or kind == "null_value" else getattr(value, kind)


def get_fields(fields: Any) -> dict[str, Any]:
    """A map of Values as a dict. By key, because the items of a protobuf map are made one by one in Python."""
    return {name: get(fields[name]) for name in fields}


def put_time(message: Any, instant: datetime) -> None:
    """Set a Timestamp message, exact to the microsecond."""
    elapsed = instant - _EPOCH
    message.seconds = elapsed.days * 86_400 + elapsed.seconds
    message.nanos = elapsed.microseconds * 1000


def get_time(message: Any) -> datetime:
    """The time of a Timestamp message, in UTC, rounded down to the microsecond."""
    return _EPOCH + timedelta(0, message.seconds, message.nanos // 1000)


def nanoseconds(message: Any) -> int:
    """A Timestamp message in nanoseconds, because an update time must stay exact."""
    return int(message.seconds) * 1_000_000_000 + int(message.nanos)


def get_instant(instant_ns: int) -> datetime:
    """The time of these nanoseconds, in UTC, rounded down to the microsecond."""
    return _EPOCH + timedelta(microseconds=instant_ns // 1000)


def put_nanoseconds(message: Any, instant_ns: int) -> None:
    message.seconds, message.nanos = divmod(instant_ns, 1_000_000_000)


def field_path(names: Iterable[str]) -> str:
    """The field path of nested names, quoted where Firestore requires it."""
    return ".".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    if _SIMPLE_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
