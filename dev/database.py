"""The demo's own way into the emulator: whole documents in, whole documents out, a guarded write for the app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.cloud.firestore_v1.types import query

from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.values import DocumentPb, WritePb, nanoseconds, put, put_fields, put_nanoseconds
from shared.store.wire import Connection, Wire, Written, open_client

StructuredQueryPb = query.StructuredQuery.pb()
CALL_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """New values for some fields of a document, good as long as its update time stands."""

    document_id: str
    fields: Mapping[str, Any]
    update_time_ns: int


class Database:
    """One project of the emulator. Safe under threads."""

    def __init__(self, host: str, project: str, database: str = "(default)") -> None:
        self._connection = Connection(
            client=open_client(host),
            database=f"projects/{project}/databases/{database}",
            emulated=True,
            breaker=Breaker(failures_max=1000, reset_seconds=1),
        )

    def close(self) -> None:
        """Calls under way and calls to come fail at once."""
        self._connection.client.transport.close()

    def create(self, collection: str, documents: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Write up to 500 whole documents; their update times. Raises RuntimeError if one is refused."""
        answers = self._wire.batch_write([self._whole(collection, *document) for document in documents])
        return [_accepted(answer).update_time_ns for answer in answers]

    def read(self, collection: str, document_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
        """Some fields of some documents, as messages by id."""
        found = self._wire.batch_get([self._name(collection, one) for one in document_ids], fields)
        return {document_id(document): document for document in found.values()}

    def change(self, collection: str, changes: Sequence[Change]) -> list[bool]:
        """Make guarded changes, each for itself; False for those whose document was not as it had been read."""
        answers = self._wire.batch_write([self._guarded(collection, change) for change in changes])
        return [answer.code == 0 or not _refused_by_guard(answer) for answer in answers]

    def scan(self, collection: str, page_size: int) -> Iterator[Any]:
        """Every document of a collection, as messages, in order of id."""
        page = self._page(collection, None, page_size)
        while page:
            yield from page
            page = self._page(collection, page[-1].name, page_size) if len(page) == page_size else []

    def find(self, collection: str, field: str, value: Any, limit: int) -> list[str]:
        """The ids of documents that have that value there."""
        wanted = _query(collection, limit)
        condition = wanted.where.field_filter
        condition.field.field_path = field
        condition.op = query.StructuredQuery.FieldFilter.Operator.EQUAL.value
        put(condition.value, value)
        return [document_id(document) for document in self._run(wanted)]

    def is_empty(self, collection: str) -> bool:
        """A collection inside of a document, too."""
        parent, _, name = f"/{collection}".rpartition("/")
        return not self._wire.run_query(self._wire.documents + parent, _query(name, 1), lambda document: document)

    def _page(self, collection: str, after: str | None, page_size: int) -> list[Any]:
        wanted = _query(collection, page_size)
        order = wanted.order_by.add()
        order.field.field_path = "__name__"
        order.direction = query.StructuredQuery.Direction.ASCENDING.value
        if after is not None:
            wanted.start_at.values.add().reference_value = after
            wanted.start_at.before = False
        return self._run(wanted)

    def _run(self, wanted: Any) -> list[Any]:
        return self._wire.run_query(self._wire.documents, wanted, lambda document: document)

    def _whole(self, collection: str, one: str, fields: Mapping[str, Any]) -> Any:
        message = WritePb()
        message.update.name = self._name(collection, one)
        put_fields(message.update.fields, fields)
        return message

    def _guarded(self, collection: str, change: Change) -> Any:
        message = self._whole(collection, change.document_id, change.fields)
        message.update_mask.field_paths.extend(change.fields)
        put_nanoseconds(message.current_document.update_time, change.update_time_ns)
        return message

    def _name(self, collection: str, one: str) -> str:
        return f"{self._wire.documents}/{collection}/{one}"

    @property
    def _wire(self) -> Wire:
        return Wire(self._connection, Budget.of(CALL_SECONDS_MAX), Cost())


def document_id(document: Any) -> str:
    return str(document.name).rpartition("/")[2]


def update_time_ns(document: Any) -> int:
    return nanoseconds(document.update_time)


def serialized(fields: Mapping[str, Any]) -> bytes:
    """A document's values as bytes, the same for the same values."""
    message = DocumentPb()
    put_fields(message.fields, fields)
    return bytes(message.SerializeToString(deterministic=True))


def serialized_values(document: Any) -> bytes:
    """The same of a document as it was read."""
    message = DocumentPb()
    message.CopyFrom(document)
    for name in ("name", "create_time", "update_time"):
        message.ClearField(name)
    return bytes(message.SerializeToString(deterministic=True))


def _query(collection: str, limit: int) -> Any:
    wanted = StructuredQueryPb()
    wanted.from_.add().collection_id = collection
    wanted.limit.value = limit
    return wanted


def _accepted(answer: Written) -> Written:
    if answer.code != 0:
        raise RuntimeError(f"the emulator refused a document: {answer.message}")
    return answer


def _refused_by_guard(answer: Written) -> bool:
    """A refusal after a lost reply could be our own first try: then nobody knows what was spent."""
    if answer.retried or answer.code not in (5, 9, 10):
        raise RuntimeError(f"the emulator failed in a write of the app: {answer.message}")
    return True
