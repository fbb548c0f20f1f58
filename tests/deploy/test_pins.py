"""What a deployment installs and runs is pinned: libraries by hash, foreign actions by commit."""

from __future__ import annotations

import json
import re

import pytest

from deploy import admin
from tests.deploy.project import ROOT

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_foreign_actions_are_pinned_by_commit(path):
    """Because a tag can be moved. A comment names the version."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    others = [(action, comment) for action, comment in used if not action.startswith("./")]

    assert others
    assert [action for action, _ in others if not re.search(r"@[0-9a-f]{40}$", action)] == []
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", comment) for _, comment in others)


def test_the_deploying_workflow_installs_only_by_hash():
    """So only reviewed code runs with the right to deploy."""
    text = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")

    assert re.findall(r"pip install (.*)", text) == ["--require-hashes -r requirements.txt"]


def test_a_persons_credentials_name_the_project_that_pays(monkeypatch, tmp_path):
    """Otherwise Firebase Auth refuses them. A project that they already name stays."""
    file = tmp_path / "person.json"
    person = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    file.write_text(json.dumps(person))
    unnamed = admin._Credentials("my-app-123").get_credential()
    file.write_text(json.dumps({**person, "quota_project_id": "own"}))
    named = admin._Credentials("my-app-123").get_credential()

    assert unnamed.quota_project_id == "my-app-123"
    assert named.quota_project_id == "own"
