"""Serves the functions of main.py at their paths on one port, with a clock that can be moved."""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlencode

from functions_framework import create_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from dev.clock import Clock
from dev.cloud_scheduler import path_of
from dev.console import forward_as_sigterm
from dev.emulator import LOOPBACK
from dev.function_server import BUNDLE
from shared.edge.gateway import EVENT_FUNCTION, Gateway

END_SECONDS_MAX = 5

WsgiApp = Callable[..., Any]


@contextmanager
def serving(
    port: int, clock: Clock | None = None, pages: Mapping[str, WsgiApp] | None = None, address: str = LOOPBACK
) -> Iterator[list[str]]:
    """Serve the entry points until the end of the block. Gives their names. `pages`: other applications, by path."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    entry_points = list(importlib.import_module("main").__all__)
    functions = {path_of(name): _at_root(_on_clock(_function(name), clock or Clock())) for name in entry_points}
    forward_as_sigterm()  # the functions handle SIGTERM, as the platform sends it
    app = DispatcherMiddleware(_directory(list(functions)), {**functions, **(pages or {})})
    server = make_server(address, port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield entry_points
    finally:
        server.shutdown()
        thread.join(END_SECONDS_MAX)
        server.server_close()


def _function(entry_point: str) -> WsgiApp:
    app: WsgiApp = create_app(entry_point, str(BUNDLE / "main.py"))  # type: ignore[no-untyped-call]
    return app if entry_point == EVENT_FUNCTION else Gateway(app)


def _directory(paths: Sequence[str]) -> WsgiApp:
    """An application for all other paths. It answers 404 and lists the paths that exist."""

    @Request.application
    def app(_: Request) -> Response:
        return Response("Served here:\n" + "".join(f"  {path}\n" for path in paths), status=404)

    return app


def _at_root(app: WsgiApp) -> WsgiApp:
    """A function expects calls at the root of its URL. The path at which it is mounted stands for that root."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        return app({**environ, "PATH_INFO": environ.get("PATH_INFO") or "/"}, start_response)

    return call


def _on_clock(app: WsgiApp, clock: Clock) -> WsgiApp:
    """While the clock is ahead, each call gets the clock's time as `asOf`, unless the caller sets `asOf`."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        if clock.ahead and "HTTP_CE_ID" not in environ:  # an event has its own attribute for the time
            environ = _with_as_of(environ, clock.now().isoformat())
        return app(environ, start_response)

    return call


def _with_as_of(environ: dict[str, Any], as_of: str) -> dict[str, Any]:
    if environ["REQUEST_METHOD"] != "POST":
        asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return {**environ, "QUERY_STRING": urlencode({"asOf": as_of, **asked}, doseq=True)}
    data = _body_with_as_of(Request(environ).get_data(), as_of)
    return {**environ, "wsgi.input": BytesIO(data), "CONTENT_LENGTH": str(len(data)), "HTTP_TRANSFER_ENCODING": ""}


def _body_with_as_of(data: bytes, as_of: str) -> bytes:
    """Add `asOf` to a body. A body that can't be read is not changed, and the function refuses it."""
    try:
        body = json.loads(data or b"{}")
    except ValueError:
        return data
    return json.dumps({"asOf": as_of, **body}).encode() if isinstance(body, dict) else data
