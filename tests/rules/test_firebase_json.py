"""firebase.json, as Firebase's own tools read it: valid, and the monitor's addresses lead to the monitor."""

from __future__ import annotations

import json
import subprocess

import pytest

from dev.cloud_scheduler import path_of
from shared.settings import BUNDLE
from tests.support.firebase import node

MONITOR = path_of("credit_refresh_monitor")
FILE = BUNDLE / "firebase.json"


def checked(path, paths=()):
    command = node("check-config.mjs", str(path))
    ended = subprocess.run(command, input=json.dumps(list(paths)), capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_firebases_tools_find_nothing_wrong_with_it():
    """By the schema they come with."""
    assert checked(FILE)["problems"] == []


def test_the_schema_would_find_something(tmp_path):
    """A key that does not exist."""
    config = json.loads(FILE.read_text(encoding="utf-8"))
    config["hosting"]["rewrite"] = []
    (tmp_path / "firebase.json").write_text(json.dumps(config), encoding="utf-8")

    assert any(
        "must NOT have additional properties" in told for told in checked(tmp_path / "firebase.json")["problems"]
    )


def test_what_it_names_is_there():
    """The rules, the indexes, the folder to publish."""
    config = json.loads(FILE.read_text(encoding="utf-8"))

    assert (BUNDLE / config["firestore"]["rules"]).is_file()
    assert (BUNDLE / config["firestore"]["indexes"]).is_file()
    assert (BUNDLE / config["hosting"]["public"]).is_dir()


@pytest.mark.parametrize("below", ["", "/", "/health", "/embed.js", "/a/b"])
def test_the_monitors_addresses_lead_to_the_monitor(below):
    """Itself, its health, its button, and whatever else it may serve below."""
    path = f"{MONITOR}{below}"

    assert checked(FILE, [path])["rewrites"][path]["run"]["serviceId"] == "credit-refresh-monitor"


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/scheduled-tasks/credit-refresh", "/api/scheduled-tasks/credit-refresh-worker", f"{MONITOR}s"],
)
def test_nothing_else_does(path):
    """The private functions are not of the site; the app's own pages stay the app's."""
    assert checked(FILE, [path])["rewrites"][path] is None


def test_all_emulators_listen_to_this_machine_alone():
    """Whoever reaches them may do everything."""
    emulators = json.loads(FILE.read_text(encoding="utf-8"))["emulators"]

    assert {name: at["host"] for name, at in emulators.items()} == dict.fromkeys(
        ["firestore", "auth", "ui"], "127.0.0.1"
    )
