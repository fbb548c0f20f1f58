"""Users: read in pages or by id, and granted in batches, each write under a precondition."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar

from shared.core.changes import REQUESTED
from shared.core.decision import Grant
from shared.core.errors import RejectedError, StoreError
from shared.core.ranges import WHEN_LOW, Cursor, OrderBy, RangeName, ScanRange
from shared.core.users import ABSENT, BadParent, RawUser, stamp_of
from shared.store.messages import DOCUMENT_ID, add_filters, add_order, guard, new_query, new_write
from shared.store.values import (
    Reference,
    WritePb,
    field_path,
    get,
    get_time,
    nanoseconds,
    put,
    put_nanoseconds,
    put_time,
)
from shared.store.wire import PASSING_CODES, FaultError, Wire

WRITES_MAX = 500  # writes in one BatchWrite
READS_MAX = 500  # documents in one BatchGetDocuments

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class UserFields:
    """Where the app keeps what we need; paths of nested names. `purchased`: None where no credits are sold.

    `zone`: None where all users have the deployment's time zone.
    """

    collection: str
    balance: tuple[str, ...]
    plan: tuple[str, ...]
    stamp: tuple[str, ...]
    created_at: tuple[str, ...] = ("createdAt",)
    purchased: tuple[str, ...] | None = None
    zone: tuple[str, ...] | None = None

    @property
    def fingerprint(self) -> str:
        """Changes with the collection and with every field's name."""
        own = (self.zone,) if self.zone else ()  # users of deployments without it need not be read again
        described = repr((self.collection, self.balance, self.plan, self.stamp, self.created_at, self.purchased, *own))
        return hashlib.blake2b(described.encode(), digest_size=8).hexdigest()

    @property
    def due_on(self) -> str:
        """The field path of the stamp's `dueOn`."""
        return field_path((*self.stamp, "dueOn"))

    @property
    def read(self) -> list[str]:
        """The top-level fields a read asks for.

        Asked for a nested field, Firestore leaves out a parent that is no map: a text there would look like nothing,
        and a write would put a map in its place. So a nested field comes with all that stands beside it.
        """
        paths = [self.balance, self.plan, self.created_at, self.stamp, self.purchased, self.zone]
        return [field_path(path[:1]) for path in dict.fromkeys(path[:1] for path in paths if path is not None)]

    @lru_cache(maxsize=1024)  # noqa: B019 (a few settings, a few plans)
    def written(self, plan: str, *, anchored: bool, adopting: bool, selling: bool, learning: bool) -> tuple[str, ...]:
        """The field paths that one write changes. It names single fields of the stamp, so other plans' periods stay."""
        names = [("plan",), ("periods", plan), ("dueOn",), ("nextAt",), (REQUESTED,)]
        if anchored:
            names.append(("anchor",))
        if learning:
            names.append(("activity",))
        if adopting:
            return tuple(field_path((*self.stamp, *name)) for name in [*names, ("adopt",)])
        names += [("before",), ("granted",), ("refreshedAt",), ("jobId",)]
        bought = [field_path(self.purchased)] if selling and self.purchased is not None else []
        return (field_path(self.balance), *bought, *(field_path((*self.stamp, *name)) for name in names))


@dataclass(frozen=True, slots=True)
class UserDocument:
    """A user as read, unchecked. `order_value`: of a range, what stands in its cursor beside the id."""

    user_id: str
    raw: RawUser
    update_time_ns: int
    order_value: str = ""


@dataclass(frozen=True, slots=True)
class StampWrite:
    """One guarded write: a grant and its stamp. `adopting`: it stamps the period and grants no credits."""

    user_id: str
    update_time_ns: int
    grant: Grant
    job_id: str
    refreshed_at: datetime
    next_at: datetime
    adopting: bool = False
    #: The stamp's `activity`; None if it is not written.
    activity: str | None = None


@dataclass(frozen=True, slots=True)
class StampFieldsWrite:
    """One guarded write of some fields of the stamp, and nothing beside them. None takes a field away."""

    user_id: str
    update_time_ns: int
    fields: Mapping[str, Any]


class WriteStatus(StrEnum):
    """How one guarded write ended. `changed`: the precondition did not hold."""

    WRITTEN = "written"
    CHANGED = "changed"
    TRANSIENT = "transient"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class WriteResult:
    status: WriteStatus
    message: str = ""


