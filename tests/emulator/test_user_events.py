"""The stand-in for Eventarc: what it tells of users on the real emulator, and what it keeps to itself."""

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
    """A function that keeps what it is told. `statuses`: its first answers."""

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
def telling(world: World, receiver: Receiver, *, changes: bool = False, ahead: timedelta = timedelta()):
    clock = Clock()
    clock.move_to(clock.now() + ahead)
    with delivering_events(world.settings, receiver.server_port, clock, changes=changes):
        yield


def test_a_new_user_is_told_as_it_was_created(receiver):
    """As a CloudEvent in binary mode, with the document."""
    world = World()
    with telling(world, receiver):
        world.users({"größe 1": {"credits": 3, "plan": "pro"}})
        headers, event = receiver.next()

    assert headers["ce-type"] == "google.cloud.firestore.document.v1.created"
    assert headers["ce-document"] == "users/gr%C3%B6%C3%9Fe%201"
    assert headers["Content-Type"] == "application/protobuf"
    assert get_fields(event.value.fields) == {"credits": 3, "plan": "pro"}
    assert not event.HasField("old_value")
    assert "ce-asof" not in headers


def test_an_event_has_the_time_that_the_clock_shows(receiver):
    """Once that was moved."""
    world = World()
    with telling(world, receiver, ahead=timedelta(days=9)):
        world.users({"ann": {"credits": 3}})
        headers, _ = receiver.next()

    assert datetime.fromisoformat(headers["ce-asof"]) - datetime.fromisoformat(headers["ce-time"]) > timedelta(days=8)


def test_who_was_there_before_is_no_news(receiver):
    """Nor is a change, nor a document elsewhere: the next event is of the next new user."""
    world = World()
    world.users({"old": {"credits": 3}})
    with telling(world, receiver):
        world.update("users/old", credits=4)
        world.put("users/old/things/t1", {"credits": 3})
        world.put("teams/t1", {"credits": 3})
        world.users({"new": {"credits": 5}})
        headers, _ = receiver.next()

    assert headers["ce-document"] == "users/new"
    assert receiver.events.empty()


def test_a_user_that_is_made_again_is_new_again(receiver):
    """Deleted in between."""
    world = World()
    with telling(world, receiver):
        world.users({"ann": {"credits": 3}})
        receiver.next()
        world.delete("users/ann")
        world.users({"ann": {"credits": 5}})
        _, event = receiver.next()

    assert get_fields(event.value.fields) == {"credits": 5}


def test_changes_are_told_if_asked_for(receiver):
    """Before and after, and which fields differ; also of users that were there before."""
    world = World()
    world.users({"ann": {"credits": 3, "plan": "free", "name": "Ann"}})
    with telling(world, receiver, changes=True):
        world.update("users/ann", credits=3, plan="pro")
        headers, event = receiver.next()
        world.users({"ben": {"credits": 1}})
        _, created = receiver.next()

    assert headers["ce-type"] == "google.cloud.firestore.document.v1.written"
    assert get_fields(event.old_value.fields) == {"credits": 3, "plan": "free", "name": "Ann"}
    assert get_fields(event.value.fields) == {"credits": 3, "plan": "pro", "name": "Ann"}
    assert list(event.update_mask.field_paths) == ["plan"]
    assert not created.HasField("old_value")


def test_a_deletion_is_a_change(receiver):
    """The event has the document as it was, and no other."""
    world = World()
    world.users({"ann": {"credits": 3}})
    with telling(world, receiver, changes=True):
        world.delete("users/ann")
        headers, event = receiver.next()

    assert headers["ce-document"] == "users/ann"
    assert get_fields(event.old_value.fields) == {"credits": 3}
    assert not event.HasField("value")


def test_users_of_a_tenant_are_told_of(receiver):
    """A collection inside of a document."""
    world = World(users_collection="tenants/acme/users")
    with telling(world, receiver):
        world.put("users/elsewhere", {"credits": 1})
        world.put("tenants/acme/users/ann", {"credits": 3})
        headers, _ = receiver.next()

    assert headers["ce-document"] == "tenants/acme/users/ann"


def test_an_event_is_delivered_again_after_a_failure(receiver):
    """The same event: its id says so."""
    world = World()
    receiver.statuses = [503]
    with telling(world, receiver):
        world.users({"ann": {"credits": 3}})
        first, _ = receiver.next()
        second, _ = receiver.next()

    assert first["ce-id"] == second["ce-id"]


def test_the_stream_is_opened_again_when_it_breaks(receiver, monkeypatch):
    """A user that was made in between is met then."""
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
    with telling(world, receiver):
        headers, _ = receiver.next()

    assert headers["ce-document"] == "users/ann"
    assert len(opened) == 2
