"""Calls Google's APIs for which gcloud has no command. It uses gcloud's credentials and endpoint overrides."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials

from shared.core.errors import ConfigurationError, CreditRefreshError

CALL_SECONDS_MAX = 30
API_OFF = "has not been used in project"  # the message of an API that is not enabled


class RefusedError(CreditRefreshError):
    """An answer other than 200. The message is that of the service."""


class GoogleApi:
    """Makes read requests to the API of a product."""

    def __init__(self) -> None:
        self._session = AuthorizedSession(credentials())
        self._endpoints = endpoints()

    def get(self, product: str, path: str) -> dict[str, Any]:
        """Raises RefusedError."""
        return self._answer("GET", product, path, None)

    def ask(self, product: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a read request that is a POST because it has a body. Raises RefusedError."""
        return self._answer("POST", product, path, body)

    def _answer(self, method: str, product: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        base = self._endpoints.get(product) or f"https://{product}.googleapis.com/"
        answer = self._session.request(method, f"{base.rstrip('/')}/{path}", json=body, timeout=CALL_SECONDS_MAX)
        try:
            content: dict[str, Any] = answer.json()
        except ValueError:
            raise RefusedError(f"{product}: status {answer.status_code}, and no JSON") from None
        if answer.status_code != 200:
            raise RefusedError(str(content.get("error", {}).get("message", answer.status_code)))
        return content


def credentials() -> Credentials:
    """The credentials of gcloud."""
    return Credentials(token=gcloud("auth", "print-access-token"))


def endpoints() -> dict[str, str]:
    """The endpoints that gcloud's configuration overrides, by product."""
    settings = json.loads(gcloud("config", "list", "--format=json") or "{}")
    return {str(name): str(value) for name, value in settings.get("api_endpoint_overrides", {}).items()}


def gcloud(*words: str) -> str:
    """The output of a gcloud command. Raises ConfigurationError if it fails."""
    ended = subprocess.run(["gcloud", *words, "--quiet"], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if ended.returncode != 0:
        raise ConfigurationError([f"gcloud {' '.join(words)}: {ended.stderr.strip()}"])
    return ended.stdout.strip()