# By google.rpc.Code. For a deleted document a precondition answers NOT_FOUND or FAILED_PRECONDITION.
_STATUSES = {
    0: WriteStatus.WRITTEN,
    5: WriteStatus.CHANGED,
    9: WriteStatus.CHANGED,
    **dict.fromkeys(PASSING_CODES, WriteStatus.TRANSIENT),
}


class UserStore:
    """The users' collection through one call's wire."""

    def __init__(self, wire: Wire, fields: UserFields) -> None:
        self._wire = wire
        self._fields = fields
        parent, _, self._collection_id = fields.collection.rpartition("/")
        self._parent = f"{wire.documents}/{parent}" if parent else wire.documents
        self._prefix = f"{self._parent}/{self._collection_id}/"
        self._templates: dict[Hashable, Any] = {}  # as many as a job has plans, anchors and slots

    def page(self, after: str | None, limit: int) -> list[UserDocument]:
        """The next users in order of id, after that id."""
        return self.range_page(
            ScanRange(RangeName.EVERYBODY, OrderBy.ID), None if after is None else Cursor(after), limit, None
        )

    def range_page(
        self, each: ScanRange, after: Cursor | None, limit: int, read_time_ns: int | None
    ) -> list[UserDocument]:
        """The next users of a range after the cursor, as they were at a moment (None: now)."""
        path = self._order_path(each.order_by)
        wanted = new_query(self._collection_id, limit, self._fields.read)
        for ordered in dict.fromkeys((path, DOCUMENT_ID)):
            add_order(wanted, ordered)
        if each.start is not None:
            put(wanted.start_at.values.add(), self._bound(each, each.start.value))
            wanted.start_at.before = each.start.inclusive
        if each.end is not None:
            put(wanted.end_at.values.add(), self._bound(each, each.end.value))
            wanted.end_at.before = not each.end.inclusive
        if after is not None:
            self._start_after(wanted, each, after, read_time_ns)
        return self._wire.run_query(
            self._parent, wanted, lambda document: self._user_of_range(document, each), read_time_ns
        )

    def count_all(self, up_to: int, read_time_ns: int) -> int:
        """How many documents the collection holds, with a balance or without; no more than `up_to` are counted."""
        return self._wire.count(self._parent, new_query(self._collection_id), up_to, read_time_ns)

    def count_balances(self, read_time_ns: int | None = None) -> int:
        """How many documents have a balance, of any type."""
        return self._count_ordered(OrderBy.BALANCE, read_time_ns)

    def count_due_ons(self, read_time_ns: int | None = None) -> int:
        """How many documents have a stamp with a `dueOn`, of any type."""
        return self._count_ordered(OrderBy.DUE_ON, read_time_ns)

    def count_when_low(self, read_time_ns: int | None = None) -> int:
        """How many documents say that their user is found by balance."""
        wanted = new_query(self._collection_id)
        add_filters(wanted, [(self._fields.due_on, "==", WHEN_LOW)])
        return self._wire.count(self._parent, wanted, None, read_time_ns)

    def count_due_until(self, day: date) -> int:
        """How many documents have a `dueOn` of that day or before. A read for each thousand."""
        return self._count_where(self._fields.due_on, "<=", day.isoformat())

    def count_balances_below(self, balance: int) -> int:
        """How many documents have a smaller balance than this. A read for each thousand."""
        return self._count_where(field_path(self._fields.balance), "<", balance)

    def _count_where(self, path: str, operator: str, value: Any) -> int:
        wanted = new_query(self._collection_id)
        add_filters(wanted, [(path, operator, value)])
        return self._wire.count(self._parent, wanted, None)

    def _count_ordered(self, order_by: OrderBy, read_time_ns: int | None) -> int:
        wanted = new_query(self._collection_id)
        add_order(wanted, self._order_path(order_by))
        return self._wire.count(self._parent, wanted, None, read_time_ns)

    def read_at(self, user_ids: Sequence[str], read_time_ns: int) -> list[UserDocument]:
        """Users by id, as they were at a moment; missing ones are left out."""
        found: list[UserDocument] = []
        for chunk in _chunks(user_ids, READS_MAX):
            names = [self._prefix + user_id for user_id in chunk]
            documents = self._wire.batch_get(names, self._fields.read, read_time_ns)
            found += map(self._named, documents.values())
        return found

    def requested(self, limit: int, after: str | None = None) -> list[UserDocument]:
        """Users whose stamp asks for a refresh, in order of id, after that id."""
        wanted = new_query(self._collection_id, limit, self._fields.read)
        add_filters(wanted, [(field_path((*self._fields.stamp, REQUESTED)), "==", True)])
        add_order(wanted, DOCUMENT_ID)
        if after is not None:
            put(wanted.start_at.values.add(), Reference(self._prefix + after))
            wanted.start_at.before = False
        return self._wire.run_query(self._parent, wanted, self._named)

    def read(self, user_ids: Sequence[str]) -> dict[str, UserDocument | StoreError]:
        """Users by id. Missing users are left out. A user whose read the database rejects gets the error."""
        found: dict[str, UserDocument | StoreError] = {}
        for chunk in _chunks(user_ids, READS_MAX):
            answers = _bisected(chunk, self._read_chunk)
            found |= {user_id: outcome for user_id, outcome in answers if outcome is not None}
        return found

    def count_documents(self, up_to: int) -> int:
        """How many documents the collection holds at this moment, counted up to a limit. A read for each thousand."""
        return self._wire.count(self._parent, new_query(self._collection_id), up_to)

    def write(self, writes: Sequence[StampWrite], part_of: int | None = None) -> list[WriteResult]:
        """Make the guarded writes, each for itself; one result a write, in order.

        `part_of`: of how many users these are the rest. Raises SystemFailureError if most of them are refused for a
        passing reason, which is the database's own state.
        """
        results: list[WriteResult] = []
        for chunk in _chunks(writes, WRITES_MAX):
            whole = max(len(chunk), part_of or 0)
            for _, outcome in _bisected(chunk, partial(self._write_chunk, part_of=whole)):
                results.append(_rejection(outcome) if isinstance(outcome, StoreError) else outcome)
        return results

    def write_together(self, writes: Sequence[StampWrite], beside: Sequence[Any]) -> None:
        """Make the guarded writes, and what goes beside them, in one Commit: all or none.

        Raises ConflictError if one of the users has changed, and RejectedError.
        """
        messages = [WritePb() for _ in writes]
        for message, write in zip(messages, writes, strict=True):
            self._encode(message, write)
        self._wire.commit([*messages, *beside])

    def lock(self, user_id: str) -> tuple[UserDocument | None, bytes]:
        """One user, or None, and the transaction that holds the document until `write_locked`. Raises StoreError."""
        found, transaction = self._wire.lock(self._prefix + user_id, self._fields.read)
        return None if found is None else self._named(found), transaction

    def write_locked(self, write: StampWrite | None, transaction: bytes) -> None:
        """Make the write, if there is one, and release the document. Raises StoreError."""
        messages = []
        if write is not None:
            messages.append(WritePb())
            self._encode(messages[0], write)
        self._wire.commit_locked(messages, transaction)

    def write_stamp_fields(self, writes: Sequence[StampFieldsWrite]) -> list[WriteResult]:
        """Make guarded writes of some fields of the stamp, each for itself; one result a write, in order."""
        results: list[WriteResult] = []
        for chunk in _chunks(writes, WRITES_MAX):
            for _, outcome in _bisected(chunk, self._write_stamp_fields_chunk):
                results.append(_rejection(outcome) if isinstance(outcome, StoreError) else outcome)
        return results

    def from_event(self, document: Any) -> UserDocument | None:
        """The user in an event; None if the document is in another collection."""
        collection, _, user_id = document.name.partition("/documents/")[2].rpartition("/")
        return self._user(document, user_id) if user_id and collection == self._fields.collection else None

    def stamp_due(self, user: UserDocument, day: date) -> None:
        """Make a user due on that day. Raises ConflictError if the document changed since it was read."""
        self._stamp(user, "dueOn", day.isoformat())

    def pause(self, user: UserDocument, *, paused: bool) -> None:
        """Set the stamp's `paused`. Raises ConflictError if the document changed since it was read."""
        self._stamp(user, "paused", paused)

    def _stamp(self, user: UserDocument, name: str, value: Any) -> None:
        """Write one field of the stamp, and nothing beside it. Raises RejectedError where the stamp is no map."""
        if stamp_of(user.raw) is None:
            raise RejectedError(f"{user.user_id}: the stamp, or a parent of it, is no map; it must not be replaced")
        path = (*self._fields.stamp, name)
        message = WritePb()
        message.update.name = self._prefix + user.user_id
        put(_at(message.update.fields, path), value)
        message.update_mask.field_paths.append(field_path(path))
        put_nanoseconds(message.current_document.update_time, user.update_time_ns)
        self._wire.commit([message])

    def _read_chunk(self, user_ids: Sequence[str], *, faults_retried: bool) -> list[UserDocument | None]:
        names = [self._prefix + user_id for user_id in user_ids]
        found = self._wire.batch_get(names, self._fields.read, faults_retried=faults_retried)
        documents = [found.get(self._prefix + user_id) for user_id in user_ids]
        return [None if document is None else self._named(document) for document in documents]

    def _write_chunk(self, writes: Sequence[StampWrite], *, part_of: int, faults_retried: bool) -> list[WriteResult]:
        answers = self._wire.batch_write(writes, self._encode, part_of=part_of, faults_retried=faults_retried)
        return [WriteResult(_STATUSES.get(answer.code, WriteStatus.REJECTED), answer.message) for answer in answers]

    def _write_stamp_fields_chunk(
        self, writes: Sequence[StampFieldsWrite], *, faults_retried: bool
    ) -> list[WriteResult]:
        encoded = [self._encode_stamp_fields(write) for write in writes]
        answers = self._wire.batch_write(encoded, faults_retried=faults_retried)
        return [WriteResult(_STATUSES.get(answer.code, WriteStatus.REJECTED), answer.message) for answer in answers]

    def _encode_stamp_fields(self, write: StampFieldsWrite) -> Any:
        mask = [field_path((*self._fields.stamp, name)) for name in write.fields]
        message = new_write(self._prefix + write.user_id, {}, mask)
        for name, value in write.fields.items():
            if value is not None:
                put(_at(message.update.fields, (*self._fields.stamp, name)), value)
        return guard(message, write.update_time_ns)

    def _encode(self, message: Any, write: StampWrite) -> None:
        """Fill a Write message: a copy of what it shares with others of its job, and what is this user's own."""
        message.CopyFrom(self._template(write))
        message.update.name = self._prefix + write.user_id
        put_nanoseconds(message.current_document.update_time, write.update_time_ns)
        fields = message.update.fields
        stamp = _at(fields, self._fields.stamp).map_value.fields
        if write.activity is not None:
            stamp["activity"].string_value = write.activity
        if not write.adopting:
            put(stamp["before"], write.grant.before)
            put(stamp["granted"], write.grant.granted)
            put(_at(fields, self._fields.balance), write.grant.after)
            if write.grant.purchased is not None and self._fields.purchased is not None:
                put(_at(fields, self._fields.purchased), write.grant.purchased)

    def _template(self, write: StampWrite) -> Any:
        grant = write.grant
        form = (grant.when_low, grant.purchased is None, write.adopting, write.activity is None)
        turn = (grant.period, grant.next_run, write.next_at)
        key = (grant.plan, turn, grant.anchor, write.job_id, write.refreshed_at, form)
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._encode_shared(write)
        return template

    def _encode_shared(self, write: StampWrite) -> Any:
        grant = write.grant
        message = WritePb()
        stamp = _at(message.update.fields, self._fields.stamp).map_value.fields
        stamp["plan"].string_value = grant.plan
        stamp["periods"].map_value.fields[grant.plan].string_value = grant.period.start.isoformat()
        stamp["dueOn"].string_value = grant.due_on
        put_time(stamp["nextAt"].timestamp_value, write.next_at)
        if grant.anchor is not None:
            stamp["anchor"].string_value = grant.anchor.isoformat()
        if not write.adopting:
            put_time(stamp["refreshedAt"].timestamp_value, write.refreshed_at)
            stamp["jobId"].string_value = write.job_id
        mask = self._fields.written(
            grant.plan,
            anchored=grant.anchor is not None,
            adopting=write.adopting,
            selling=grant.purchased is not None,
            learning=write.activity is not None,
        )
        message.update_mask.field_paths.extend(mask)
        return message

    def _order_path(self, order_by: OrderBy) -> str:
        match order_by:
            case OrderBy.ID:
                return DOCUMENT_ID
            case OrderBy.DUE_ON:
                return self._fields.due_on
            case OrderBy.BALANCE:
                return field_path(self._fields.balance)

    def _bound(self, each: ScanRange, value: Any) -> Any:
        return Reference(f"{self._prefix}{value}") if each.order_by is OrderBy.ID else value

    def _start_after(self, wanted: Any, each: ScanRange, cursor: Cursor, read_time_ns: int | None) -> None:
        """Begin behind the cursor, which lies in the range."""
        after = self._whole(cursor, each, read_time_ns) if cursor.is_cut else cursor
        if after is None:  # the range's own start holds, where nothing better is known
            if cursor.start_value is not None:
                put(wanted.start_at.values[0], cursor.start_value)
            return
        del wanted.start_at.values[:]
        if each.order_by is not OrderBy.ID:
            value = wanted.start_at.values.add()
            if each.is_odd:
                value.ParseFromString(base64.b64decode(after.value))
            else:
                put(value, json.loads(after.value))
        wanted.start_at.values.add().reference_value = self._prefix + after.user_id
        wanted.start_at.before = False

    def _whole(self, cut: Cursor, each: ScanRange, read_time_ns: int | None) -> Cursor | None:
        """The cursor with the value that was too long, as the user's document has it at that moment.

        None: the scan goes on at a later moment, and the user has another value by then. Then some users of the range
        are met twice, and nobody is passed over.
        """
        name = self._prefix + cut.user_id
        document = self._wire.batch_get([name], [self._order_path(each.order_by)], read_time_ns).get(name)
        if document is None:
            return None
        whole = replace(cut, value=self._order_value(document, each))
        return whole if str(whole) == str(cut) else None

    def _user_of_range(self, document: Any, each: ScanRange) -> UserDocument:
        user = self._named(document)
        return user if each.order_by is OrderBy.ID else replace(user, order_value=self._order_value(document, each))

    def _order_value(self, document: Any, each: ScanRange) -> str:
        path = (*self._fields.stamp, "dueOn") if each.order_by is OrderBy.DUE_ON else self._fields.balance
        value = _at(document.fields, path)
        if each.is_odd:
            return base64.b64encode(value.SerializeToString(deterministic=True)).decode()
        return json.dumps(get(value), default=str)

    def _named(self, document: Any) -> UserDocument:
        return self._user(document, document.name[len(self._prefix) :])

    def _user(self, document: Any, user_id: str) -> UserDocument:
        fields = document.fields
        raw = RawUser(
            _value_at(fields, self._fields.balance),
            _value_at(fields, self._fields.plan),
            _value_at(fields, self._fields.created_at),
            _value_at(fields, self._fields.stamp),
            get_time(document.create_time),
            ABSENT if self._fields.purchased is None else _value_at(fields, self._fields.purchased),
            ABSENT if self._fields.zone is None else _value_at(fields, self._fields.zone),
        )
        return UserDocument(user_id, raw, nanoseconds(document.update_time))


