"""A database that takes connections and never answers: the monitor says so, soon enough for whoever asked."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.servers import server

HEALTH_SECONDS_MAX = 9  # uptime checks wait for 10
VIEW_SECONDS_MAX = 29  # the page waits for 30
ASKING = 20


@pytest.fixture(scope="module")
def silence():
    """Its address."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listening:

        def accept() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@pytest.fixture(scope="module")
def monitor(silence, tmp_path_factory):
    log = tmp_path_factory.mktemp("silence") / "log"
    with server("credit_refresh_monitor", log, FIRESTORE_EMULATOR_HOST=silence) as running:
        yield running


def test_health_is_told_to_all_who_ask_within_seconds(monitor):
    """Once for all of them: they do not wait one after the other."""
    ask = lambda _: monitor.request("GET", path="/health", timeout=HEALTH_SECONDS_MAX)  # noqa: E731

    with ThreadPoolExecutor(ASKING) as pool:
        replies = list(pool.map(ask, range(ASKING)))

    assert {(reply.status, reply.json["reasons"][0]["code"]) for reply in replies} == {(503, "database_unreachable")}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/", None), ("GET", "/?userId=ann", None), ("POST", "/", b'{"action": "rescan", "runId": "2026-11-22"}')],
)
def test_a_view_ends_before_those_who_wait_for_it_give_up(monitor, method, path, body):
    """503 rather than the platform's time-out; the page itself comes at once meanwhile."""
    ask = lambda _: monitor.request(method, body, path, timeout=VIEW_SECONDS_MAX if body is None else 55)  # noqa: E731

    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(ask, range(4))
        page = monitor.request("GET", timeout=5, Accept="text/html")
        refused = {(reply.status, reply.json["error"]["code"]) for reply in replies}

    assert page.status == 200
    assert refused <= {(503, "out_of_time"), (503, "unavailable"), (503, "breaker_open")}
