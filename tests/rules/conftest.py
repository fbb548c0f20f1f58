"""A Firestore emulator with firestore.rules in force, and clients that try to read and write."""

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

    def attempt(self, user: User | None, op: str, path: str, data: Any = None) -> str:
        """Try an operation as this user. Returns `allowed`, or the SDK's error code."""
        signed_in = {"email": user.email, "password": PASSWORD} if user else None
        self.process.stdin.write(json.dumps({"as": signed_in, "op": op, "path": path, "data": data}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["outcome"]


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """An emulator that starts with the rules. If rules are loaded into a running emulator that the whole suite shares,
    they sometimes allow what they should deny."""
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
    """Firestore's REST API with a user's own token. Unlike JavaScript it says whether a number is an integer or a
    double."""

    auth: FirebaseAuth
    host: str

    def patch(self, user: User, path: str, fields: Mapping[str, Any]) -> str:
        """Try to write these fields as this user. Returns `allowed`, or an error code."""
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
    """The database without the rules, as the functions use it."""
    database = Database(firestore_host, auth.project)
    yield database
    database.close()
