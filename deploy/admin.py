"""Gives the claim `admin` to a user of Firebase Auth, takes it back, or lists who has it. Admins may use the monitor.

python deploy/admin.py grant  PROJECT_ID EMAIL_OR_UID [--unverified] [--support]
python deploy/admin.py revoke PROJECT_ID EMAIL_OR_UID
python deploy/admin.py list   PROJECT_ID

`--support` gives the claim `support` instead. Such a user may see everything and change nothing. A revoke takes both
claims away.

Anybody can sign up with the address of somebody else. So a grant needs an account whose address Firebase has verified.
`--unverified` grants to an account without a verified address. Such an account has to be named by its uid. If it has an
address, the monitor lets it in once the address is verified.

The script uses application default credentials. They need the role Firebase Authentication Admin
(roles/firebaseauth.admin). A person also needs Service Usage Consumer (roles/serviceusage.serviceUsageConsumer). If
FIREBASE_AUTH_EMULATOR_HOST is set, the script uses that Auth emulator. Other claims stay as they are.
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
ADMIN, SUPPORT = "admin", "support"  # the claims; support staff may see everything and change nothing
ROLES = {ADMIN: "an admin", SUPPORT: "support staff"}
SCOPES = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/identitytoolkit"]


class AdminError(Exception):
    """A command can't be done. The message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0 if it is done, 1 if it failed, 2 if the arguments are wrong."""
    options = _parse(arguments)
    try:
        client = _client(options.project)
        if options.command == "list":
            _list(client)
        else:
            _change(client, options)
    except AdminError as exc:
        return _report_failure(str(exc))
    except (GoogleAuthError, FirebaseError, ValueError) as exc:
        return _report_failure(_explanation(exc, options.project))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="grant | revoke | list")
    helps = {"grant": "let a user in", "revoke": "keep a user out, from now on", "list": "who may get in"}
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("project", metavar="PROJECT_ID")
        if name != "list":
            command.add_argument("user", metavar="EMAIL_OR_UID")
        if name == "grant":
            command.add_argument("--unverified", action="store_true", help="to a uid without a verified address")
            command.add_argument("--support", action="store_true", help="to look and not act")
    return parser.parse_args(arguments)


class _Credentials(credentials.Base):  # type: ignore[misc]  # comes without types
    """Application default credentials. Firebase Auth refuses a person's credentials that name no project to pay for the
    call. In that case this project pays."""

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


def _change(client: auth.Client, options: argparse.Namespace) -> None:
    user = _user(client, options.user)
    claims: dict[str, Any] = dict(user.custom_claims or {})
    if options.command == "revoke":
        _revoke(client, user, claims)
    else:
        _check_identity(user, options.user, unverified=options.unverified)
        _grant(client, user, claims, SUPPORT if options.support else ADMIN)


def _check_identity(user: Any, name: str, *, unverified: bool) -> None:
    """Raise AdminError for an account whose address is not verified, unless it was named by its uid on purpose."""
    if user.email_verified or (unverified and name == user.uid):
        return
    if user.email:
        problem, remedy = f"{_name_of(user)} has not verified the address", "have them follow Firebase's mail first"
    else:
        problem, remedy = f"{_name_of(user)} has no e-mail address", "check who that is"
    by_uid = f"`grant PROJECT_ID {user.uid} --unverified`, if you are sure that this account is theirs"
    raise AdminError(f"{problem}: whoever signed up may be somebody else; {remedy}, or use {by_uid}")


def _grant(client: auth.Client, user: Any, claims: dict[str, Any], claim: str) -> None:
    if user.disabled:
        raise AdminError(f"{_name_of(user)} is disabled; enable the account first")
    needs = " and the address is verified" if user.email and not user.email_verified else ""
    if claims.get(claim) is True:
        condition = ", and gets in once the address is verified" if needs else ""
        _say(f"{_name_of(user)} is {ROLES[claim]} already{condition}.")
        return
    client.set_custom_user_claims(user.uid, {**claims, claim: True})
    _say(f"{_name_of(user)} is {ROLES[claim]}, once signed in again{needs}.")


def _revoke(client: auth.Client, user: Any, claims: dict[str, Any]) -> None:
    """Take the claims and revoke the tokens. Even without a claim tokens are revoked: an old one may hold it."""
    if claims.keys() & ROLES.keys():
        client.set_custom_user_claims(user.uid, {key: claims[key] for key in claims.keys() - ROLES.keys()} or None)
    client.revoke_refresh_tokens(user.uid)
    _say(f"{_name_of(user)} is no admin, and is signed out everywhere.")


def _list(client: auth.Client) -> None:
    """Print who has a claim. It reads every user, because Firebase can't search claims."""
    found = [(user, role) for user in client.list_users().iterate_all() if (role := _role_of(user)) is not None]
    for user, role in found:
        unverified = "  unverified" if user.email and not user.email_verified else ""
        support = "  support" if role == SUPPORT else ""
        _say(f"{user.uid}\t{user.email or ''}{support}{unverified}{'  disabled' if user.disabled else ''}")
    if ADMIN not in {role for _, role in found}:
        _say("Nobody is an admin.")


def _role_of(user: Any) -> str | None:
    """The stronger claim of a user: an admin who is also support staff is an admin."""
    claims = user.custom_claims or {}
    return next((claim for claim in (ADMIN, SUPPORT) if claims.get(claim) is True), None)


def _user(client: auth.Client, name: str) -> Any:
    find: Callable[[str], Any] = client.get_user_by_email if "@" in name else client.get_user
    try:
        return find(name)
    except auth.UserNotFoundError as exc:
        raise AdminError(f"no user {name!r} in this project; they sign up first, in the app or the console") from exc


def _name_of(user: Any) -> str:
    return f"{user.email} ({user.uid})" if user.email else str(user.uid)


def _explanation(exc: Exception, project: str) -> str:
    if isinstance(exc, PermissionDeniedError):
        return f"the credentials may not change users of {project}: they need roles/firebaseauth.admin there. {exc}"
    if isinstance(exc, GoogleAuthError) and not isinstance(exc, GoogleOutOfReachError):
        return f"no usable credentials; run `gcloud auth application-default login` first. {exc}"
    emulator = os.environ.get("FIREBASE_AUTH_EMULATOR_HOST")
    service = f"the Auth emulator at {emulator}, which FIREBASE_AUTH_EMULATOR_HOST names," if emulator else "Firebase"
    return f"{service} did not do it; whether it was done is shown by `list`. {exc}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _report_failure(message: str) -> int:
    sys.stderr.write(f"deploy/admin.py: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
