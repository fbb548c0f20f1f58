"""A function that only admins may call: once with the real Auth emulator, once as in production with a fake Google."""

from __future__ import annotations

import pytest

from tests.support.admin_function import admin_function
from tests.support.firebase import auth, auth_emulator
from tests.support.google import PROJECT, google

__all__ = ["auth", "auth_emulator"]

FIRESTORE = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8085"}


@pytest.fixture
def emulated(auth, monkeypatch):
    """The function with the Auth emulator."""
    environ = {"FIREBASE_AUTH_EMULATOR_HOST": auth.host, "GOOGLE_CLOUD_PROJECT": auth.project}
    return admin_function(monkeypatch, {**FIRESTORE, "CREDIT_REFRESH_AUTH": "on", **environ})


@pytest.fixture
def cloud(tmp_path):
    """The fake of Google."""
    with google(tmp_path) as found:
        found.user("ann")
        yield found


@pytest.fixture
def production(cloud, monkeypatch):
    """The function with the fake of Google, and the defaults of a deployment."""
    for name in ("FIREBASE_AUTH_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return admin_function(monkeypatch, {"GOOGLE_CLOUD_PROJECT": PROJECT, **cloud.environ()})
