"""Access checks without a valid token: open instances, missing tokens, other sites, the page's settings."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from shared.edge import instance
from shared.edge.endpoint import refusal
from shared.edge.requests import RequestError
from shared.monitor import auth
from shared.monitor.auth import Admin, admin_of, web_config
from shared.monitor.same_site import check_same_site
from shared.settings import BUNDLE, read_settings

EMULATOR = {"FIRESTORE_EMULATOR_HOST": "localhost:8085"}
SITE = "acme.web.app"
SERVICE = "credit-refresh-monitor-abc-uc.a.run.app"


def request_of(method="POST", **headers):
    return Request(EnvironBuilder(method=method, headers=Headers(headers)).get_environ())


def passes(request):
    try:
        check_same_site(request)
    except RequestError as exc:
        assert (exc.status, exc.code) == (403, "cross_site")  # noqa: PT017 (the only refusal there is)
        return False
    return True


def with_environ(monkeypatch, environ):
    settings = read_settings(environ)
    monkeypatch.setattr(instance, "settings", lambda: settings)
    return settings


@pytest.mark.parametrize("environ", [EMULATOR, {"CREDIT_REFRESH_AUTH": "off", **EMULATOR}])
def test_the_emulator_is_open_by_default(monkeypatch, environ):
    """No header can close it."""
    with_environ(monkeypatch, environ)

    assert admin_of(request_of(Authorization="Bearer x")) == Admin("local", "local")


@pytest.mark.parametrize(
    ("host", "outcome"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("monitor.localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("127.8.9.1", True),
        ("[::1]:8080", True),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.5:8080", False),
        ("0.0.0.0:8080", False),
        ("[::ffff:7f00:1", False),
        ("", False),
    ],
)
def test_an_open_instance_answers_only_to_local_host_names(monkeypatch, host, outcome):
    """Another site's name may lead to this address. Its page could then read answers and act."""
    with_environ(monkeypatch, EMULATOR)

    try:
        admin = admin_of(request_of(Host=host))
    except RequestError as exc:
        assert (exc.status, exc.code) == (403, "not_local")  # noqa: PT017 (the only refusal there is)
        admin = None

    assert (admin is not None) is outcome


@pytest.mark.parametrize("environ", [{}, {"CREDIT_REFRESH_AUTH": "on", **EMULATOR}])
def test_a_call_without_a_token_is_answered_401(monkeypatch, environ):
    """This holds in production, and on the emulator where AUTH=on."""
    with_environ(monkeypatch, environ)

    with pytest.raises(RequestError, match="Authorization: Bearer") as raised:
        admin_of(request_of())

    assert (raised.value.status, raised.value.code) == (401, "unauthenticated")


