"""Runs Firebase's real Auth emulator, and manages accounts in it through its HTTP interface.

`auth_emulator` and `auth` are fixtures. A conftest that imports them has them. The emulator starts on first use, once
in each process of the test run. It ends with that process, however the process ends.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dev.emulator import free_port

NODE_SIDE = Path(__file__).resolve().parents[1] / "firebase"
PROJECT = f"demo-auth-{uuid4().hex[:8]}"  # each process of a parallel run has its own project
PASSWORD = "correct horse"
START_SECONDS_MAX = 110
STOP_SECONDS_MAX = 5

_numbers = count(1)


@dataclass(frozen=True)
class User:
    """A person with an account."""

    uid: str
    email: str


@dataclass(frozen=True)
class FirebaseAuth:
    """One project of the emulator."""

    host: str
    project: str = PROJECT

    def create_user(
        self, uid: str | None = None, claims: Mapping[str, Any] | None = None, *, verified: bool = True
    ) -> User:
        """Create an account with a password, and with custom claims if given. Without a uid it gets a new name."""
        uid = uid or f"user{next(_numbers)}"
        user = User(uid, f"{uid}@example.com")
        self._admin("accounts", localId=uid, email=user.email, password=PASSWORD, emailVerified=verified)
        if claims is not None:
            self.set_claims(user, claims)
        return user

    def create_admin(self) -> User:
        return self.create_user(claims={"admin": True})

    def sign_in(self, user: User) -> str:
        """Sign in. Returns a new ID token like the page gets."""
        body = {"email": user.email, "password": PASSWORD, "returnSecureToken": True, "targetProjectId": self.project}
        return str(self._post("accounts:signInWithPassword", body)["idToken"])

    def sign_up(self) -> User:
        """Sign up as anybody can, with any address. The address is not verified."""
        email = f"stranger{next(_numbers)}@example.com"
        made = self._post("accounts:signUp?key=any", {"email": email, "password": PASSWORD, "returnSecureToken": True})
        return User(str(made["localId"]), email)

    def create_user_without_address(self) -> User:
        """Create an account like that of a user who signs in by phone."""
        uid = f"user{next(_numbers)}"
        self._admin("accounts", localId=uid, phoneNumber=f"+1555{next(_numbers):07}")
        return User(uid, "")

    def verify(self, user: User) -> None:
        self._admin("accounts:update", localId=user.uid, emailVerified=True)

    def set_claims(self, user: User, claims: Mapping[str, Any]) -> None:
        self._admin("accounts:update", localId=user.uid, customAttributes=json.dumps(claims))

    def claims(self, user: User) -> dict[str, Any]:
        return dict(json.loads(self.record(user).get("customAttributes", "{}")))

    def record(self, user: User) -> dict[str, Any]:
        return dict(self._admin("accounts:lookup", localId=[user.uid])["users"][0])

    def disable(self, user: User) -> None:
        self._admin("accounts:update", localId=user.uid, disableUser=True)

    def delete(self, user: User) -> None:
        self._admin("accounts:delete", localId=user.uid)

    def revoke(self, user: User) -> None:
        """Revoke every token issued so far. Tokens of the present second are included, which Firebase would accept."""
        self._admin("accounts:update", localId=user.uid, validSince=str(int(time.time()) + 1))

    def _admin(self, method: str, **body: Any) -> dict[str, Any]:
        return self._post(f"projects/{self.project}/{method}", body)

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        url = f"http://{self.host}/identitytoolkit.googleapis.com/v1/{path}"
        headers = {"Authorization": "Bearer owner", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refused:
            with refused:
                raise RuntimeError(f"{path}: {refused.read().decode()[:500]}") from None


def claims_in(token: str) -> dict[str, Any]:
    """The claims in a token."""
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def unsigned(claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
    """An unsigned token. The Auth emulator makes such tokens, and anybody can make one."""
    return f"{encoded(header or {'alg': 'none', 'typ': 'JWT'})}.{encoded(claims)}."


def encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def node(script: str, *arguments: str) -> list[str]:
    """The command that runs a script in tests/firebase. If something is missing, the test fails and names it."""
    program = shutil.which("node")
    if program is None:
        pytest.fail("these tests need Node 20 or newer, and no `node` was found on PATH (on Debian: nodejs and npm)")
    if not (NODE_SIDE / "node_modules" / "firebase-tools").is_dir():
        pytest.fail("these tests need Firebase's tools: run `make firebase`, or `npm ci` in tests/firebase")
    return [program, str(NODE_SIDE / script), *arguments]


@contextmanager
def running_auth_emulator(log: Path) -> Iterator[str]:
    """The address of a new Auth emulator. It ends when its standard input is closed, even if this process is killed."""
    port = free_port()
    command = node("auth-emulator.mjs", PROJECT, str(port))
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=log.parent)
    try:
        _wait_until_up(f"127.0.0.1:{port}", process, log)
        yield f"127.0.0.1:{port}"
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End the process by closing its standard input. Kill it if it does not end."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(timeout=STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _wait_until_up(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{host}/", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the Auth emulator did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def auth_emulator(tmp_path_factory) -> Iterator[str]:
    """The emulator's address, host:port."""
    with running_auth_emulator(tmp_path_factory.mktemp("auth") / "emulator.log") as host:
        yield host


@pytest.fixture(scope="session")
def auth(auth_emulator) -> FirebaseAuth:
    """The project that most tests share."""
    return FirebaseAuth(auth_emulator)
