"""A substitute for Eventarc. It sends `credit_refresh_user_created` an event for each new user document.

It listens to the users' collection on the emulator. If asked to, it also sends an event for each change of a document.
It sends none for the documents that exist when it starts.
"""

from __future__ import annotations

import http.client
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import grpc
from google.cloud.firestore_v1.types import firestore
from google.events.cloud.firestore import DocumentEventData

from dev.clock import Clock
from dev.cloud_scheduler import DEADLINE_SECONDS, path_of
from shared.settings import Settings

ENTRY_POINT = "credit_refresh_user_created"
EVENT_TYPE = "google.cloud.firestore.document.v1."
RESOURCE = "google-cloud-resource-prefix"  # the header that names the database
LISTEN = "/google.firestore.v1.Firestore/Listen"
TARGET = 1
START_SECONDS_MAX = 60  # until all existing documents are listed
RECONNECT_SECONDS = 1
DELIVERIES_AT_ONCE_MAX = 4
DELIVERIES_MAX = 5  # tries of one event; Eventarc tries for a day
UNQUOTED = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # these stand as they are in a CloudEvent's headers
MESSAGE_BYTES_MAX = [("grpc.max_receive_message_length", -1)]

ListenRequest, ListenResponse = firestore.ListenRequest.pb(), firestore.ListenResponse.pb()
ADD, CURRENT, RESET = (firestore.TargetChange.TargetChangeType[name].value for name in ("ADD", "CURRENT", "RESET"))
Deliver = Callable[[Any, Any], None]


@contextmanager
def delivering_events(settings: Settings, port: int, clock: Clock, *, changes: bool) -> Iterator[None]:
    """Deliver events to the function on that port until the block ends. `changes`: of every write of a user."""
    ended = threading.Event()
    with ThreadPoolExecutor(DELIVERIES_AT_ONCE_MAX) as threads:
        sender = EventSender(port, _database(settings), "written" if changes else "created", ended)
        watch = UserWatch(lambda new, old: _submit(threads, sender, clock, new, old), changes=changes)
        listener = Listener(settings, watch, ended)
        listener.start()
        try:
            yield
        finally:
            ended.set()
            listener.stop()
            threads.shutdown(wait=False, cancel_futures=True)


def _submit(threads: ThreadPoolExecutor, sender: EventSender, clock: Clock, new: Any, old: Any) -> None:
    threads.submit(sender.send, new, old, clock.now() if clock.ahead else None)


class UserWatch:
    """Keeps the documents that it has seen, to know whether a document is new or has changed."""

    def __init__(self, deliver: Deliver, *, changes: bool) -> None:
        self._deliver = deliver
        self._changes = changes
        self._known: dict[str, Any] = {}
        self._listed: set[str] | None = None  # None: the listing is complete, and later documents are changes
        self.is_current = threading.Event()

    def handle(self, response: Any) -> None:
        """Handle one message of the stream."""
        kind = response.WhichOneof("response_type")
        if kind == "document_change":
            self._handle_document(response.document_change.document)
        elif kind in ("document_delete", "document_remove"):
            self._forget(getattr(response, kind).document)
        elif kind == "target_change":
            self._handle_target_change(response.target_change.target_change_type)

    def _handle_target_change(self, change: int) -> None:
        """From ADD or RESET to CURRENT all documents are listed. A known document that is not listed was deleted."""
        if change in (ADD, RESET):
            self._listed = set()
        elif change == CURRENT:
            for name in self._known.keys() - self._listed if self._listed is not None else ():
                self._forget(name)
            self._listed = None
            self.is_current.set()

    def _forget(self, name: str) -> None:
        """Remove a document. A deletion is a change, too."""
        known = self._known.pop(name, None)
        if known is not None and self._changes:
            self._deliver(None, known)

    def _handle_document(self, document: Any) -> None:
        if self._listed is not None:
            self._listed.add(document.name)
        known = self._known.get(document.name)
        kept = type(document)()
        kept.CopyFrom(document)
        if not self._changes:
            kept.ClearField("fields")
        self._known[document.name] = kept
        if not self.is_current.is_set() or (known and known.update_time == document.update_time):
            return
        is_new = known is None or known.create_time != document.create_time
        if is_new or self._changes:
            self._deliver(document, None if is_new else known)


