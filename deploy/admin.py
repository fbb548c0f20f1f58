"""Who may use the monitor: gives the claim `admin` to a user of Firebase Auth, takes it back, or lists who has it.

python deploy/admin.py grant  PROJECT_ID EMAIL_OR_UID [--unverified] [--support]
python deploy/admin.py revoke PROJECT_ID EMAIL_OR_UID
python deploy/admin.py list   PROJECT_ID

`--support` gives the claim `support` instead: such a user may look and not act. A revoke takes both claims.

Anybody can sign up with anybody's address. So a grant asks for an address that Firebase has verified. `--unverified`
grants to an account without one, which has to be named by its uid. If that account has an address, the monitor lets it
in once the address is verified.

It uses application default credentials, of somebody with the role Firebase Authentication Admin
(roles/firebaseauth.admin) and, if it is a person, Service Usage Consumer (roles/serviceusage.serviceUsageConsumer), or
the Auth emulator that FIREBASE_AUTH_EMULATOR_HOST names. Other claims stay as they are.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import firebase_admin
import google.auth
from firebase_admin import auth, credentials
from firebase_admin.exceptions import FirebaseError, PermissionDeniedError
from google.auth.exceptions import GoogleAuthError
from google.auth.exceptions import TransportError as GoogleOutOfReachError
from google.oauth2.credentials import Credentials as PersonsCredentials

CALL_SECONDS_MAX = 30
ADMIN, SUPPORT = "admin", "support"  # the claims; support staff may look and not act
ROLES = {ADMIN: "an admin", SUPPORT: "support staff"}
SCOPES = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/identitytoolkit"]


class AdminError(Exception):
    """It can't be done; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if it is done, 1 if not, 2 if it was not understood."""
    asked = _parsed(arguments)
    try:
        client = _client(asked.project)
        if asked.command == "list":
            _list(client)
        else:
            _change(client, asked)
    except AdminError as exc:
        return _failed(str(exc))
    except (GoogleAuthError, FirebaseError, ValueError) as exc:
        return _failed(_told(exc, asked.project))
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="grant | revoke | list")
    helps = {"grant": "let a user in", "revoke": "keep a user out, from now on", "list": "who may get in"}
    for name, told in helps.items():
        command = commands.add_parser(name, help=told, description=told)
        command.add_argument("project", metavar="PROJECT_ID")
        if name != "list":
            command.add_argument("user", metavar="EMAIL_OR_UID")
        if name == "grant":
            command.add_argument("--unverified", action="store_true", help="to a uid without a verified address")
            command.add_argument("--support", action="store_true", help="to look and not act")
    return parser.parse_args(arguments)


class _Credentials(credentials.Base):  # type: ignore[misc]  # comes without types
    """Application default credentials. Those of a person are refused by Firebase Auth unless they say which project
    pays for the call; where they name none, it is this one."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._found: Any = None

    def get_credential(self) -> Any:
        if self._found is None:
            found, _ = google.auth.default(scopes=SCOPES)
            if isinstance(found, PersonsCredentials) and not found.quota_project_id:
                found = found.with_quota_project(self._project)
            self._found = found
        return self._found


def _client(project: str) -> auth.Client:
    options = {"projectId": project, "httpTimeout": CALL_SECONDS_MAX}
    return auth.Client(firebase_admin.App("admin", _Credentials(project), options))


def _change(client: auth.Client, asked: argparse.Namespace) -> None:
    user = _user(client, asked.user)
    claims: dict[str, Any] = dict(user.custom_claims or {})
    if asked.command == "revoke":
        _revoke(client, user, claims)
    else:
        _check_identity(user, asked.user, unverified=asked.unverified)
        _grant(client, user, claims, SUPPORT if asked.support else ADMIN)


def _check_identity(user: Any, name: str, *, unverified: bool) -> None:
    """Refuse an account that nobody has shown to be the person it is named after."""
    if user.email_verified or (unverified and name == user.uid):
        return
    if user.email:
        told, remedy = f"{_named(user)} has not verified the address", "have them follow Firebase's mail first"
    else:
        told, remedy = f"{_named(user)} has no e-mail address", "check who that is"
    by_uid = f"`grant PROJECT_ID {user.uid} --unverified`, if you are sure that this account is theirs"
    raise AdminError(f"{told}: whoever signed up may be somebody else; {remedy}, or use {by_uid}")


def _grant(client: auth.Client, user: Any, claims: dict[str, Any], claim: str) -> None:
    if user.disabled:
        raise AdminError(f"{_named(user)} is disabled; enable the account first")
    needs = " and the address is verified" if user.email and not user.email_verified else ""
    if claims.get(claim) is True:
        _say(
            f"{_named(user)} is {ROLES[claim]} already{', and gets in once the address is verified' if needs else ''}."
        )
        return
    client.set_custom_user_claims(user.uid, {**claims, claim: True})
    _say(f"{_named(user)} is {ROLES[claim]}, once signed in again{needs}.")


def _revoke(client: auth.Client, user: Any, claims: dict[str, Any]) -> None:
    """The tokens go even where the claim is gone: one of before may still hold it."""
    if claims.keys() & ROLES.keys():
        client.set_custom_user_claims(user.uid, {key: claims[key] for key in claims.keys() - ROLES.keys()} or None)
    client.revoke_refresh_tokens(user.uid)
    _say(f"{_named(user)} is no admin, and is signed out everywhere.")


def _list(client: auth.Client) -> None:
    """Reads every user, a thousand a call: Firebase can't search claims."""
    found = [(user, role) for user in client.list_users().iterate_all() if (role := _role_of(user)) is not None]
    for user, role in found:
        unverified = "  unverified" if user.email and not user.email_verified else ""
        support = "  support" if role == SUPPORT else ""
        _say(f"{user.uid}\t{user.email or ''}{support}{unverified}{'  disabled' if user.disabled else ''}")
    if ADMIN not in {role for _, role in found}:
        _say("Nobody is an admin.")


def _role_of(user: Any) -> str | None:
    """The claim that counts: an admin who is support staff too is an admin."""
    claims = user.custom_claims or {}
    return next((claim for claim in (ADMIN, SUPPORT) if claims.get(claim) is True), None)


def _user(client: auth.Client, name: str) -> Any:
    find: Callable[[str], Any] = client.get_user_by_email if "@" in name else client.get_user
    try:
        return find(name)
    except auth.UserNotFoundError as exc:
        raise AdminError(f"no user {name!r} in this project; they sign up first, in the app or the console") from exc


def _named(user: Any) -> str:
    return f"{user.email} ({user.uid})" if user.email else str(user.uid)


def _told(exc: Exception, project: str) -> str:
    if isinstance(exc, PermissionDeniedError):
        return f"the credentials may not change users of {project}: they need roles/firebaseauth.admin there. {exc}"
    if isinstance(exc, GoogleAuthError) and not isinstance(exc, GoogleOutOfReachError):
        return f"no usable credentials; run `gcloud auth application-default login` first. {exc}"
    emulator = os.environ.get("FIREBASE_AUTH_EMULATOR_HOST")
    asked = f"the Auth emulator at {emulator}, which FIREBASE_AUTH_EMULATOR_HOST names," if emulator else "Firebase"
    return f"{asked} did not do it; whether it was done is shown by `list`. {exc}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _failed(message: str) -> int:
    sys.stderr.write(f"deploy/admin.py: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