def _at(fields: Any, path: tuple[str, ...]) -> Any:
    """The Value message at a path. Maps on the way are created."""
    for name in path[:-1]:
        fields = fields[name].map_value.fields
    return fields[path[-1]]


def _value_at(fields: Any, path: tuple[str, ...]) -> Any:
    """The Python value at a path; ABSENT where it, or a map on the way, is not there or null; else a BadParent."""
    for depth, name in enumerate(path[:-1], 1):
        if name not in fields or fields[name].WhichOneof("value_type") == "null_value":
            return ABSENT
        if fields[name].WhichOneof("value_type") != "map_value":
            return BadParent(".".join(path[:depth]), get(fields[name]))
        fields = fields[name].map_value.fields
    return get(fields[path[-1]]) if path[-1] in fields else ABSENT


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class _Call(Protocol[T_contra, R_co]):
    def __call__(self, items: Sequence[T_contra], /, *, faults_retried: bool) -> Sequence[R_co]: ...


def _bisected(items: Sequence[T], call: _Call[T, R]) -> Iterator[tuple[T, R | StoreError]]:
    """Call with all items; where the whole is rejected, halve it until the culprit stands alone with its error.

    Only an item that was alone from the start is tried again after a fault. Tries and waits at each step of the
    halving would add up to minutes.
    """
    yield from _halved(items, partial(call, faults_retried=len(items) == 1))


def _halved(items: Sequence[T], call: Callable[[Sequence[T]], Sequence[R]]) -> Iterator[tuple[T, R | StoreError]]:
    try:
        yield from zip(items, call(items), strict=True)
    except (RejectedError, FaultError) as exc:
        if len(items) == 1:
            yield items[0], exc
            return
        middle = len(items) // 2
        yield from _halved(items[:middle], call)
        yield from _halved(items[middle:], call)


def _rejection(exc: StoreError) -> WriteResult:
    status = WriteStatus.REJECTED if isinstance(exc, RejectedError) else WriteStatus.TRANSIENT
    return WriteResult(status, str(exc))
