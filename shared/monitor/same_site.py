"""Actions are for the monitor's own page and for programs; what another site's page sends is refused.

A browser says where a request comes from, in headers that a page can't set: `Sec-Fetch-Site`, and `Origin` with every
POST. Programs send neither, and pass. An origin is scheme, host and port, and all three count. Behind Firebase Hosting
`Host` is the name of the Cloud Run service, and `X-Forwarded-Host` that of the site in the address bar: an Origin may
be either. `X-Forwarded-Host` is believed, since a page that sets it on a request to another site has to ask first
(CORS), and we never say yes; and whoever is not a browser can leave all of these headers out anyway.

TLS ends at the platform's front end, which tells the scheme in `X-Forwarded-Proto`. Where nobody tells it, either will
do: whoever serves `https` under our name has a certificate for it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from flask import Request

from shared.edge.requests import RequestError

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # they change nothing
_OUR_SITE = (None, "same-origin", "none")  # none: not of a page, but of the user
_DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]  # scheme, host, port


def check_same_site(request: Request) -> None:
    """Let programs and our own page pass. Raises RequestError 403 for an action another site's page asked for."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    foreign = origin is not None and _origin(origin) not in _our_origins(request)
    if foreign or request.headers.get("Sec-Fetch-Site") not in _OUR_SITE:
        raise RequestError(
            403,
            "cross_site",
            "actions are not taken from pages of other sites; use the monitor's own page, or a script",
        )


def check_local(request: Request) -> None:
    """Where nobody is asked who they are, answer to the names of this machine alone. Raises RequestError 403.

    A site can have its own name lead to 127.0.0.1. To the browser our answers are that site's own then.
    """
    address = _split(f"//{request.headers.get('Host', '')}")
    if not _is_loopback("" if address is None else address.hostname or ""):
        raise RequestError(
            403,
            "not_local",
            "nobody is asked to sign in here, so only localhost and 127.0.0.1 are answered; set CREDIT_REFRESH_AUTH=on",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _our_origins(request: Request) -> set[Origin | None]:
    names = (request.headers.get("Host", ""), *request.headers.get("X-Forwarded-Host", "").split(","))
    return {_origin(f"{scheme}://{name.strip()}") for scheme in _schemes(request) for name in names} - {None}


def _schemes(request: Request) -> tuple[str, ...]:
    """The one the browser used, as the front end tells it; both where nobody does."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    if forwarded or request.scheme == "https":
        return (forwarded or request.scheme,)
    return tuple(_DEFAULT_PORTS)


def _origin(text: str) -> Origin | None:
    """None for what is none, such as `null`, which sandboxed frames and local files send."""
    parts = _split(text.lower())
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 (raises if it is none)
    except ValueError:
        return None
    return parts
