"""Tokens of the real Firebase Auth emulator. Only admins and support staff get in."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import logs
from tests.auth.conftest import FIRESTORE
from tests.support.admin_function import admin_function
from tests.support.firebase import FirebaseAuth, claims_in, unsigned

GARBAGE = [
    "x",
    "a.b",
    "a.b.c",
    "...",
    "null",
    "undefined",
    "e30.e30.",
    "bnVsbA.bnVsbA.bnVsbA",
    "W10.W10.",
    "\xff\xfe.\xe4.",
    "a" * 8000,
    "a" * 20_000,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def code(answer):
    return answer.json["error"]["code"]


def test_an_admin_gets_in(auth, emulated):
    """The name of the admin is the e-mail address."""
    admin = auth.create_admin()

    answer = emulated.call(auth.sign_in(admin))

    assert answer.status_code == 200
    assert answer.json == {"uid": admin.uid, "name": admin.email}


def test_support_staff_get_in(auth, emulated):
    """The monitor itself refuses their actions."""
    helper = auth.create_user()
    auth.set_claims(helper, {"support": True})

    assert emulated.call(auth.sign_in(helper)).status_code == 200


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer  {} "])
def test_the_scheme_may_be_in_any_case(auth, emulated, header):
    """It may be followed by several spaces."""
    token = auth.sign_in(auth.create_admin())

    assert emulated.call(Authorization=header.format(token)).status_code == 200


@pytest.mark.parametrize(
    "claims", [None, {}, {"admin": False}, {"admin": "true"}, {"admin": 1}, {"admin": [True]}, {"Admin": True}]
)
def test_a_user_who_is_no_admin_is_refused(auth, emulated, claims):
    """The claim must be exactly true."""
    answer = emulated.call(auth.sign_in(auth.create_user(claims=claims)))

    assert (answer.status_code, code(answer)) == (403, "not_admin")


def test_an_admin_with_an_unverified_address_is_refused(auth, emulated):
    """After verifying it and signing in again, the admin gets in."""
    admin = auth.create_user(claims={"admin": True}, verified=False)

    refused = emulated.call(auth.sign_in(admin))
    auth.verify(admin)

    assert (refused.status_code, code(refused)) == (403, "address_not_verified")
    assert emulated.call(auth.sign_in(admin)).status_code == 200


def test_a_new_account_with_any_address_is_refused(auth, emulated):
    """Even if it got the claim by other means, because its address is not verified."""
    stranger = auth.sign_up()
    auth.set_claims(stranger, {"admin": True})

    assert emulated.call(auth.sign_in(stranger)).status_code == 403


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x", "owner", "Bearerx y"])
def test_a_request_without_a_token_is_refused(emulated, header):
    """The answer says how to send a token."""
    answer = emulated.call(**({} if header is None else {"Authorization": header}))

    assert (answer.status_code, code(answer)) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json["error"]["message"]


@pytest.mark.parametrize("token", [*GARBAGE, "owner"], ids=range(len(GARBAGE) + 1))
def test_an_invalid_token_is_refused(emulated, token):
    """This includes `owner`, which the emulators themselves accept as an administrator."""
    answer = emulated.call(Authorization=f"Bearer {token}")

    assert (answer.status_code, code(answer)) == (401, "unauthenticated")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=json_values,
    payload=json_values,
    changes=st.dictionaries(st.sampled_from(["exp", "iat", "sub", "iss", "aud"]), json_values, min_size=1),
)
def test_any_token_with_a_wrong_part_is_refused(emulated, auth, header, payload, changes):
    """Header and claims are any JSON, or one of the good claims is replaced by any value."""
    now = int(time.time())
    good = {"iss": f"https://securetoken.google.com/{auth.project}", "aud": auth.project, "sub": "x", "iat": now}
    tokens = [unsigned(payload, header), unsigned({**good, "exp": now + 99, "admin": True, **changes})]

    assert {emulated.call(token).status_code for token in tokens} == {401}


def test_an_expired_token_is_refused(auth, emulated):
    """Firebase's library does not check the expiry of an emulator's token, so our code does."""
    token = auth.sign_in(auth.create_admin())
    now = int(time.time())
    expired = {exp: unsigned({**claims_in(token), "exp": now + exp}) for exp in (-3600, -10, 60)}

    assert {exp: emulated.call(each).status_code for exp, each in expired.items()} == {-3600: 401, -10: 401, 60: 200}


def test_a_revoked_token_is_refused_at_once(auth, emulated):
    """The next request is refused. A new sign-in is accepted again."""
    admin = auth.create_admin()
    token = auth.sign_in(admin)
    assert emulated.call(token).status_code == 200

    auth.revoke(admin)

    assert emulated.call(token).status_code == 401
    time.sleep(1.1)  # Firebase counts whole seconds
    assert emulated.call(auth.sign_in(admin)).status_code == 200


@pytest.mark.parametrize("end", ["disable", "delete"])
def test_a_disabled_or_deleted_user_is_refused(auth, emulated, end):
    """The user is looked up at each request, because the token itself is still valid."""
    admin = auth.create_admin()
    token = auth.sign_in(admin)

    getattr(auth, end)(admin)

    assert emulated.call(token).status_code == 401


def test_a_token_of_another_project_is_refused(auth, emulated):
    """Even if it is of an admin there with the same uid as an admin here."""
    admin = auth.create_admin()
    elsewhere = FirebaseAuth(auth.host, "demo-elsewhere")
    elsewhere.create_user(admin.uid, {"admin": True})

    token = elsewhere.sign_in(admin)

    assert claims_in(token)["aud"] == "demo-elsewhere"
    assert emulated.call(token).status_code == 401


@pytest.mark.parametrize("name", ["aud", "iss"])
def test_audience_and_issuer_both_count(auth, emulated, name):
    """A token with only one of them right is refused."""
    token = auth.sign_in(auth.create_admin())

    altered = unsigned({**claims_in(token), name: claims_in(token)[name].replace(auth.project, "demo-elsewhere")})

    assert emulated.call(altered).status_code == 401


def test_a_new_claim_counts_from_the_next_token_on(auth, emulated):
    """Old tokens don't have the claim, so the answer says to sign in again."""
    user = auth.create_user()
    before = auth.sign_in(user)

    auth.set_claims(user, {"admin": True})

    refused = emulated.call(before)
    assert refused.status_code == 403
    assert "sign in again" in refused.json["error"]["message"]
    assert emulated.call(auth.sign_in(user)).status_code == 200


