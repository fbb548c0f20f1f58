"""Who gets in, and what the page needs to know to sign somebody in."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Request

from shared import logs
from shared.edge import instance
from shared.edge.requests import RequestError
from shared.monitor.same_site import check_local
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.monitor.tokens import Tokens

TOKEN_CHARACTERS_MAX = 8000  # with the most claims a user can have they are about 2,500 long
ANY_API_KEY = "emulator"  # the Auth emulator takes whatever there is


@dataclass(frozen=True, slots=True)
class Admin:
    """Somebody who may see everything. `name` is the e-mail address, where there is one. `may_act`: also act."""

    uid: str
    name: str
    may_act: bool = True


LOCAL = Admin("local", "local")  # whoever reaches an instance that asks nobody who they are


def admin_of(request: Request) -> Admin:
    """Who asks. Raises RequestError 401 or 403, and SystemFailureError where Google can't be asked about the token."""
    if not instance.settings().auth_on:
        check_local(request)
        return LOCAL
    claims = _claims_of(_token_of(request))
    may_act = claims.get("admin") is True
    if not may_act and claims.get("support") is not True:  # "true", 1 or {} are some other system's idea of an admin
        raise RequestError(
            403,
            "not_admin",
            "you are signed in, but not as an admin; have `deploy/admin.py grant` run for you, then sign in again",
        )
    _check_address(claims)
    uid = str(claims["uid"])
    return Admin(uid, str(claims.get("email") or uid), may_act)


def _check_address(claims: Mapping[str, Any]) -> None:
    """Anybody can sign up with an admin's address; only its owner can verify it. Raises RequestError."""
    if claims.get("email") and claims.get("email_verified") is not True:
        raise RequestError(
            403,
            "address_not_verified",
            "your e-mail address is not verified; follow the link in Firebase's mail, then sign in again",
        )


def web_config(settings: Settings) -> dict[str, str | None]:
    """What the page signs in with: public by nature, it names the project and lets nobody in."""
    if not settings.auth_on:
        return {"auth": "off", "apiKey": None, "authDomain": None, "projectId": None, "authEmulatorHost": None}
    project = settings.project_id or instance.project()
    emulator_host = settings.auth_emulator_host
    return {
        "auth": "on",
        "apiKey": settings.firebase_api_key or (ANY_API_KEY if emulator_host else None),
        "authDomain": settings.firebase_auth_domain or f"{project}.firebaseapp.com",
        "projectId": project,
        "authEmulatorHost": emulator_host,
    }


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        raise _unauthenticated()
    return token


def _claims_of(token: str) -> Mapping[str, Any]:
    if not _names_our_project(token):  # garbage costs neither Firebase's library nor a call to Google
        raise _unauthenticated()
    from shared.monitor.tokens import BadTokenError  # noqa: PLC0415 (half a second, which only the monitor needs)

    try:
        return _tokens().claims(token)
    except BadTokenError as exc:
        logs.info("sign_in_refused", str(exc))
        raise _unauthenticated() from exc


def _names_our_project(token: str) -> bool:
    """Does it at least say that it is for us? Nothing is checked by that; whatever does not is refused at once."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and claims.get("aud") == instance.project()


@instance.once
def _tokens() -> Tokens:
    from shared.monitor.tokens import Tokens  # noqa: PLC0415 (as above)

    return Tokens(instance.project())


def _unauthenticated() -> RequestError:
    """The same words whatever is wrong with the token: nobody learns how close a guess was."""
    return RequestError(
        401,
        "unauthenticated",
        "sign in, and send the Firebase ID token as `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": "Bearer"},
    )
