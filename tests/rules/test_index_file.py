"""What happens to our fields when an app deploys its own index file with Firebase's tools.

Firebase's own code runs against the fake of Firestore's API that the tests of the deployment use.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from deploy.indexes import INDEX_FILE, overrides, read_fields
from shared.settings import Settings
from tests.deploy.fake_google import FakeGoogle, serve
from tests.support.firebase import node

PROJECT = "live-app-123"
GROUPS = f"projects/{PROJECT}/databases/(default)/collectionGroups"
APP_OVERRIDE = {"collectionGroup": "users", "fieldPath": "email", "indexes": []}


@pytest.fixture
def fake():
    """A database with our overrides and one of the app."""
    fake = FakeGoogle(PROJECT)
    fake.resources[f"projects/{PROJECT}/services/firestore.googleapis.com"] = {}
    for each in [APP_OVERRIDE, *ours()]:
        name = f"{GROUPS}/{each['collectionGroup']}/fields/{each['fieldPath']}"
        indexes = [
            {"queryScope": index["queryScope"], "fields": [{"fieldPath": each["fieldPath"], **index}]}
            for index in each["indexes"]
        ]
        ttl = {"ttlConfig": {"state": "ACTIVE"}} if each.get("ttl") else {}
        fake.resources[name] = {"name": name, "indexConfig": {"indexes": indexes}, **ttl}
    server = serve(fake)
    yield fake
    server.shutdown()
    server.server_close()


def ours():
    """Our overrides, which step 90 of a deployment prints."""
    return overrides(read_fields(INDEX_FILE, Settings()))


def deploy_index_file(fake, tmp_path, *field_overrides):
    """Deploy an index file of the app with these overrides, with --force."""
    file = tmp_path / "firestore.indexes.json"
    file.write_text(json.dumps({"indexes": [], "fieldOverrides": field_overrides}), encoding="utf-8")
    command = node("deploy-indexes.mjs", PROJECT, str(file))
    environ = {**os.environ, "FIRESTORE_URL": fake.address}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=100)


def test_an_index_file_with_our_overrides_changes_nothing(fake, tmp_path):
    """Every field is already as the file says."""
    ended = deploy_index_file(fake, tmp_path, APP_OVERRIDE, *ours())

    assert ended.returncode == 0, ended.stderr
    assert fake.changes() == []


def test_an_index_file_without_our_overrides_removes_them(fake, tmp_path):
    """The app's deployment also fails. It sends what the file lacks without a mask, which the path `*` refuses."""
    ended = deploy_index_file(fake, tmp_path, APP_OVERRIDE)

    assert ended.returncode != 0
    assert "Updating ttl other than single field level is not supported" in ended.stderr
    assert {call.method for call in fake.changes()} == {"PATCH"}
    assert not any("ttl" in each for each in ours() if each["fieldPath"] == "*")
