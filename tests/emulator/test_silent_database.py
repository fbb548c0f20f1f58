"""A database that accepts connections and never answers. The monitor says so before its callers give up."""

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
    """The address of a database that never answers."""
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


def test_health_answers_many_callers_within_seconds(monitor):
    """They do not wait one after the other."""
    ask = lambda _: monitor.request("GET", path="/health", timeout=HEALTH_SECONDS_MAX)  # noqa: E731

    with ThreadPoolExecutor(ASKING) as pool:
        replies = list(pool.map(ask, range(ASKING)))

    assert {(reply.status, reply.json["reasons"][0]["code"]) for reply in replies} == {(503, "database_unreachable")}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "/", None), ("GET", "/?userId=ann", None), ("POST", "/", b'{"action": "rescan", "runId": "2026-11-22"}')],
)
def test_a_view_and_an_action_end_before_their_callers_give_up(monitor, method, path, body):
    """The answer is 503. Meanwhile the page itself is served at once."""
    ask = lambda _: monitor.request(method, body, path, timeout=VIEW_SECONDS_MAX if body is None else 55)  # noqa: E731

    with ThreadPoolExecutor(4) as pool:
        replies = pool.map(ask, range(4))
        page = monitor.request("GET", timeout=5, Accept="text/html")
        refused = {(reply.status, reply.json["error"]["code"]) for reply in replies}

    assert page.status == 200
    assert refused <= {(503, "out_of_time"), (503, "unavailable"), (503, "breaker_open")}
