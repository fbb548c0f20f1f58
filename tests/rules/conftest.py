"""A Firestore emulator with firestore.rules in force, and Firebase's client SDK to try them."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.database import Database
from dev.emulator import own_emulator
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


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """An emulator that starts with the rules. Put in force while one is running, and shared by the whole suite, they
    were now and then seen to let through what they deny."""
    with own_emulator(rules=RULES) as host:
        yield host


@pytest.fixture(scope="session")
def client(auth: FirebaseAuth, firestore_host: str) -> Iterator[Client]:
    command = node("client.mjs", auth.project, auth.host, firestore_host)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Client(process)
    finally:
        end(process)


@dataclass(frozen=True)
class RestClient:
    """Firestore's REST API with a user's own token: it says of each number whether it is whole, which no JavaScript
    does."""

    auth: FirebaseAuth
    host: str

    def patches(self, user: User, path: str, fields: Mapping[str, Any]) -> str:
        """What comes of writing those fields: `allowed`, or the API's error code."""
        mask = "&".join(f"updateMask.fieldPaths={name}" for name in fields)
        url = f"http://{self.host}/v1/projects/{self.auth.project}/databases/(default)/documents/{path}?{mask}"
        headers = {"Authorization": f"Bearer {self.auth.sign_in(user)}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps({"fields": fields}).encode(), headers, method="PATCH")
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as refused:
            with refused:
                return {403: "permission-denied"}.get(refused.code, str(refused.code))
        return "allowed"


@pytest.fixture(scope="session")
def rest(auth: FirebaseAuth, firestore_host: str) -> RestClient:
    return RestClient(auth, firestore_host)


@pytest.fixture(scope="session")
def database(auth: FirebaseAuth, firestore_host: str) -> Iterator[Database]:
    """The way round the rules, as the functions have it."""
    database = Database(firestore_host, auth.project)
    yield database
    database.close()
