"""The stand-in for Eventarc: which changes of users on the real emulator it sends as events, and which not."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.events.cloud.firestore import DocumentEventData

from dev import user_events
from dev.clock import Clock
from dev.user_events import delivering_events
from shared.store.values import get_fields
from tests.support.world import World

SECONDS_MAX = 10


class _Receiver(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        event = DocumentEventData.pb().FromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.end_headers()
        self.server.events.put((dict(self.headers), event))

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    """A function that keeps the events it receives. `statuses` are its first answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.events: queue.Queue[Any] = queue.Queue()
        self.statuses: list[int] = []

    def next(self):
        return self.events.get(timeout=SECONDS_MAX)


@pytest.fixture
def receiver():
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def sending_events(world: World, receiver: Receiver, *, changes: bool = False, ahead: timedelta = timedelta()):
    clock = Clock()
    clock.move_to(clock.now() + ahead)
    with delivering_events(world.settings, receiver.server_port, clock, changes=changes):
        yield


def test_a_new_user_is_sent_as_a_created_event(receiver):
    """It is a CloudEvent in binary mode, with the document."""
    world = World()
    with sending_events(world, receiver):
        world.users({"größe 1": {"credits": 3, "plan": "pro"}})
        headers, event = receiver.next()

    assert headers["ce-type"] == "google.cloud.firestore.document.v1.created"
    assert headers["ce-document"] == "users/gr%C3%B6%C3%9Fe%201"
    assert headers["Content-Type"] == "application/protobuf"
    assert get_fields(event.value.fields) == {"credits": 3, "plan": "pro"}
    assert not event.HasField("old_value")
    assert "ce-asof" not in headers


def test_an_event_has_the_time_of_a_clock_that_was_moved(receiver):
    world = World()
    with sending_events(world, receiver, ahead=timedelta(days=9)):
        world.users({"ann": {"credits": 3}})
        headers, _ = receiver.next()

    assert datetime.fromisoformat(headers["ce-asof"]) - datetime.fromisoformat(headers["ce-time"]) > timedelta(days=8)


def test_only_a_new_user_is_sent(receiver):
    """An older user, its change, and a document of another collection cause no event."""
    world = World()
    world.users({"old": {"credits": 3}})
    with sending_events(world, receiver):
        world.update("users/old", credits=4)
        world.put("users/old/things/t1", {"credits": 3})
        world.put("teams/t1", {"credits": 3})
        world.users({"new": {"credits": 5}})
        headers, _ = receiver.next()

    assert headers["ce-document"] == "users/new"
    assert receiver.events.empty()


def test_a_user_created_again_after_a_deletion_is_sent_again(receiver):
    world = World()
    with sending_events(world, receiver):
        world.users({"ann": {"credits": 3}})
        receiver.next()
        world.delete("users/ann")
        world.users({"ann": {"credits": 5}})
        _, event = receiver.next()

    assert get_fields(event.value.fields) == {"credits": 5}


def test_changes_are_sent_if_that_is_chosen(receiver):
    """The event has the document before and after, and which fields differ. Older users are sent, too."""
    world = World()
    world.users({"ann": {"credits": 3, "plan": "free", "name": "Ann"}})
    with sending_events(world, receiver, changes=True):
        world.update("users/ann", credits=3, plan="pro")
        headers, event = receiver.next()
        world.users({"ben": {"credits": 1}})
        _, created = receiver.next()

    assert headers["ce-type"] == "google.cloud.firestore.document.v1.written"
    assert get_fields(event.old_value.fields) == {"credits": 3, "plan": "free", "name": "Ann"}
    assert get_fields(event.value.fields) == {"credits": 3, "plan": "pro", "name": "Ann"}
    assert list(event.update_mask.field_paths) == ["plan"]
    assert not created.HasField("old_value")


def test_a_deletion_is_sent_as_a_change(receiver):
    """The event has only the document as it was before."""
    world = World()
    world.users({"ann": {"credits": 3}})
    with sending_events(world, receiver, changes=True):
        world.delete("users/ann")
        headers, event = receiver.next()

    assert headers["ce-document"] == "users/ann"
    assert get_fields(event.old_value.fields) == {"credits": 3}
    assert not event.HasField("value")


def test_users_of_a_nested_collection_are_sent(receiver):
    world = World(users_collection="tenants/acme/users")
    with sending_events(world, receiver):
        world.put("users/elsewhere", {"credits": 1})
        world.put("tenants/acme/users/ann", {"credits": 3})
        headers, _ = receiver.next()

    assert headers["ce-document"] == "tenants/acme/users/ann"


def test_an_event_is_delivered_again_after_a_failure(receiver):
    """The event has the same id."""
    world = World()
    receiver.statuses = [503]
    with sending_events(world, receiver):
        world.users({"ann": {"credits": 3}})
        first, _ = receiver.next()
        second, _ = receiver.next()

    assert first["ce-id"] == second["ce-id"]


def test_the_stream_is_opened_again_when_it_breaks(receiver, monkeypatch):
    """A user created in between is sent then."""
    world = World()
    opened = []
    listen = user_events.Listener._listen

    def breaking(listener):
        opened.append(listener)
        for response in listen(listener):
            yield response
            if len(opened) == 1 and listener._watch.is_current.is_set():
                world.users({"ann": {"credits": 3}})
                time.sleep(0.1)
                raise ValueError("the stream broke")

    monkeypatch.setattr(user_events.Listener, "_listen", breaking)
    with sending_events(world, receiver):
        headers, _ = receiver.next()

    assert headers["ce-document"] == "users/ann"
    assert len(opened) == 2
