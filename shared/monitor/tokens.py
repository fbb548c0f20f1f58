"""Firebase's ID tokens, checked by Firebase's own library. It takes half a second to import: only `auth` does, on need.

Every check is one call to Google (is the user there, enabled, not signed out by an admin?). Nothing is remembered
between calls, so that a revoked token is refused by the very next request; the monitor is asked a few times a minute.
"""

from __future__ import annotations

import time
from typing import Any

import firebase_admin
from firebase_admin import auth, credentials, exceptions
from google.auth.exceptions import GoogleAuthError
from requests.adapters import HTTPAdapter

from shared import logs
from shared.core.errors import CreditRefreshError, SystemFailureError

CLOCK_SKEW_SECONDS = 5  # between Google's clock and ours
TRY_SECONDS_MAX = 5  # to connect, and again to answer
RETRIES_MAX = 1
RETRY_AFTER_SECONDS = 10

# Google could not be asked, or refused to answer *us*. It says nothing about the token.
_NO_ANSWER = (
    exceptions.UnavailableError,
    exceptions.DeadlineExceededError,
    exceptions.InternalError,
    exceptions.UnknownError,  # certificates that can't be fetched among them
    exceptions.ResourceExhaustedError,
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    GoogleAuthError,
)

_REMEDY = (
    "check that the service account has the role roles/firebaseauth.viewer "
    "and that identitytoolkit.googleapis.com is enabled"
)


class BadTokenError(CreditRefreshError):
    """Not a token of this project that is good now."""


class SignInUnavailableError(SystemFailureError):
    """Nobody can tell at the moment whether a token is good; so nobody gets in."""

    code = "sign_in_unavailable"


class Tokens:
    """The tokens of one project. Raises SignInUnavailableError where the instance has no credentials."""

    def __init__(self, project: str) -> None:
        options = {"projectId": project, "httpTimeout": TRY_SECONDS_MAX}
        app = firebase_admin.App("credit-refresh", credentials.ApplicationDefault(), options)
        try:
            self._client = auth.Client(app)
        except GoogleAuthError as exc:
            raise _unavailable(exc) from exc
        _retry_once(self._client)

    def claims(self, token: str) -> dict[str, Any]:
        """What a good token says, `uid` included. Raises BadTokenError or SignInUnavailableError."""
        try:
            claims = self._client.verify_id_token(token, check_revoked=True, clock_skew_seconds=CLOCK_SKEW_SECONDS)
            _check_time(claims)
        except _NO_ANSWER as exc:
            raise _unavailable(exc) from exc
        except Exception as exc:  # the library raises odd ones for garbage: whatever is not a yes is a no
            raise BadTokenError(type(exc).__name__) from exc
        return dict(claims)


def _retry_once(client: auth.Client) -> None:
    """Left alone, the library tries ten times where TLS or a proxy fails, and an admin waits for minutes to be told."""
    session = client._user_manager.http_client.session  # noqa: SLF001 (it has no option for this; the version is pinned)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRIES_MAX))


def _check_time(claims: dict[str, Any]) -> None:
    """Refuse what has expired: with the Auth emulator the library does not look."""
    if claims["exp"] + CLOCK_SKEW_SECONDS <= time.time():
        raise ValueError("expired")


def _unavailable(exc: Exception) -> SignInUnavailableError:
    """What the caller is told; Google's own words go to the log alone."""
    logs.error("sign_in_unavailable", f"{type(exc).__name__}: {str(exc)[:300]}; {_REMEDY}")
    return SignInUnavailableError("who is asking can't be checked at the moment; try again", RETRY_AFTER_SECONDS)
