"""Google's APIs, where gcloud has no command: with gcloud's credentials, and its endpoints where overridden."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials

from shared.core.errors import ConfigurationError, CreditRefreshError

CALL_SECONDS_MAX = 30
API_OFF = "has not been used in project"  # of an API that is not enabled


class RefusedError(CreditRefreshError):
    """An answer other than 200; the message is the service's."""


class GoogleApi:
    """Requests that read, to the API of a product."""

    def __init__(self) -> None:
        self._session = AuthorizedSession(credentials())
        self._endpoints = endpoints()

    def get(self, product: str, path: str) -> dict[str, Any]:
        """Raises RefusedError."""
        return self._answer("GET", product, path, None)

    def ask(self, product: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A question that is a POST because it has a body. Raises RefusedError."""
        return self._answer("POST", product, path, body)

    def _answer(self, method: str, product: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        base = self._endpoints.get(product) or f"https://{product}.googleapis.com/"
        answer = self._session.request(method, f"{base.rstrip('/')}/{path}", json=body, timeout=CALL_SECONDS_MAX)
        try:
            told: dict[str, Any] = answer.json()
        except ValueError:
            raise RefusedError(f"{product}: status {answer.status_code}, and no JSON") from None
        if answer.status_code != 200:
            raise RefusedError(str(told.get("error", {}).get("message", answer.status_code)))
        return told


def credentials() -> Credentials:
    """gcloud's own."""
    return Credentials(token=gcloud("auth", "print-access-token"))


def endpoints() -> dict[str, str]:
    """The endpoints that gcloud's configuration overrides, by product."""
    told = json.loads(gcloud("config", "list", "--format=json") or "{}")
    return {str(name): str(value) for name, value in told.get("api_endpoint_overrides", {}).items()}


def gcloud(*words: str) -> str:
    ended = subprocess.run(["gcloud", *words, "--quiet"], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if ended.returncode != 0:
        raise ConfigurationError([f"gcloud {' '.join(words)}: {ended.stderr.strip()}"])
    return ended.stdout.strip()
