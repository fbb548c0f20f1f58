"""The monitor's page: its HTML, its files, and the headers that keep them safe. None of it holds data.

The function may be served at any path, and may not know it (a proxy in front can strip one). So every address in the
page is a query on the page's own: `?asset=NAME&v=VERSION`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Request, Response, jsonify

from shared.edge.requests import RequestError

WebConfig = Mapping[str, Any]

ASSETS = Path(__file__).resolve().parent / "assets"
_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"

# Name in the address → file. Whatever isn't named here isn't served.
FILES: Mapping[str, str] = {
    "monitor.css": "monitor.css",
    "monitor.js": "monitor.js",
    "actions.js": "actions.js",
    "activity.js": "activity.js",
    "api.js": "api.js",
    "charts.js": "charts.js",
    "days.js": "days.js",
    "detail.js": "detail.js",
    "dialog.js": "dialog.js",
    "dom.js": "dom.js",
    "failed-users.js": "failed-users.js",
    "failures.js": "failures.js",
    "format.js": "format.js",
    "headline.js": "headline.js",
    "job.js": "job.js",
    "notice.js": "notice.js",
    "parts.js": "parts.js",
    "place.js": "place.js",
    "plans.js": "plans.js",
    "polling.js": "polling.js",
    "receipts.js": "receipts.js",
    "setup.js": "setup.js",
    "signin.js": "signin.js",
    "status.js": "status.js",
    "story.js": "story.js",
    "tiles.js": "tiles.js",
    "icon.svg": "icon.svg",
    "uplot.js": "vendor/uPlot-1.6.32.iife.min.js",
    "uplot.css": "vendor/uPlot-1.6.32.min.css",
    "firebase-app.js": "vendor/firebase-app-13.2.0.js",
    "firebase-auth.js": "vendor/firebase-auth-13.2.0.js",
}
_TYPES = {".js": _SCRIPT, ".css": _STYLE, ".svg": "image/svg+xml"}

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")  # nothing that could end a directive and begin another

# The only hosts Firebase's client speaks to for e-mail and password.
FIREBASE_HOSTS = ("https://identitytoolkit.googleapis.com", "https://securetoken.googleapis.com")

YEAR_SECONDS = 31_536_000
EMBED_SECONDS = 300


def public_answer(request: Request, web_config: Callable[[], WebConfig]) -> Response | None:
    """The answer to a GET that asks for page, file or embed script; None if it asks for data.

    `web_config` makes `config.json`. Raises RequestError for a file there is not.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    if request.path.endswith("/embed.js"):
        return embed(request)
    name = request.args.get("asset")
    if name is None:
        return page(web_config()) if wants_page(request) else None
    return config(web_config()) if name == "config.json" else _known(asset(name, request))


def wants_page(request: Request) -> bool:
    """Would the caller rather have HTML than JSON? `*/*` alone, or no Accept, is a script's: JSON."""
    accepted = request.accept_mimetypes
    return bool(accepted.quality("text/html") > accepted.quality("application/json"))


def page(web_config: WebConfig) -> Response:
    """The page, under a policy that lets it load its own files alone, and speak to itself and Firebase Auth alone."""
    answer = Response(_html(), content_type="text/html; charset=utf-8")
    answer.headers.update(
        {
            "Content-Security-Policy": content_security_policy(web_config),
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "X-Frame-Options": "DENY",
            "Cache-Control": "no-cache",
            "Vary": "Accept",
        }
    )
    return _safe(answer)


def content_security_policy(web_config: WebConfig) -> str:
    """No inline script or style, no frames, nothing from elsewhere."""
    connect = " ".join(["'self'", *_hosts_of_sign_in(web_config)])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hosts_of_sign_in(web_config: WebConfig) -> tuple[str, ...]:
    if web_config.get("auth") != "on":
        return ()
    emulator = web_config.get("authEmulatorHost")
    return (f"http://{emulator}",) if emulator and _HOST.fullmatch(emulator) else FIREBASE_HOSTS


def asset(name: str, request: Request) -> Response | None:
    """A file of the page, None if there is none of that name. Under an address with the version it never changes."""
    if name not in FILES:
        return None
    forever = request.args.get("v") == version()
    caching = f"public, max-age={YEAR_SECONDS}, immutable" if forever else "no-cache"
    answer = _file(ASSETS / FILES[name], request, caching)
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer


def embed(request: Request) -> Response:
    """The script another site's admin header loads: so it may be loaded from anywhere."""
    answer = _file(ASSETS / "embed.js", request, f"public, max-age={EMBED_SECONDS}")
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


def config(web_config: WebConfig) -> Response:
    """What the page has to know before anyone has signed in."""
    answer = jsonify(dict(web_config))
    answer.headers["Cache-Control"] = "no-cache"
    return _safe(answer)


def _known(answer: Response | None) -> Response:
    if answer is None:
        raise RequestError(404, "not_found", "the page has no file of that name", "asset")
    return answer


def _file(path: Path, request: Request, caching: str) -> Response:
    data = _read(path)
    answer = Response(data, content_type=_TYPES[path.suffix])
    answer.headers["Cache-Control"] = caching
    answer.set_etag(hashlib.sha256(data).hexdigest()[:32])
    answer.make_conditional(request)
    return _safe(answer)


def _safe(answer: Response) -> Response:
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


@lru_cache(maxsize=64)
def _read(path: Path) -> bytes:
    return path.read_bytes()


@lru_cache(maxsize=1)
def version() -> str:
    """Of all files together: it changes whenever one of them does."""
    digest = hashlib.sha256()
    for file in sorted(FILES.values()):
        digest.update(_read(ASSETS / file))
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _html() -> bytes:
    return _read(ASSETS / "monitor.html").replace(b"{{version}}", version().encode())
