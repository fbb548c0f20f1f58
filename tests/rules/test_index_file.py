"""An app that deploys its own index file with Firebase's tools: what that does to our fields.

Firebase's own code runs against the fake of Firestore's API that the deployment's tests use.
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
APPS = {"collectionGroup": "users", "fieldPath": "email", "indexes": []}


@pytest.fixture
def fake():
    """A database with our fields and one of the app's."""
    fake = FakeGoogle(PROJECT)
    fake.resources[f"projects/{PROJECT}/services/firestore.googleapis.com"] = {}
    for each in [APPS, *ours()]:
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
    """What step 90 of a deployment prints."""
    return overrides(read_fields(INDEX_FILE, Settings()))


def deployed(fake, tmp_path, *field_overrides):
    """The app's index file with these overrides, deployed by force."""
    file = tmp_path / "firestore.indexes.json"
    file.write_text(json.dumps({"indexes": [], "fieldOverrides": field_overrides}), encoding="utf-8")
    command = node("deploy-indexes.mjs", PROJECT, str(file))
    environ = {**os.environ, "FIRESTORE_URL": fake.address}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=100)


def test_with_our_overrides_merged_nothing_is_changed(fake, tmp_path):
    """The app's own deployment finds every field as its file says."""
    ended = deployed(fake, tmp_path, APPS, *ours())

    assert ended.returncode == 0, ended.stderr
    assert fake.changes() == []


def test_without_them_our_fields_would_go(fake, tmp_path):
    """And the deployment of the app fails: what its file lacks is sent without a mask, which `*` refuses."""
    ended = deployed(fake, tmp_path, APPS)

    assert ended.returncode != 0
    assert "Updating ttl other than single field level is not supported" in ended.stderr
    assert {call.method for call in fake.changes()} == {"PATCH"}
    assert not any("ttl" in each for each in ours() if each["fieldPath"] == "*")
