"""Checks before a request reaches functions-framework: its path, and the size and pace of its body.

The framework reads the whole body before it answers, however large it is and however slowly it comes. Each of its
threads serves one request at a time. So the gateway reads the body itself, and refuses one that is too large or takes
more than a few seconds. If the headers announce a huge body, it is refused before any of it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from flask import Flask
from werkzeug.wrappers import Response

from shared.edge.endpoint import refusal, with_safe_headers
from shared.edge.requests import BODY_BYTES_MAX, RequestError, body_cut_off, body_too_large, check_path
from shared.edge.server import cut_off_after, serve_slow_clients

EVENT_FUNCTION = "credit_refresh_user_created"  # only Eventarc calls it, and its answers have another form
PUBLIC_FUNCTION = "credit_refresh_monitor"

BODY_SECONDS_MAX = 5.0

WsgiApp = Callable[..., Iterable[bytes]]
DISCARDED_BYTES_MAX = 16 * 1024 * 1024  # of a body that is too large; a larger one is not read at all
PIECE_BYTES = 64 * 1024


def protect(app: Flask) -> None:
    """Put the gateway in front of a function's app. The public function also gets threads enough for slow clients."""
    if app.name == EVENT_FUNCTION:
        return
    app.wsgi_app = Gateway(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents it
    if app.name == PUBLIC_FUNCTION:
        serve_slow_clients()


class Gateway:
    """A WSGI app in front of another one."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            check_path(environ)
            body = _read_body(environ)
        except RequestError as exc:
            return with_safe_headers(refusal(exc))(environ, start_response)
        with_body = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        with_body.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole now, and has a length
        return self._app(with_body, _with_safe_headers(start_response))


def _with_safe_headers(start_response: Any) -> Any:
    """Add our headers to each answer, also to those that the framework itself gives, for example to /favicon.ico."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        answer = with_safe_headers(Response(headers=headers))
        return start_response(status, answer.headers.to_wsgi_list(), *exc_info)

    return start


def _read_body(environ: dict[str, Any]) -> bytes:
    """Read the whole body of a POST. Bodies of other methods are not read. Raises RequestError."""
    announced = _announced_length(environ)
    if environ["REQUEST_METHOD"] != "POST" or announced == 0:
        return b""
    if announced is not None and announced > BODY_BYTES_MAX:
        _discard_body(environ, announced)
        raise body_too_large()
    size = BODY_BYTES_MAX + 1 if announced is None else announced
    with cut_off_after(environ.get("gunicorn.socket"), BODY_SECONDS_MAX) as is_cut_off:
        data = _read(environ["wsgi.input"], size)
    if is_cut_off():
        raise RequestError(408, "body_too_slow", f"the body did not arrive within {BODY_SECONDS_MAX:.0f} seconds")
    if data is None or len(data) < (announced or 0):
        raise body_cut_off()
    if len(data) > BODY_BYTES_MAX:
        raise body_too_large()
    return data


def _discard_body(environ: dict[str, Any], size: int) -> None:
    """Read a body that is too large, and keep nothing of it. A huge body is not read.

    A client that is still sending when the connection closes sees a broken connection in place of the answer.
    """
    if size > DISCARDED_BYTES_MAX:
        return
    with cut_off_after(environ.get("gunicorn.socket"), BODY_SECONDS_MAX):
        while size > 0 and (data := _read(environ["wsgi.input"], min(size, PIECE_BYTES))):
            size -= len(data)


def _announced_length(environ: dict[str, Any]) -> int | None:
    """The length of the body by the headers: 0 if there is no body, None if it comes in chunks of unknown number."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        return int(length)
    return None if environ.get("wsgi.input_terminated") else 0


def _read(stream: Any, size: int) -> bytes | None:
    """Read up to `size` bytes. None if the connection ends early, or if the chunks are malformed."""
    try:
        return bytes(stream.read(size))
    except Exception:  # noqa: BLE001 (each server raises exceptions of its own)
        return None
