"""Reads and writes documents of the emulator, for the demo, the tests and the benchmarks.

A path names a document, beginning at the root of the database, like `users/ada`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.messages import DOCUMENT_ID, add_filters, add_order, guard, new_query, new_write
from shared.store.values import DocumentPb, WritePb, get_fields, nanoseconds, put_fields
from shared.store.wire import Connection, Wire, Written, open_client

CALL_SECONDS_MAX = 60.0
WRITES_MAX = 500  # of one BatchWrite


@dataclass(frozen=True, slots=True)
class Change:
    """New values for some fields of a document. They are written only if the document has this update time."""

    document_id: str
    fields: Mapping[str, Any]
    update_time_ns: int


class Database:
    """One project of the emulator. Safe under threads."""

    def __init__(self, host: str, project: str, database: str = "(default)") -> None:
        self.connection = Connection(
            client=open_client(host),
            database=f"projects/{project}/databases/{database}",
            emulated=True,
            breaker=Breaker(failures_max=1000, reset_seconds=1),
        )

    @property
    def wire(self) -> Wire:
        """A wire for one call, or a few calls."""
        return Wire(self.connection, Budget.of(CALL_SECONDS_MAX), Cost())

    def close(self) -> None:
        """Close the connection. Running and later calls fail at once."""
        self.connection.client.transport.close()

    def put(self, documents: Mapping[str, Mapping[str, Any]]) -> list[int]:
        """Write whole documents, by path. Returns their update times. Raises RuntimeError if one is refused."""
        return self._write([self._whole(path, fields) for path, fields in documents.items()])

    def commit(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Write up to 500 whole documents, by path, in one Commit: all or none."""
        self.wire.commit([self._whole(path, fields) for path, fields in documents.items()])

    def merge(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Write some fields of documents, by path. The other fields stay."""
        self._write([self._partial(path, fields) for path, fields in documents.items()])

    def create(self, collection: str, documents: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Write whole documents of one collection, by id. Returns their update times."""
        return self.put({f"{collection}/{one}": fields for one, fields in documents})

    def delete(self, path: str) -> None:
        self.wire.commit([WritePb(delete=self._name(path))])

    def get(self, path: str) -> dict[str, Any] | None:
        """The fields of a document; None if it does not exist."""
        document = self.wire.get(self._name(path))
        return None if document is None else get_fields(document.fields)

    def all(self, collection: str, under: str = "") -> dict[str, dict[str, Any]]:
        """The fields of every document of a collection, by id. `under`: the path of the document that holds it."""
        return {document_id(one): get_fields(one.fields) for one in self.scan(collection, 1000, under)}

    def read(self, collection: str, document_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
        """Some fields of some documents, as protobuf messages by id."""
        found = self.wire.batch_get([self._name(f"{collection}/{one}") for one in document_ids], fields)
        return {document_id(document): document for document in found.values()}

    def change(self, collection: str, changes: Sequence[Change]) -> list[bool]:
        """Make guarded changes, each on its own. False for a document that has changed since it was read."""
        writes = [self._partial(f"{collection}/{change.document_id}", change.fields) for change in changes]
        for write, change in zip(writes, changes, strict=True):
            guard(write, change.update_time_ns)
        answers = self.wire.batch_write(writes)
        return [answer.code == 0 or not _is_refused_by_guard(answer) for answer in answers]

    def scan(self, collection: str, page_size: int, under: str = "") -> Iterator[Any]:
        """Every document of a collection, as protobuf messages, in order of id."""
        page = self._page(collection, None, page_size, under)
        while page:
            yield from page
            page = self._page(collection, page[-1].name, page_size, under) if len(page) == page_size else []

    def find(self, collection: str, field: str, value: Any, limit: int) -> list[str]:
        """The ids of documents that have this value in this field."""
        wanted = new_query(collection, limit)
        add_filters(wanted, [(field, "==", value)])
        return [document_id(document) for document in self._run(wanted)]

    def is_empty(self, collection: str) -> bool:
        """True for a collection without documents. It may be inside of a document."""
        under, _, name = collection.rpartition("/")
        return not self._run(new_query(name, 1), under)

    def _page(self, collection: str, after: str | None, page_size: int, under: str) -> list[Any]:
        wanted = new_query(collection, page_size)
        add_order(wanted, DOCUMENT_ID)
        if after is not None:
            wanted.start_at.values.add().reference_value = after
            wanted.start_at.before = False
        return self._run(wanted, under)

    def _run(self, wanted: Any, under: str = "") -> list[Any]:
        parent = self._name(under) if under else self.wire.documents
        return self.wire.run_query(parent, wanted, lambda document: document)

    def _write(self, writes: Sequence[Any]) -> list[int]:
        answers: list[Written] = []
        for start in range(0, len(writes), WRITES_MAX):
            answers += self.wire.batch_write(writes[start : start + WRITES_MAX])
        return [_check_accepted(answer).update_time_ns for answer in answers]

    def _whole(self, path: str, fields: Mapping[str, Any]) -> Any:
        return new_write(self._name(path), fields)

    def _partial(self, path: str, fields: Mapping[str, Any]) -> Any:
        return new_write(self._name(path), fields, fields)

    def _name(self, path: str) -> str:
        return f"{self.connection.documents}/{path}"


def document_id(document: Any) -> str:
    return str(document.name).rpartition("/")[2]


def update_time_ns(document: Any) -> int:
    return nanoseconds(document.update_time)


def serialize(fields: Mapping[str, Any]) -> bytes:
    """The values as bytes. Equal values give equal bytes."""
    message = DocumentPb()
    put_fields(message.fields, fields)
    return bytes(message.SerializeToString(deterministic=True))


def serialize_values(document: Any) -> bytes:
    """The values of a document that was read, as bytes."""
    message = DocumentPb()
    message.CopyFrom(document)
    for name in ("name", "create_time", "update_time"):
        message.ClearField(name)
    return bytes(message.SerializeToString(deterministic=True))


def _check_accepted(answer: Written) -> Written:
    if answer.code != 0:
        raise RuntimeError(f"the emulator refused a document: {answer.message}")
    return answer


def _is_refused_by_guard(answer: Written) -> bool:
    """True if the document has changed. Raises RuntimeError after any other failure, and also after a lost reply:
    then nobody knows whether the write landed."""
    if answer.retried or answer.code not in (5, 9, 10):
        raise RuntimeError(f"the emulator failed in a write of the app: {answer.message}")
    return True
