"""Signed tokens (RS256) as in production: Firebase's unchanged library against a stand-in for Google on loopback."""

from __future__ import annotations

import time

import jwt
import pytest

from tests.support.door import door
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

    answers = [production.knock(token) for _ in range(3)]

    assert [answer.json for answer in answers] == [{"uid": "ann", "name": "ann@example.com"}] * 3
    assert cloud.asked.count(LOOKUP) == 3


@pytest.mark.parametrize("verified", [None, False, "true", 1])
def test_an_address_has_to_be_verified(cloud, production, verified):
    """Exactly true, as Firebase writes it."""
    answer = production.knock(signed(claims(email_verified=verified), cloud.key))

    assert (answer.status_code, code(answer)) == (403, "address_not_verified")


def test_without_an_address_the_name_is_the_id(cloud, production):
    """Users who sign in by phone have no address."""
    assert production.knock(signed(claims(email=None), cloud.key)).json["name"] == "ann"


def test_the_wrong_key_is_refused(cloud, production):
    """A key is refused even under the right key id."""
    forged = signed(claims(), rsa_key("somebody's"))

    assert production.knock(forged).status_code == 401
    assert LOOKUP not in cloud.asked


def test_a_key_google_does_not_know_is_refused(cloud, production):
    """This includes keys that Google no longer publishes."""
    assert production.knock(signed(claims(), cloud.key, "key-0")).status_code == 401


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "none", "kid": KEY_ID}, {"alg": "RS256", "kid": KEY_ID}])
def test_an_unsigned_token_is_refused(cloud, production, header):
    """Anybody can make an unsigned token."""
    assert production.knock(unsigned(claims(), {**header, "typ": "JWT"})).status_code == 401
    assert LOOKUP not in cloud.asked


def test_a_token_of_the_real_emulator_is_refused(auth, production):
    """It is refused even for an admin and the right project: it is unsigned, and no emulator is configured."""
    token = auth.sign_in(auth.create_admin())
    ours = {**claims_in(token), **claims(), "sub": "ann"}

    assert [production.knock(each).status_code for each in (token, unsigned(ours))] == [401, 401]


def test_a_signature_by_the_public_certificate_is_refused(cloud, production):
    """An attacker may name a symmetric algorithm and use the public certificate as its secret."""
    secret = pem(certificate(cloud.key)).replace("CERTIFICATE", "SECRET")
    forged = jwt.encode(claims(), secret, "HS256", {"kid": KEY_ID})

    assert production.knock(forged).status_code == 401


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
def test_what_is_signed_and_yet_no_token_of_ours_is_refused(cloud, production, changes):
    """Other audience, expired, not yet valid, or without a user."""
    answer = production.knock(signed(claims(**changes), cloud.key))

    assert (answer.status_code, code(answer)) == (401, "unauthenticated")


@pytest.mark.parametrize("record", [{"validSince": str(NOW)}, {"disabled": True}])
def test_revoked_and_disabled_are_refused_at_once(cloud, production, record):
    """The next request is refused by an instance that accepted the token before."""
    token = signed(claims(iat=NOW - 60), cloud.key)
    assert production.knock(token).status_code == 200

    cloud.user("ann", **record)

    assert production.knock(token).status_code == 401


@pytest.mark.parametrize("admin", [None, False, "true", 1])
def test_whoever_is_no_admin_is_told_so(cloud, production, admin):
    """The claim is exactly true."""
    answer = production.knock(signed(claims(admin=admin), cloud.key))

    assert (answer.status_code, code(answer)) == (403, "not_admin")


@pytest.mark.parametrize("host", [CERTIFICATES, USERS])
def test_google_out_of_reach_is_our_failure(cloud, production, host):
    """The answer is 503 for everybody. When Google is back, an admin is admitted again."""
    token = signed(claims(), cloud.key)
    cloud.unreachable.add(host)

    answer = production.knock(token)

    assert (answer.status_code, code(answer)) == (503, "sign_in_unavailable")
    assert "googleapis" not in answer.get_data(as_text=True)
    cloud.unreachable.clear()
    assert production.knock(token).status_code == 200


def test_a_service_account_that_may_not_look_is_our_failure(cloud, production):
    """The answer is 503, and the log names the missing role."""
    cloud.refuses_lookups = True

    answer = production.knock(signed(claims(), cloud.key))

    assert (answer.status_code, code(answer)) == (503, "sign_in_unavailable")


def test_no_credentials_are_our_failure(cloud, monkeypatch, production):
    """The answer is 503, not 401."""
    missing = {"GOOGLE_APPLICATION_CREDENTIALS": str(cloud.folder / "missing.json")}
    closed = door(monkeypatch, {"GOOGLE_CLOUD_PROJECT": PROJECT, **cloud.environ(), **missing})

    assert closed.knock(signed(claims(), cloud.key)).status_code == 503
    assert production is not closed


@pytest.mark.parametrize("token", ["x", "a.b.c", "e30.e30.e30"])
def test_garbage_never_reaches_google(cloud, production, token):
    """Garbage is refused without a call to Google."""
    assert production.knock(token).status_code == 401
    assert cloud.asked == []
