"""The real monitor with the real Auth emulator: the log names the uid of who read and who acted."""

from __future__ import annotations

import json

import pytest

from tests.support.servers import server
from tests.support.world import World


@pytest.fixture(scope="module")
def monitor(auth, tmp_path_factory):
    world = World()
    environ = {
        "GOOGLE_CLOUD_PROJECT": auth.project,
        "FIREBASE_AUTH_EMULATOR_HOST": auth.host,
        "FIRESTORE_EMULATOR_HOST": str(world.settings.emulator_host),
        "CREDIT_REFRESH_AUTH": "on",
        "CREDIT_REFRESH_COLLECTION_PREFIX": "trail",
    }
    with server("credit_refresh_monitor", tmp_path_factory.mktemp("trail") / "log", **environ) as running:
        yield running


def test_reads_and_actions_are_logged_with_the_uid_and_without_the_address(auth, monitor):
    """The log removes e-mail addresses, so it has to name admins by uid."""
    admin = auth.create_admin()
    headers = {"Authorization": f"Bearer {auth.sign_in(admin)}"}

    read = monitor.request("GET", path="/?userId=ann", **headers)
    acted = monitor.request("POST", json.dumps({"action": "pause", "reason": "why"}).encode(), **headers)
    monitor.request("POST", json.dumps({"action": "resume"}).encode(), **headers)

    assert (read.status, acted.status) == (404, 200)
    lines = [line for line in monitor.lines() if line.get("action") in ("story_read", "operator_action")]
    assert [(line["action"], line["actor"]) for line in lines] == [
        ("story_read", admin.uid),
        ("operator_action", admin.uid),
        ("operator_action", admin.uid),
    ]
    assert (lines[0]["userId"], lines[1]["what"], lines[1]["reason"]) == ("ann", "pause", "why")
    assert admin.email not in monitor.log.read_text()
