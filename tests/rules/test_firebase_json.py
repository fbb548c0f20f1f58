"""firebase.json is valid for Firebase's own tools, and sends the monitor's addresses to the monitor."""

from __future__ import annotations

import json
import subprocess

import pytest

from dev.cloud_scheduler import path_of
from shared.settings import BUNDLE
from tests.support.firebase import node

MONITOR = path_of("credit_refresh_monitor")
FILE = BUNDLE / "firebase.json"


def check_config(path, paths=()):
    """Let Firebase's tools check a file, and say where it sends these paths."""
    command = node("check-config.mjs", str(path))
    ended = subprocess.run(command, input=json.dumps(list(paths)), capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_firebases_tools_find_no_problem():
    """It is valid by their schema."""
    assert check_config(FILE)["problems"] == []


def test_the_schema_finds_an_unknown_key(tmp_path):
    """So the test above can fail."""
    config = json.loads(FILE.read_text(encoding="utf-8"))
    config["hosting"]["rewrite"] = []
    (tmp_path / "firebase.json").write_text(json.dumps(config), encoding="utf-8")

    problems = check_config(tmp_path / "firebase.json")["problems"]
    assert any("must NOT have additional properties" in problem for problem in problems)


def test_all_files_and_folders_that_it_names_exist():
    """The rules, the indexes and the folder to publish."""
    config = json.loads(FILE.read_text(encoding="utf-8"))

    assert (BUNDLE / config["firestore"]["rules"]).is_file()
    assert (BUNDLE / config["firestore"]["indexes"]).is_file()
    assert (BUNDLE / config["hosting"]["public"]).is_dir()


@pytest.mark.parametrize("below", ["", "/", "/health", "/embed.js", "/a/b"])
def test_the_monitors_addresses_lead_to_the_monitor(below):
    """Also its health check, its embed script, and all other paths below it."""
    path = f"{MONITOR}{below}"

    assert check_config(FILE, [path])["rewrites"][path]["run"]["serviceId"] == "credit-refresh-monitor"


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/scheduled-tasks/credit-refresh", "/api/scheduled-tasks/credit-refresh-worker", f"{MONITOR}s"],
)
def test_no_other_address_leads_to_the_monitor(path):
    """The private functions are not part of the site, and the app keeps its own pages."""
    assert check_config(FILE, [path])["rewrites"][path] is None


def test_all_emulators_listen_on_loopback():
    """Everybody who can reach an emulator may do everything."""
    emulators = json.loads(FILE.read_text(encoding="utf-8"))["emulators"]

    assert {name: at["host"] for name, at in emulators.items()} == dict.fromkeys(
        ["firestore", "auth", "ui"], "127.0.0.1"
    )
