"""What `make dev` may be told by the environment, and what it says to an odd value."""

from __future__ import annotations

import logging
import re
import socket

import pytest

from dev.local_schedule import BUILDER, WORKER, jobs_for
from dev.serve_options import OPTIONS, Options
from dev.ticks import is_worth_a_line
from shared.settings import BUNDLE


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_what_is_not_set_has_a_default():
    """A worker every five seconds, thirty users for an empty project."""
    found = Options.read({"PORT": "0"})

    assert (found.tick, found.samples, found.adopt, found.changes, found.address) == (5, 30, False, False, "127.0.0.1")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["-1", "1.5", "yes", "99999", "٣"])
def test_an_odd_value_is_named_with_its_range(name, value):
    """No traceback, and no guess."""
    with pytest.raises(ValueError, match=f"{name}='{value}' is not a whole number from 0 to {OPTIONS[name][1]}"):
        Options.read({name: value})


@pytest.mark.parametrize("name", ["PORT", "EMULATOR_PORT"])
def test_a_taken_port_is_named_with_the_way_out(name, taken):
    """One that was asked for is not exchanged for another."""
    with pytest.raises(ValueError, match=f"port {taken} is taken; choose another one with {name}"):
        Options.read({"PORT": "0", name: str(taken)})


def test_ports_that_are_asked_for_are_taken(taken):
    """0 stands for any that is free."""
    assert Options.read({"PORT": "0"}).port not in (0, taken)
    assert Options.read({"PORT": "0", "EMULATOR_PORT": "0"}).emulator_port is None


def test_the_emulator_s_default_port_gives_way(taken, monkeypatch):
    """To whoever was there first; and where an emulator runs already, none is started."""
    monkeypatch.setitem(OPTIONS, "EMULATOR_PORT", (taken, 65_535))

    assert Options.read({"PORT": "0"}).emulator_port is None
    assert Options.read({"PORT": "0", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}).emulator_port is None


def test_the_worker_comes_whenever_a_slot_begins():
    """However long the slots are; the builder as in production."""
    assert [(job.entry_point, job.every_seconds) for job in jobs_for(5, 300)] == [(BUILDER, 600), (WORKER, 5)]
    assert jobs_for(60, 45)[1].every_seconds == 15


def test_nothing_is_called_by_itself_at_tick_0():
    """The schedule stands still."""
    assert jobs_for(0, 300) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"action": "credit_refresh_worker"}, False),
        ({"action": "credit_refresh_queue"}, False),
        ({"action": "operator_action"}, True),
        ({"action": "credit_refresh_user_created"}, True),
        ({}, False),
    ],
)
def test_what_the_schedule_tells_itself_is_not_logged_beside_it(fields, expected):
    """Each call that did something has its line already. Warnings are always logged."""
    record = logging.makeLogRecord({"fields": fields, "levelno": logging.INFO})
    warning = logging.makeLogRecord({"fields": fields, "levelno": logging.WARNING})

    assert is_worth_a_line(record) is expected
    assert is_worth_a_line(warning)


def test_the_table_in_the_documents_has_every_option_with_its_default():
    """And no other."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", (BUNDLE / "docs" / "app.md").read_text(), re.MULTILINE)

    assert {name: int(default) for name, default in rows} == {name: default for name, (default, _) in OPTIONS.items()}
