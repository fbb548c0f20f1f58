"""Actions are for the monitor's own page and for programs; what another site's page sends is refused.

A browser says where a request comes from, in headers that a page can't set: `Sec-Fetch-Site`, and `Origin` with every
POST. Programs send neither, and pass. Behind Firebase Hosting `Host` is the name of the Cloud Run service, and
`X-Forwarded-Host` that of the site in the address bar: an Origin may be either. `X-Forwarded-Host` is believed, since
a page that sets it on a request to another site has to ask first (CORS), and we never say yes; and whoever is not a
browser can leave all of these headers out anyway.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Request

from shared.edge.requests import RequestError

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # they change nothing
_OUR_SITE = (None, "same-origin", "none")  # none: not of a page, but of the user
_DEFAULT_PORT = re.compile(r":(80|443)$")


def check_same_site(request: Request) -> None:
    """Let programs and our own page pass. Raises RequestError 403 for an action another site's page asked for."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    foreign = origin is not None and _host(_netloc(origin)) not in _our_hosts(request)
    if foreign or request.headers.get("Sec-Fetch-Site") not in _OUR_SITE:
        raise RequestError(
            403,
            "cross_site",
            "actions are not taken from pages of other sites; use the monitor's own page, or a script",
        )


def _our_hosts(request: Request) -> set[str]:
    forwarded = request.headers.get("X-Forwarded-Host", "").split(",")
    return {_host(name) for name in (request.headers.get("Host", ""), *forwarded)} - {""}


def _netloc(origin: str) -> str:
    """Its host and port; nothing for `null`, which is what sandboxed frames and local files send."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _host(netloc: str) -> str:
    return _DEFAULT_PORT.sub("", netloc.strip().lower())