def test_firebase_admin_is_not_imported_at_the_start():
    """The first token loads it. Its import would make every function's cold start half a second longer."""
    listing = "print([name for name in sys.modules if name.startswith('firebase_admin')])"
    code = f"import sys, main, shared.monitor.auth; {listing}"

    ended = subprocess.run([sys.executable, "-c", code], cwd=BUNDLE, capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"


def test_a_401_names_the_scheme():
    """HTTP requires WWW-Authenticate with a 401. Other refusals don't have it."""
    with Flask("any").app_context():
        answers = [refusal(error) for error in (auth._unauthenticated(), RequestError(403, "any", "told"))]

    assert [answer.headers.get("WWW-Authenticate") for answer in answers] == ["Bearer", None]


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "made-up"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Origin": f"https://{SERVICE}"}, True),
        ({"Origin": f"https://{SERVICE}:443"}, True),
        ({"Origin": f"https://{SERVICE.upper()}"}, True),
        ({"Origin": f"https://{SERVICE}:8443"}, False),
        ({"Origin": f"https://{SITE}"}, False),
        ({"Origin": f"https://evil.example/{SERVICE}"}, False),
        ({"Origin": f"https://{SERVICE}.evil.example"}, False),
        ({"Origin": f"https://{SERVICE}@evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "https://["}, False),
        ({"Origin": f"https://{SITE}", "X-Forwarded-Host": SITE}, True),
        ({"Origin": f"https://{SITE}", "X-Forwarded-Host": f"{SITE}, cdn.example"}, True),
        ({"Origin": f"https://{SERVICE}", "X-Forwarded-Host": SITE}, True),
        ({"Origin": "https://evil.example", "X-Forwarded-Host": SITE}, False),
        ({"Origin": "null", "X-Forwarded-Host": ""}, False),
        ({"Origin": f"https://{SITE}", "X-Forwarded-Host": SITE, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": f"https://{SERVICE}", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Origin": f"https://{SERVICE}", "X-Forwarded-Proto": "https"}, True),
        ({"Origin": f"https://{SERVICE}:443", "X-Forwarded-Proto": "https,http"}, True),
        ({"Origin": f"http://{SERVICE}", "X-Forwarded-Proto": "https"}, False),
        ({"Origin": f"http://{SERVICE}:443", "X-Forwarded-Proto": "https"}, False),
        ({"Origin": f"https://{SERVICE}", "X-Forwarded-Proto": "http"}, False),
        ({"Origin": f"https://{SERVICE}:80"}, False),
        ({"Origin": f"http://{SERVICE}:443"}, False),
        ({"Origin": f"ftp://{SERVICE}"}, False),
        ({"Origin": f"https://{SERVICE}:x"}, False),
        ({"Origin": f"http://{SITE}", "X-Forwarded-Host": SITE, "X-Forwarded-Proto": "https"}, False),
        ({"Origin": f"https://{SITE}", "X-Forwarded-Host": SITE, "X-Forwarded-Proto": "https"}, True),
        ({"Origin": f"https://{SITE}:443", "X-Forwarded-Host": f"{SITE}:80"}, False),
    ],
)
def test_only_programs_and_our_own_page_may_act(headers, outcome):
    """Our page is served at the function's own address, or at the site's address behind Hosting."""
    assert outcome == passes(request_of(**{"Host": SERVICE, **headers}))


def test_the_port_of_an_origin_must_be_the_same():
    """`make dev` serves at an address with a port."""
    headers = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}

    assert passes(request_of(**headers))
    assert not passes(request_of(**{**headers, "Origin": "http://localhost:3000"}))


@pytest.mark.parametrize(("method", "outcome"), [("GET", True), ("HEAD", True), ("PUT", False), ("DELETE", False)])
def test_another_site_may_only_send_requests_that_change_nothing(method, outcome):
    """A GET changes nothing, and the browser does not let the other site read the answer."""
    assert outcome == passes(request_of(method, Origin="https://evil.example"))


@pytest.mark.parametrize(
    ("environ", "config"),
    [
        (EMULATOR, ("off", None, None, None, None)),
        (
            {"GOOGLE_CLOUD_PROJECT": "acme", "CREDIT_REFRESH_FIREBASE_API_KEY": "AIza-1"},
            ("on", "AIza-1", "acme.firebaseapp.com", "acme", None),
        ),
        (
            {"GOOGLE_CLOUD_PROJECT": "acme", "CREDIT_REFRESH_FIREBASE_AUTH_DOMAIN": "login.acme.com"},
            ("on", None, "login.acme.com", "acme", None),
        ),
        (
            {"CREDIT_REFRESH_AUTH": "on", "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099", **EMULATOR},
            ("on", "emulator", "demo-credit-refresh.firebaseapp.com", "demo-credit-refresh", "127.0.0.1:9099"),
        ),
    ],
)
def test_the_settings_of_the_page_say_how_to_sign_in(environ, config):
    """Where no sign-in is needed, there is no key and no domain."""
    names = ("auth", "apiKey", "authDomain", "projectId", "authEmulatorHost")

    assert dict(zip(names, config, strict=True)) == web_config(read_settings(environ))
