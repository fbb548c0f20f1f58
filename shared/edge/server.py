"""The HTTP server (gunicorn, started by functions-framework) with limits for clients that send slowly or not at all.

The framework has four threads a processor. A client that has sent half a request holds one of them until it goes away,
so a few such clients stop the function. Here a client has some seconds for its headers, for its body and for taking its
answer; then its connection is shut down. There are as many threads as Cloud Run sends requests at a time, and more.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

THREADS = 100  # more than the `concurrency` in deploy/functions.toml; a waiting thread costs almost nothing
HEAD_SECONDS_MAX = 3.0
ANSWER_SECONDS_MAX = 60.0  # the platform's time-out, from the last header to the last byte of the answer

# The rest of a refused body is read and thrown away, so that its sender can read the answer.
DISCARD_SECONDS_MAX = 3.0
DISCARD_BYTES_MAX = 32 * 2**20  # Cloud Run lets no larger body through
DISCARD_PIECE = 2**18
LINGER_SECONDS_MAX = 0.5


def serve_slow_clients() -> None:
    """Make the framework start this worker instead of its own. Call it before the framework starts its server."""
    framework: Any = import_module("functions_framework._http.gunicorn")  # private; the version is pinned
    framework.GunicornApplication = partial(framework.GunicornApplication, worker_class=BoundedWorker, threads=THREADS)


@contextmanager
def cut_off_after(
    connection: socket.socket | None, seconds: float, how: int = socket.SHUT_RD
) -> Iterator[Callable[[], bool]]:
    """Shut a connection down if the block takes longer. Readers of it then see its end.

    Gives a function that says whether it was shut down.
    """
    done = threading.Event()
    timer = threading.Timer(seconds, _shut_down, (connection, how, done))
    timer.daemon = True
    timer.start()
    try:
        yield done.is_set
    finally:
        timer.cancel()


def _shut_down(connection: socket.socket | None, how: int, done: threading.Event) -> None:
    if connection is None:
        return
    done.set()
    try:
        connection.shutdown(how)
    except OSError:
        return  # the client has closed it already


class BoundedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads no client can hold for long."""

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection. True if the connection stays open."""
        conn.head = threading.Timer(HEAD_SECONDS_MAX, _shut_down, (conn.sock, socket.SHUT_RD, threading.Event()))
        conn.head.daemon = True
        conn.head.start()
        try:
            kept = super().handle(conn)
        finally:
            conn.head.cancel()
        if kept is False:
            _close_in_own_thread(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer a request whose headers have arrived."""
        conn.head.cancel()
        with cut_off_after(conn.sock, ANSWER_SECONDS_MAX, socket.SHUT_RDWR):
            kept = super().handle_request(req, conn)
        with cut_off_after(conn.sock, DISCARD_SECONDS_MAX):
            discarded = _discard_body(conn.parser)
        return bool(kept and discarded)


def _discard_body(parser: Any) -> bool:
    """True if the next request of the connection can be read."""
    left = DISCARD_BYTES_MAX
    try:
        while left > 0 and (data := parser.mesg.body.read(DISCARD_PIECE)):
            left -= len(data)
    except Exception:  # noqa: BLE001 (a badly framed body; its sender has had an answer)
        return False
    return left > 0


def _close_in_own_thread(connection: socket.socket) -> None:
    """Close a connection in the request's own thread. The main thread would wait for the client and accept no other."""
    duplicate = connection.dup()
    close_graceful(duplicate, timeout=LINGER_SECONDS_MAX)
    _shut_down(connection, socket.SHUT_RDWR, threading.Event())