class Listener:
    """Reads the stream of changes to the users' collection. It opens the stream again when it breaks."""

    def __init__(self, settings: Settings, watch: UserWatch, ended: threading.Event) -> None:
        self._settings = settings
        self._watch = watch
        self._ended = ended
        self._channel = grpc.insecure_channel(str(settings.emulator_host), options=MESSAGE_BYTES_MAX)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start, and wait until every existing document is listed. Raises RuntimeError if that takes too long."""
        self._thread.start()
        if not self._watch.is_current.wait(START_SECONDS_MAX):
            raise RuntimeError(f"the emulator did not list its users within {START_SECONDS_MAX} s")

    def stop(self) -> None:
        self._channel.close()
        self._thread.join(RECONNECT_SECONDS + 1)

    def _run(self) -> None:
        """Read the stream until the end. After a break all documents are listed again, so no new one is missed."""
        while not self._ended.is_set():
            try:
                for response in self._listen():
                    self._watch.handle(response)
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed
                self._ended.wait(RECONNECT_SECONDS)

    def _listen(self) -> Any:
        call = self._channel.stream_stream(
            LISTEN,
            request_serializer=ListenRequest.SerializeToString,
            response_deserializer=ListenResponse.FromString,
        )
        database = _database(self._settings)
        return call(self._requests(), metadata=[("authorization", "Bearer owner"), (RESOURCE, database)])

    def _requests(self) -> Iterator[Any]:
        """The one request of the stream. The stream stays open until this generator ends."""
        parent, _, collection = f"/{self._settings.users_collection}".rpartition("/")
        request = ListenRequest(database=_database(self._settings))
        request.add_target.target_id = TARGET
        request.add_target.query.parent = f"{_database(self._settings)}/documents{parent}"
        request.add_target.query.structured_query.from_.add().collection_id = collection
        yield request
        self._ended.wait()


def _database(settings: Settings) -> str:
    return f"projects/{settings.project_id}/databases/{settings.database}"


@dataclass(frozen=True, slots=True)
class EventSender:
    """Delivers CloudEvents in binary mode, like Eventarc. It tries again if the function fails."""

    port: int
    database: str
    kind: str
    ended: threading.Event = field(default_factory=threading.Event)

    def send(self, new: Any, old: Any = None, as_of: datetime | None = None) -> None:
        """Send an event of one write. `new`: the document after it, None if it was deleted. `old`: the one before it.

        `as_of`: the time at which the function shall handle the event.
        """
        headers, data = self._headers((new or old).name, as_of), event_data(new, old)
        for attempt in range(DELIVERIES_MAX):
            status = self._post(data, headers)
            if 200 <= status < 300 or self.ended.wait(2**attempt):
                return
        print(f"{ENTRY_POINT} answered {status or 'nothing'} to {headers['ce-document']}", file=sys.stderr)

    def _headers(self, name: str, as_of: datetime | None) -> dict[str, str]:
        path = name.partition("/documents/")[2]
        return {
            **({"ce-asof": as_of.isoformat()} if as_of else {}),
            "Content-Type": "application/protobuf",
            "ce-specversion": "1.0",
            "ce-id": uuid.uuid4().hex,
            "ce-source": f"//firestore.googleapis.com/{self.database}",
            "ce-type": EVENT_TYPE + self.kind,
            "ce-time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "ce-subject": quote(f"documents/{path}", safe=UNQUOTED),
            "ce-document": quote(path, safe=UNQUOTED),
        }

    def _post(self, data: bytes, headers: Mapping[str, str]) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("POST", path_of(ENTRY_POINT), data, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


def event_data(new: Any, old: Any) -> bytes:
    """The payload: the document after and before the write, as far as it existed, and the fields that differ."""
    event = DocumentEventData.pb()()
    if new is not None:
        event.value.MergeFromString(new.SerializeToString())
    if old is not None:
        event.old_value.MergeFromString(old.SerializeToString())
    if new is not None and old is not None:
        event.update_mask.field_paths.extend(sorted({name for name, _ in _values(new) ^ _values(old)}))
    return bytes(event.SerializeToString())


def _values(document: Any) -> set[tuple[str, bytes]]:
    return {(name, value.SerializeToString(deterministic=True)) for name, value in document.fields.items()}
