"""Doors for the tests: one with the real Auth emulator, one as in production with Google on loopback."""

from __future__ import annotations

import pytest

from tests.support.door import door
from tests.support.firebase import auth, auth_emulator
from tests.support.google import PROJECT, google

__all__ = ["auth", "auth_emulator"]

FIRESTORE = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8085"}


@pytest.fixture
def emulated(auth, monkeypatch):
    """A door that asks the Auth emulator."""
    environ = {"FIREBASE_AUTH_EMULATOR_HOST": auth.host, "GOOGLE_CLOUD_PROJECT": auth.project}
    return door(monkeypatch, {**FIRESTORE, "CREDIT_REFRESH_AUTH": "on", **environ})


@pytest.fixture
def cloud(tmp_path):
    """The stand-in for Google that production asks."""
    with google(tmp_path) as found:
        found.user("ann")
        yield found


@pytest.fixture
def production(cloud, monkeypatch):
    """A door that asks Google, with a deployment's defaults."""
    for name in ("FIREBASE_AUTH_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return door(monkeypatch, {"GOOGLE_CLOUD_PROJECT": PROJECT, **cloud.environ()})
