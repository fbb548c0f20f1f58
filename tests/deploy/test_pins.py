"""What a deployment installs and runs is pinned: libraries by hash, actions of others by commit."""

from __future__ import annotations

import json
import re

import pytest

from deploy import admin
from tests.deploy.project import ROOT

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s\\]+)", re.MULTILINE)
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


def pins(path: str) -> dict[str, str]:
    """Versions by the name as an index has it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall(text)}


def test_the_lock_holds_what_requirements_name():
    """The same libraries in the same versions, no more and no fewer."""
    assert pins("deploy/requirements.lock") == pins("requirements.txt")


def test_each_library_of_the_lock_has_its_hashes():
    """Without, pip refuses all of it."""
    text = (ROOT / "deploy/requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.partition("\n")[2])

    assert len(blocks) == len(pins("requirements.txt"))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


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

    assert re.findall(r"pip install (.*)", text) == ["--require-hashes -r deploy/requirements.lock"]


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
