"""deploy/admin.py against the real Auth emulator: what it changes, what it does not change, and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from shared.settings import BUNDLE
from tests.support.firebase import FirebaseAuth
from tests.support.google import PROJECT


@pytest.fixture
def script(auth):
    """Runs the script from the command line."""
    environ = {**os.environ, "FIREBASE_AUTH_EMULATOR_HOST": auth.host}

    def run(*arguments, **changes):
        command = [sys.executable, "deploy/admin.py", *arguments]
        return subprocess.run(
            command, cwd=BUNDLE, env={**environ, **changes}, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def test_a_grant_lets_a_user_in_and_a_revoke_keeps_them_out(auth, script, emulated):
    """Users are named by address or uid. After a revoke old tokens are refused at once. Other claims stay."""
    user = auth.create_user(claims={"team": "blue"})

    granted = script("grant", auth.project, user.email)
    token = auth.sign_in(user)

    assert (granted.returncode, granted.stderr) == (0, "")
    assert granted.stdout == f"{user.email} ({user.uid}) is an admin, once signed in again.\n"
    assert auth.claims(user) == {"team": "blue", "admin": True}
    assert emulated.call(token).status_code == 200

    time.sleep(1.1)  # Firebase counts whole seconds
    revoked = script("revoke", auth.project, user.uid)

    assert revoked.stdout == f"{user.email} ({user.uid}) is no admin, and is signed out everywhere.\n"
    assert auth.claims(user) == {"team": "blue"}
    assert emulated.call(token).status_code == 401
    assert emulated.call(auth.sign_in(user)).status_code == 403


def test_support_staff_get_in(auth, script, emulated):
    """They have another claim. The list shows it, and a revoke takes it."""
    user = auth.create_user()

    granted = script("grant", auth.project, user.email, "--support")
    answer = emulated.call(auth.sign_in(user))
    listed = script("list", auth.project)
    revoked = script("revoke", auth.project, user.email)

    assert granted.stdout == f"{user.email} ({user.uid}) is support staff, once signed in again.\n"
    assert answer.status_code == 200
    assert f"{user.uid}\t{user.email}  support" in listed.stdout.splitlines()
    assert revoked.returncode == 0
    assert emulated.call(auth.sign_in(user)).status_code == 403


def test_a_second_grant_changes_nothing(auth, script):
    """The script says that nothing changed."""
    user = auth.create_admin()
    before = auth.record(user)

    again = script("grant", auth.project, user.uid)

    assert again.stdout == f"{user.email} ({user.uid}) is an admin already.\n"
    assert auth.record(user) == before


def test_a_second_revoke_is_no_error(auth, script):
    """The first revoke removes the claim completely. The second one ends the sessions again."""
    user = auth.create_admin()

    ended = [script("revoke", auth.project, user.uid).returncode for _ in range(2)]

    assert ended == [0, 0]
    assert auth.claims(user) == {}


def test_the_list_shows_who_gets_in(auth, script):
    """It shows users of one project. A claim that is not exactly true does not count."""
    elsewhere = FirebaseAuth(auth.host, f"demo-list-{time.time_ns()}")
    assert script("list", elsewhere.project).stdout == "Nobody is an admin.\n"
    elsewhere.create_user("ann", {"admin": True})
    elsewhere.create_user("bob", {"admin": "true"})
    elsewhere.create_user("cid")

    assert script("list", elsewhere.project).stdout == "ann\tann@example.com\n"


def test_an_account_with_an_unverified_address_becomes_no_admin(auth, script):
    """Neither by address nor by uid. Anybody could sign up with the address of a future admin."""
    stranger = auth.create_user(verified=False)

    for name in (stranger.email, stranger.uid):
        ended = script("grant", auth.project, name)

        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"{stranger.email} ({stranger.uid}) has not verified the address" in ended.stderr
        assert f"grant PROJECT_ID {stranger.uid} --unverified" in ended.stderr
    assert auth.claims(stranger) == {}


def test_an_unverified_account_has_to_be_named_by_its_uid(auth, script, emulated):
    """With `--unverified` its address is still refused. It gets in only after the address is verified."""
    user = auth.create_user(verified=False)

    by_address = script("grant", auth.project, user.email, "--unverified")
    by_uid = script("grant", auth.project, user.uid, "--unverified")

    assert (by_address.returncode, by_uid.returncode) == (1, 0)
    assert by_uid.stdout == (
        f"{user.email} ({user.uid}) is an admin, once signed in again and the address is verified.\n"
    )
    assert emulated.call(auth.sign_in(user)).status_code == 403
    auth.verify(user)
    assert emulated.call(auth.sign_in(user)).status_code == 200


def test_an_account_without_address_needs_the_option_unverified(auth, script):
    """There is nothing to verify, so the operator has to confirm whose account it is."""
    user = auth.create_user_without_address()

    refused = script("grant", auth.project, user.uid)
    granted = script("grant", auth.project, user.uid, "--unverified")

    assert refused.returncode == 1
    assert f"{user.uid} has no e-mail address" in refused.stderr
    assert (granted.returncode, granted.stdout) == (0, f"{user.uid} is an admin, once signed in again.\n")


def test_the_list_shows_who_can_not_get_in_yet(auth, script):
    """Admins without a verified address are marked."""
    elsewhere = FirebaseAuth(auth.host, f"demo-list-{time.time_ns()}")
    elsewhere.create_user("ann", {"admin": True}, verified=False)

    assert script("list", elsewhere.project).stdout == "ann\tann@example.com  unverified\n"


@pytest.mark.parametrize("name", ["nobody@example.com", "nobody"])
def test_a_missing_user_is_named(auth, script, name):
    """The message says what to do."""
    ended = script("grant", auth.project, name)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"deploy/admin.py: no user {name!r} in this project; they sign up first, in the app or the console\n"
    )


def test_a_disabled_user_becomes_no_admin(auth, script):
    """A disabled user can't sign in."""
    user = auth.create_user()
    auth.disable(user)

    ended = script("grant", auth.project, user.uid)

    assert ended.returncode == 1
    assert "is disabled; enable the account first" in ended.stderr


def test_without_credentials_the_message_says_how_to_get_some(script, tmp_path):
    """No traceback is printed."""
    missing = {"FIREBASE_AUTH_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "missing.json")}

    ended = script("grant", "acme-prod", "ann@example.com", **missing)

    assert ended.returncode == 1
    assert "no usable credentials; run `gcloud auth application-default login` first" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_message_names_a_missing_role(script, cloud):
    """The credentials are valid but may not read users."""
    cloud.refuses_lookups = True

    ended = script("grant", PROJECT, "ann", FIREBASE_AUTH_EMULATOR_HOST="", **cloud.environ())

    assert ended.returncode == 1
    assert f"may not change users of {PROJECT}: they need roles/firebaseauth.admin there" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_emulator_that_does_not_answer_is_named(script):
    """The message names the variable that names the emulator."""
    ended = script("list", "demo-auth", FIREBASE_AUTH_EMULATOR_HOST="127.0.0.1:1")

    assert ended.returncode == 1
    assert "the Auth emulator at 127.0.0.1:1, which FIREBASE_AUTH_EMULATOR_HOST names, did not do it" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["grant"], ["grant", "p"], ["list"], ["promote", "p", "u"], ["list", "p", "u"]]
)
def test_wrong_arguments_print_the_usage(script, arguments):
    """Nothing is called."""
    ended = script(*arguments)

    assert ended.returncode == 2
    assert "usage: admin.py" in ended.stderr
