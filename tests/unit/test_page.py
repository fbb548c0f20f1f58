"""The page's files and headers: nothing from other sites, nothing inline, no file that is not in the table."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from statistics import median, quantiles

import pytest
from flask import Flask, request

from shared.edge.requests import RequestError
from shared.monitor import page as page_module
from shared.monitor.page import ASSETS, FILES, content_security_policy, public_answer, version

OFF = {"auth": "off", "apiKey": None, "authDomain": None, "projectId": "demo", "authEmulatorHost": None}
ON = {**OFF, "auth": "on", "apiKey": "key"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
OURS = sorted(ASSETS.glob("*.js"))

app = Flask("page")


def page_answer(path="/", accept=BROWSER, method="GET", config=OFF, **headers):
    """The page's answer to a request. None if the page leaves the request to the API."""
    sent = {"Accept": accept, **headers} if accept is not None else headers
    with app.test_request_context(path, method=method, headers=sent):
        return public_answer(request, lambda: config)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/*", True),
        ("application/json;q=0.5, text/html", True),
        ("*/*", False),
        (None, False),
        ("", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0, */*", False),
        ("nonsense", False),
    ],
)
def test_a_client_that_prefers_html_gets_the_page(accept, expected):
    """A script that sends no Accept header, or accepts anything, gets JSON."""
    assert (page_answer(accept=accept) is not None) is expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_answers_only_a_get(method):
    """A POST is an action, whatever it accepts."""
    assert page_answer(method=method) is None
    assert page_answer("/?asset=monitor.js", method=method) is None


def test_the_page_loads_nothing_from_elsewhere_and_nothing_inline():
    """Each address is a query on the page's own path, so it works anywhere. No script, style or handler is inline."""
    parser = Inspector()
    parser.feed(page_answer().get_data(as_text=True))

    assert len(parser.addresses) > 5
    assert {address for address in parser.addresses if not address.startswith(("?asset=", "#"))} == set()
    assert parser.inline == []
    for address in parser.addresses:
        if address.startswith("?"):
            answer = page_answer(f"/any/where/{address}")
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]


class Inspector(HTMLParser):
    """Collects addresses, and everything that a strict policy would refuse."""

    def __init__(self):
        super().__init__()
        self.addresses, self.inline, self._inside = [], [], None

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._inside = tag if tag in ("script", "style") else None
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        self.inline += [f"{tag} {name}" for name in found if name.startswith("on") or name == "style"]

    def handle_endtag(self, _tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside and data.strip():
            self.inline.append(self._inside)


def test_the_pages_headers_are_strict():
    """Only its own files load.

    It is not framed or sniffed, sends no referrer, and is fetched anew if it has changed.
    """
    headers = page_answer().headers

    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Vary"] == "Accept"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (OFF, "connect-src 'self'"),
        (ON, "connect-src 'self' https://identitytoolkit.googleapis.com https://securetoken.googleapis.com"),
        ({**ON, "authEmulatorHost": "127.0.0.1:9099"}, "connect-src 'self' http://127.0.0.1:9099"),
        ({**OFF, "authEmulatorHost": "127.0.0.1:9099"}, "connect-src 'self'"),
    ],
)
def test_the_page_may_connect_to_firebase_only_where_sign_in_is_on(config, expected):
    """It may connect to the Auth emulator only where that is used."""
    assert expected in content_security_policy(config).split("; ")


@pytest.mark.parametrize("host", ["x; script-src *", "a b", "evil'", "host,other", ""])
def test_a_strange_emulator_host_cannot_loosen_the_policy(host):
    """The host comes from the environment. Only a host and a port get into the policy."""
    policy = content_security_policy({**ON, "authEmulatorHost": host})

    assert policy.count(";") == content_security_policy(ON).count(";")
    assert re.fullmatch(r"connect-src 'self'( https://[a-z.]+)*", policy.split("; ")[4])


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_its_type_and_may_be_kept(name):
    """With the version in the address a file is kept for ever. Without it the browser asks whether it has changed."""
    fresh = page_answer(f"/?asset={name}&v={version()}")
    other = page_answer(f"/?asset={name}&v=older")
    again = page_answer(f"/?asset={name}", **{"If-None-Match": other.headers["ETag"]})

    assert fresh.status_code == 200
    assert fresh.get_data() == (ASSETS / FILES[name]).read_bytes()
    assert fresh.mimetype == {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.split(".")[-1]]
    assert fresh.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in fresh.headers["Cache-Control"]
    assert other.headers["Cache-Control"] == "no-cache"
    assert again.status_code == 304


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x.js",
        "monitor.html",
        "embed.js",
        "VENDORED.md",
        "../page.py",
        "..%2Fpage.py",
        "/etc/passwd",
        "vendor/VENDORED.md",
        "monitor.js%00",
    ],
)
def test_no_other_file_is_served(name):
    """Names are looked up in a table and never used as paths."""
    with pytest.raises(RequestError) as refused:
        page_answer(f"/?asset={name}")

    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_the_config_says_what_the_page_has_to_know():
    """It is not cached, because it may change with a deployment."""
    answer = page_answer("/?asset=config.json", config=ON)

    assert answer.json == ON
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/embed.js", "/api/scheduled-tasks/credit-refresh-monitor/embed.js"])
@pytest.mark.parametrize("accept", [BROWSER, "*/*", None])
def test_the_embed_script_may_be_loaded_from_anywhere(path, accept):
    """Any path that ends in its name serves it."""
    answer = page_answer(path, accept=accept)

    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.get_data() == (ASSETS / "embed.js").read_bytes()


def test_every_file_in_the_folder_is_served_or_listed_here():
    """The list has the page itself, the embed script, and the licences with their table."""
    present = {str(path.relative_to(ASSETS)) for path in ASSETS.rglob("*") if path.is_file()}
    not_in_table = {"monitor.html", "embed.js", "vendor/VENDORED.md", "vendor/uPlot-LICENSE", "vendor/firebase-LICENSE"}

    assert present == {*FILES.values(), *not_in_table}


def test_the_version_changes_with_any_file(monkeypatch):
    """A browser must not use old files with a new page."""
    before = version()
    monkeypatch.setattr(page_module, "_read", lambda path: b"changed" if path.name == "dom.js" else path.read_bytes())
    version.cache_clear()

    try:
        assert version() != before
    finally:
        version.cache_clear()


def vendored():
    """The rows of VENDORED.md: a file name and its published checksum."""
    text = (ASSETS / "vendor/VENDORED.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (\S+) \| \S+ \| [\d.]+ \| \S+ \| .+? \| ([0-9a-f]{64}) \|$", text, re.MULTILINE)


def test_vendored_files_are_the_published_ones():
    """The files are equal byte for byte, except for the one statement that VENDORED.md names."""
    text = (ASSETS / "vendor/VENDORED.md").read_text(encoding="utf-8")
    published, here = (re.search(rf"^- {name}: `(.+)`$", text, re.MULTILINE)[1] for name in ("published", "here"))
    sums = {}
    for file, _ in vendored():
        data = (ASSETS / "vendor" / file).read_bytes().replace(here.encode(), published.encode())
        sums[file] = hashlib.sha256(data).hexdigest()

    assert sums == dict(vendored())
    assert {f"vendor/{file}" for file in sums} == {file for file in FILES.values() if "/" in file}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_scripts_insert_no_text_as_markup(path):
    """They use neither innerHTML nor anything like it, and name no other site."""
    text = path.read_text(encoding="utf-8")

    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function", text) == []
    )
    assert re.findall(r"https?://(?!…|\$\{config\.authEmulatorHost\})", text) == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_scripts_load_only_what_is_served(path):
    """Otherwise only a browser would find a misspelt name. Each script begins with a comment."""
    text = path.read_text(encoding="utf-8")
    names = set(re.findall(r'"([a-z-]+\.js)"', text))

    assert names <= {*FILES, "embed.js"}
    assert text.startswith("/**\n * ")


def test_functions_in_scripts_are_short():
    """As in Python, the median is at most 8 lines, and 95% of the functions have at most 30."""
    lines = [
        len(found.group().splitlines())
        for path in OURS
        for found in re.finditer(
            r"^( *)(?:export )?(?:async |get )?(?:function \w+|[#\w]+)\([^\n]*\) \{\n(?:.*\n)*?\1\}",
            path.read_text(),
            re.MULTILINE,
        )
    ]

    assert len(lines) > 100
    assert median(lines) <= 8
    assert quantiles(lines, n=20)[-1] <= 30
    assert max(lines) <= 40
