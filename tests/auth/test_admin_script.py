"""deploy/admin.py against the real Auth emulator: what it changes, leaves alone and prints."""

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
    """Users are named by address or id. A revoke refuses old tokens at once, and other claims stay."""
    user = auth.create_user(claims={"team": "blue"})

    granted = script("grant", auth.project, user.email)
    token = auth.sign_in(user)

    assert (granted.returncode, granted.stderr) == (0, "")
    assert granted.stdout == f"{user.email} ({user.uid}) is an admin, once signed in again.\n"
    assert auth.claims(user) == {"team": "blue", "admin": True}
    assert emulated.knock(token).status_code == 200

    time.sleep(1.1)  # Firebase counts whole seconds
    revoked = script("revoke", auth.project, user.uid)

    assert revoked.stdout == f"{user.email} ({user.uid}) is no admin, and is signed out everywhere.\n"
    assert auth.claims(user) == {"team": "blue"}
    assert emulated.knock(token).status_code == 401
    assert emulated.knock(auth.sign_in(user)).status_code == 403


def test_support_staff_may_look(auth, script, emulated):
    """The other claim; it is listed as such, and a revoke takes it too."""
    user = auth.create_user()

    granted = script("grant", auth.project, user.email, "--support")
    door = emulated.knock(auth.sign_in(user))
    listed = script("list", auth.project)
    revoked = script("revoke", auth.project, user.email)

    assert granted.stdout == f"{user.email} ({user.uid}) is support staff, once signed in again.\n"
    assert door.status_code == 200
    assert f"{user.uid}\t{user.email}  support" in listed.stdout.splitlines()
    assert revoked.returncode == 0
    assert emulated.knock(auth.sign_in(user)).status_code == 403


def test_a_second_grant_changes_nothing(auth, script):
    """The script says that nothing changed."""
    user = auth.create_admin()
    before = auth.record(user)

    again = script("grant", auth.project, user.uid)

    assert again.stdout == f"{user.email} ({user.uid}) is an admin already.\n"
    assert auth.record(user) == before


def test_a_revoke_takes_the_last_claim(auth, script):
    """A revoke removes the claim completely. A second revoke is no error and ends the sessions again."""
    user = auth.create_admin()

    ended = [script("revoke", auth.project, user.uid).returncode for _ in range(2)]

    assert ended == [0, 0]
    assert auth.claims(user) == {}


def test_the_list_is_of_those_who_get_in(auth, script):
    """The list is of one project. A claim that is not exactly true does not count."""
    elsewhere = FirebaseAuth(auth.host, f"demo-list-{time.time_ns()}")
    assert script("list", elsewhere.project).stdout == "Nobody is an admin.\n"
    elsewhere.create_user("ann", {"admin": True})
    elsewhere.create_user("bob", {"admin": "true"})
    elsewhere.create_user("cid")

    assert script("list", elsewhere.project).stdout == "ann\tann@example.com\n"


def test_an_address_that_nobody_verified_becomes_no_admin(auth, script):
    """By address or uid: anybody can sign up with the address of a future admin."""
    stranger = auth.create_user(verified=False)

    for name in (stranger.email, stranger.uid):
        ended = script("grant", auth.project, name)

        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"{stranger.email} ({stranger.uid}) has not verified the address" in ended.stderr
        assert f"grant PROJECT_ID {stranger.uid} --unverified" in ended.stderr
    assert auth.claims(stranger) == {}


def test_an_unverified_account_is_named_by_its_uid(auth, script, emulated):
    """By its address it is refused even then; and it gets in no sooner than the address is verified."""
    user = auth.create_user(verified=False)

    by_address = script("grant", auth.project, user.email, "--unverified")
    by_uid = script("grant", auth.project, user.uid, "--unverified")

    assert (by_address.returncode, by_uid.returncode) == (1, 0)
    assert by_uid.stdout == (
        f"{user.email} ({user.uid}) is an admin, once signed in again and the address is verified.\n"
    )
    assert emulated.knock(auth.sign_in(user)).status_code == 403
    auth.verify(user)
    assert emulated.knock(auth.sign_in(user)).status_code == 200


def test_an_account_without_address_is_granted_by_uid_and_said_so(auth, script):
    """There is nothing to verify; whoever runs the script has to say that they know whose it is."""
    user = auth.create_user_without_address()

    refused = script("grant", auth.project, user.uid)
    granted = script("grant", auth.project, user.uid, "--unverified")

    assert refused.returncode == 1
    assert f"{user.uid} has no e-mail address" in refused.stderr
    assert (granted.returncode, granted.stdout) == (0, f"{user.uid} is an admin, once signed in again.\n")


def test_the_list_says_who_can_not_get_in_yet(auth, script):
    """For want of a verified address."""
    elsewhere = FirebaseAuth(auth.host, f"demo-list-{time.time_ns()}")
    elsewhere.create_user("ann", {"admin": True}, verified=False)

    assert script("list", elsewhere.project).stdout == "ann\tann@example.com  unverified\n"


@pytest.mark.parametrize("name", ["nobody@example.com", "nobody"])
def test_a_user_that_is_not_there_is_named(auth, script, name):
    """The message says what to do."""
    ended = script("grant", auth.project, name)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"deploy/admin.py: no user {name!r} in this project; they sign up first, in the app or the console\n"
    )


def test_a_disabled_user_becomes_no_admin(auth, script):
    """A disabled user could not sign in."""
    user = auth.create_user()
    auth.disable(user)

    ended = script("grant", auth.project, user.uid)

    assert ended.returncode == 1
    assert "is disabled; enable the account first" in ended.stderr


def test_without_credentials_it_says_how_to_get_some(script, tmp_path):
    """The message says how to get credentials, without a traceback."""
    missing = {"FIREBASE_AUTH_EMULATOR_HOST": "", "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "missing.json")}

    ended = script("grant", "acme-prod", "ann@example.com", **missing)

    assert ended.returncode == 1
    assert "no usable credentials; run `gcloud auth application-default login` first" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_credentials_without_the_role_are_told_which(script, cloud):
    """The message names the missing role."""
    cloud.refuses_lookups = True

    ended = script("grant", PROJECT, "ann", FIREBASE_AUTH_EMULATOR_HOST="", **cloud.environ())

    assert ended.returncode == 1
    assert f"may not change users of {PROJECT}: they need roles/firebaseauth.admin there" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_emulator_that_is_not_there_is_named(script):
    """The message names the variable."""
    ended = script("list", "demo-auth", FIREBASE_AUTH_EMULATOR_HOST="127.0.0.1:1")

    assert ended.returncode == 1
    assert "the Auth emulator at 127.0.0.1:1, which FIREBASE_AUTH_EMULATOR_HOST names, did not do it" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["grant"], ["grant", "p"], ["list"], ["promote", "p", "u"], ["list", "p", "u"]]
)
def test_what_is_not_understood_is_answered_by_the_usage(script, arguments):
    """No call is made then."""
    ended = script(*arguments)

    assert ended.returncode == 2
    assert "usage: admin.py" in ended.stderr