def test_neither_answers_nor_logs_hold_a_token(auth, emulated, capsys):
    """The answer is the same for every refused token. It does not say why."""
    logs.configure()
    admin = auth.create_admin()
    token = auth.sign_in(admin)
    auth.revoke(admin)

    answers = [emulated.call(each).get_data(as_text=True) for each in (token, "a.b.c", None)]

    assert len(set(answers)) == 1
    output = capsys.readouterr().out + answers[0]
    assert token not in output
    assert token.split(".")[1] not in output


def test_an_unreachable_emulator_gives_503(monkeypatch, auth):
    """The caller may be an admin, so the answer asks to try again."""
    environ = {"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:1", "GOOGLE_CLOUD_PROJECT": auth.project}
    function = admin_function(monkeypatch, {**FIRESTORE, "CREDIT_REFRESH_AUTH": "on", **environ})

    answer = function.call(auth.sign_in(auth.create_admin()))

    assert (answer.status_code, code(answer)) == (503, "sign_in_unavailable")
    assert answer.headers["Retry-After"] == "10"


def test_a_request_from_another_site_is_refused(auth, emulated):
    """Even with an admin's token."""
    token = auth.sign_in(auth.create_admin())

    answer = emulated.call(token, Origin="https://evil.example")

    assert (answer.status_code, code(answer)) == (403, "cross_site")


def test_errors_are_json(emulated):
    """Also without a token."""
    assert set(json.loads(emulated.call().data)["error"]) == {"code", "message", "field"}
