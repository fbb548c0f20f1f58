"""The shared Firestore emulator with firestore.rules loaded for a project, and Firebase's client SDK to try them."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.database import Database
from tests.support.firebase import PASSWORD, FirebaseAuth, User, auth, auth_emulator, end, node

__all__ = ["auth", "auth_emulator"]

RULES = Path(__file__).resolve().parents[2] / "firestore.rules"


@dataclass(frozen=True)
class Client:
    """Firebase's client SDK in a process of its own."""

    process: subprocess.Popen[str]

    def tries(self, user: User | None, op: str, path: str, data: Any = None) -> str:
        """What comes of it: `allowed`, or the SDK's error code."""
        signed_in = {"email": user.email, "password": PASSWORD} if user else None
        self.process.stdin.write(json.dumps({"as": signed_in, "op": op, "path": path, "data": data}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["outcome"]


def load_rules(project: str, rules: str) -> None:
    """Put them in force, for that project alone. The emulator refuses what does not compile."""
    url = f"http://{os.environ['FIRESTORE_EMULATOR_HOST']}/emulator/v1/projects/{project}:securityRules"
    body = {"rules": {"files": [{"name": RULES.name, "content": rules}]}}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass


@pytest.fixture(scope="session")
def client(auth: FirebaseAuth) -> Iterator[Client]:
    load_rules(auth.project, RULES.read_text(encoding="utf-8"))
    command = node("client.mjs", auth.project, auth.host, os.environ["FIRESTORE_EMULATOR_HOST"])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Client(process)
    finally:
        end(process)


@pytest.fixture(scope="session")
def database(auth: FirebaseAuth) -> Iterator[Database]:
    """The way round the rules, as the functions have it."""
    database = Database(os.environ["FIRESTORE_EMULATOR_HOST"], auth.project)
    yield database
    database.close()
