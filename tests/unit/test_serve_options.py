"""The options that `make dev` takes from the environment, and its messages for wrong values."""

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
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_options_that_are_not_set_have_a_default():
    """The worker is called every five seconds. An empty project gets thirty users."""
    found = Options.read({"PORT": "0"})

    assert (found.tick, found.samples, found.adopt, found.changes, found.address) == (5, 30, False, False, "127.0.0.1")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["-1", "1.5", "yes", "99999", "٣"])
def test_a_wrong_value_is_named_with_its_range(name, value):
    """`make dev` ends with this message and without a traceback."""
    with pytest.raises(ValueError, match=f"{name}='{value}' is not a whole number from 0 to {OPTIONS[name][1]}"):
        Options.read({name: value})


@pytest.mark.parametrize("name", ["PORT", "EMULATOR_PORT"])
def test_the_error_for_a_taken_port_names_its_variable(name, taken):
    """A port that was asked for is not replaced by another one."""
    with pytest.raises(ValueError, match=f"port {taken} is taken; choose another one with {name}"):
        Options.read({"PORT": "0", name: str(taken)})


def test_port_0_stands_for_any_free_port(taken):
    assert Options.read({"PORT": "0"}).port not in (0, taken)
    assert Options.read({"PORT": "0", "EMULATOR_PORT": "0"}).emulator_port is None


def test_the_emulator_does_not_use_its_default_port_if_it_is_taken(taken, monkeypatch):
    """Where an emulator runs already, no port is needed."""
    monkeypatch.setitem(OPTIONS, "EMULATOR_PORT", (taken, 65_535))

    assert Options.read({"PORT": "0"}).emulator_port is None
    assert Options.read({"PORT": "0", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}).emulator_port is None


def test_the_worker_is_called_whenever_a_slot_begins():
    """This holds for slots of any length. The builder is called as in production."""
    assert [(job.entry_point, job.every_seconds) for job in jobs_for(5, 300)] == [(BUILDER, 600), (WORKER, 5)]
    assert jobs_for(60, 45)[1].every_seconds == 15


def test_with_tick_0_there_are_no_scheduled_calls():
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
def test_scheduled_calls_are_not_logged_a_second_time(fields, expected):
    """Each call that did something has its line already. Warnings are always logged."""
    record = logging.makeLogRecord({"fields": fields, "levelno": logging.INFO})
    warning = logging.makeLogRecord({"fields": fields, "levelno": logging.WARNING})

    assert is_worth_a_line(record) is expected
    assert is_worth_a_line(warning)


def test_the_table_in_the_documents_has_every_option_with_its_default():
    """It has no other options."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", (BUNDLE / "docs" / "app.md").read_text(), re.MULTILINE)

    assert {name: int(default) for name, default in rows} == {name: default for name, (default, _) in OPTIONS.items()}
