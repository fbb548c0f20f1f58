"""Signed tokens (RS256) as in production. Firebase's unchanged library calls a fake of Google on loopback."""

from __future__ import annotations

import time

import jwt
import pytest

from tests.support.admin_function import admin_function
from tests.support.firebase import claims_in, unsigned
from tests.support.google import (
    CERTIFICATES,
    KEY_ID,
    PROJECT,
    USERS,
    certificate,
    claims,
    pem,
    rsa_key,
    signed,
)

LOOKUP = f"{USERS}/v1/projects/{PROJECT}/accounts:lookup"
NOW = int(time.time())


def code(answer):
    return answer.json["error"]["code"]


def test_an_admin_gets_in(cloud, production):
    """Certificates are fetched once. The user is looked up at each request."""
    token = signed(claims(), cloud.key)

    answers = [production.call(token) for _ in range(3)]

    assert [answer.json for answer in answers] == [{"uid": "ann", "name": "ann@example.com"}] * 3
    assert cloud.asked.count(LOOKUP) == 3


@pytest.mark.parametrize("verified", [None, False, "true", 1])
def test_an_address_has_to_be_verified(cloud, production, verified):
    """The claim must be exactly true, as Firebase writes it."""
    answer = production.call(signed(claims(email_verified=verified), cloud.key))

    assert (answer.status_code, code(answer)) == (403, "address_not_verified")


def test_an_admin_without_address_is_named_by_uid(cloud, production):
    """Users who sign in by phone have no address."""
    assert production.call(signed(claims(email=None), cloud.key)).json["name"] == "ann"


def test_a_token_signed_with_another_key_is_refused(cloud, production):
    """Even under the right key id."""
    forged = signed(claims(), rsa_key("somebody's"))

    assert production.call(forged).status_code == 401
    assert LOOKUP not in cloud.asked


def test_an_unknown_key_id_is_refused(cloud, production):
    """Like that of a key that Google no longer publishes."""
    assert production.call(signed(claims(), cloud.key, "key-0")).status_code == 401


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "none", "kid": KEY_ID}, {"alg": "RS256", "kid": KEY_ID}])
def test_an_unsigned_token_is_refused(cloud, production, header):
    """Anybody can make an unsigned token."""
    assert production.call(unsigned(claims(), {**header, "typ": "JWT"})).status_code == 401
    assert LOOKUP not in cloud.asked


def test_a_token_of_the_real_emulator_is_refused(auth, production):
    """Even that of an admin in the right project. It is unsigned, and no emulator is configured."""
    token = auth.sign_in(auth.create_admin())
    ours = {**claims_in(token), **claims(), "sub": "ann"}

    assert [production.call(each).status_code for each in (token, unsigned(ours))] == [401, 401]


def test_a_signature_by_the_public_certificate_is_refused(cloud, production):
    """An attacker could name a symmetric algorithm and use the public certificate as the secret."""
    secret = pem(certificate(cloud.key)).replace("CERTIFICATE", "SECRET")
    forged = jwt.encode(claims(), secret, "HS256", {"kid": KEY_ID})

    assert production.call(forged).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "acme-test"},
        {"aud": [PROJECT]},
        {"iss": "https://securetoken.google.com/acme-test"},
        {"iss": f"https://session.firebase.google.com/{PROJECT}"},
        {"exp": NOW - 60},
        {"exp": None},
        {"iat": NOW + 600, "exp": NOW + 4200},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "a" * 129},
        {"sub": "nobody"},
    ],
    ids=",".join,
)
def test_a_signed_token_with_wrong_claims_is_refused(cloud, production, changes):
    """Another audience, expired, not valid yet, or without a user."""
    answer = production.call(signed(claims(**changes), cloud.key))

    assert (answer.status_code, code(answer)) == (401, "unauthenticated")


@pytest.mark.parametrize("record", [{"validSince": str(NOW)}, {"disabled": True}])
def test_a_revoked_token_and_a_disabled_user_are_refused_at_once(cloud, production, record):
    """Also by an instance that accepted the token before."""
    token = signed(claims(iat=NOW - 60), cloud.key)
    assert production.call(token).status_code == 200

    cloud.user("ann", **record)

    assert production.call(token).status_code == 401


@pytest.mark.parametrize("admin", [None, False, "true", 1])
def test_a_user_who_is_no_admin_is_refused(cloud, production, admin):
    """The claim must be exactly true."""
    answer = production.call(signed(claims(admin=admin), cloud.key))

    assert (answer.status_code, code(answer)) == (403, "not_admin")


@pytest.mark.parametrize("host", [CERTIFICATES, USERS])
def test_an_unreachable_google_gives_503(cloud, production, host):
    """When Google can be reached again, an admin gets in."""
    token = signed(claims(), cloud.key)
    cloud.unreachable.add(host)

    answer = production.call(token)

    assert (answer.status_code, code(answer)) == (503, "sign_in_unavailable")
    assert "googleapis" not in answer.get_data(as_text=True)
    cloud.unreachable.clear()
    assert production.call(token).status_code == 200


def test_a_service_account_without_the_role_gives_503(cloud, production):
    """It may not look users up."""
    cloud.refuses_lookups = True

    answer = production.call(signed(claims(), cloud.key))

    assert (answer.status_code, code(answer)) == (503, "sign_in_unavailable")


def test_missing_credentials_give_503(cloud, monkeypatch, production):
    """The answer is not 401, because the caller may be an admin."""
    missing = {"GOOGLE_APPLICATION_CREDENTIALS": str(cloud.folder / "missing.json")}
    function = admin_function(monkeypatch, {"GOOGLE_CLOUD_PROJECT": PROJECT, **cloud.environ(), **missing})

    assert function.call(signed(claims(), cloud.key)).status_code == 503
    assert production is not function


@pytest.mark.parametrize("token", ["x", "a.b.c", "e30.e30.e30"])
def test_an_invalid_token_is_not_sent_to_google(cloud, production, token):
    """It is refused without a call to Google."""
    assert production.call(token).status_code == 401
    assert cloud.asked == []
