"""What a deployment installs and runs is pinned: libraries by hash, actions of others by commit."""

from __future__ import annotations

import json
import re

import pytest

from deploy import admin
from tests.deploy.project import ROOT

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_of_others_are_pinned_by_commit(path):
    """A tag can be moved; the version stands beside it."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    others = [(action, told) for action, told in used if not action.startswith("./")]

    assert others
    assert [action for action, _ in others if not re.search(r"@[0-9a-f]{40}$", action)] == []
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", told) for _, told in others)


def test_the_deploying_workflow_installs_by_hash_alone():
    """What runs with the right to deploy is what was looked at."""
    text = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")

    assert re.findall(r"pip install (.*)", text) == ["--require-hashes -r requirements.txt"]


def test_a_person_s_credentials_name_who_pays(monkeypatch, tmp_path):
    """Firebase Auth refuses them otherwise; a project that they name themselves stays."""
    file = tmp_path / "person.json"
    person = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    file.write_text(json.dumps(person))
    unnamed = admin._Credentials("my-app-123").get_credential()
    file.write_text(json.dumps({**person, "quota_project_id": "own"}))
    named = admin._Credentials("my-app-123").get_credential()

    assert unnamed.quota_project_id == "my-app-123"
    assert named.quota_project_id == "own"
