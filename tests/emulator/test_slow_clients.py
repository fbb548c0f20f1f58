"""The monitor as it is deployed, while clients send slowly, too much, or half of what they announce."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import pytest

from tests.support.servers import server
from tests.support.world import World

PAGE_SECONDS_MAX = 5
ATTACKERS = 60
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    world = World()
    log = tmp_path_factory.mktemp("slow") / "log"
    with server("credit_refresh_monitor", log, GOOGLE_CLOUD_PROJECT=world.settings.project) as running:
        yield running


def connect(monitor) -> socket.socket:
    return socket.create_connection(("127.0.0.1", monitor.port), timeout=20)


def head(method="POST", path="/", **headers) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).replace("_", "-").encode() + b"\r\n\r\n"


def silent(_connection, stop):
    """Connect and send nothing."""
    stop.wait()


def half_a_head(connection, stop):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    stop.wait()


def dripping_head(connection, stop):
    connection.sendall(b"GET / HTTP/1.1\r\n")
    while not stop.wait(0.3):
        connection.sendall(b"a: b\r\n")


def no_body(connection, stop):
    connection.sendall(head(Content_Length=9))
    stop.wait()


def no_body_of_a_get(connection, stop):
    connection.sendall(head("GET", "/health", Content_Length=9))
    stop.wait()


def dripping_body(connection, stop):
    connection.sendall(head(Content_Length=100_000))
    while not stop.wait(0.3):
        connection.sendall(b" ")


def dripping_chunks(connection, stop):
    connection.sendall(head(Transfer_Encoding="chunked"))
    while not stop.wait(0.3):
        connection.sendall(b"1\r\n \r\n")


def dripping_huge_body(connection, stop):
    """Announce more than is accepted, and go on sending after the refusal."""
    connection.sendall(head(Content_Length=32 * MEGABYTE))
    while not stop.wait(0.3):
        connection.sendall(b" " * 1000)


def huge_chunks(connection, stop):
    connection.sendall(head(Transfer_Encoding="chunked"))
    while not stop.is_set():
        connection.sendall(b"100000\r\n" + b" " * MEGABYTE + b"\r\n")
        stop.wait(1)


def takes_no_answer(connection, stop):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.sendall(head("GET", "/?asset=firebase-auth.js") * 50)
    stop.wait()


@contextlib.contextmanager
def attacked(monitor, attack):
    """Run many such clients at once. Each connects again when it is cut off."""
    stop = threading.Event()

    def client():
        while not stop.is_set():
            with contextlib.suppress(OSError), connect(monitor) as connection:
                attack(connection, stop)
            stop.wait(0.1)

    threads = [threading.Thread(target=client) for _ in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    "attack",
    [
        silent,
        half_a_head,
        dripping_head,
        no_body,
        no_body_of_a_get,
        dripping_body,
        dripping_chunks,
        dripping_huge_body,
        huge_chunks,
        takes_no_answer,
    ],
)
def test_the_page_and_health_answer_during_an_attack(monitor, attack):
    """Each answers within five seconds, also long after the first client was cut off."""
    with attacked(monitor, attack):
        seconds = []
        for _ in range(4):
            for path in ("/", "/health"):
                started = time.monotonic()
                reply = monitor.request("GET", path=path, timeout=PAGE_SECONDS_MAX, Accept="text/html")
                seconds.append(time.monotonic() - started)
                assert reply.status in (200, 503)
            time.sleep(1.5)

    assert max(seconds) < PAGE_SECONDS_MAX


def answer_of(connection) -> tuple[int, dict]:
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, json.loads(stream.read(length))


def test_a_body_announced_too_large_is_refused_before_it_is_sent(monitor):
    """The headers are enough to refuse it."""
    with connect(monitor) as connection:
        connection.sendall(head(Content_Length=32 * MEGABYTE))

        status, answer = answer_of(connection)

    assert (status, answer["error"]["code"]) == (400, "body_too_large")


@pytest.mark.parametrize("sent", [b"", b"{", b'{"action": "pa'])
def test_a_body_that_does_not_arrive_is_refused(monitor, sent):
    """The answer is 408 after some seconds."""
    started = time.monotonic()
    with connect(monitor) as connection:
        connection.sendall(head(Content_Length=900) + sent)

        status, answer = answer_of(connection)

    assert (status, answer["error"]["code"]) == (408, "body_too_slow")
    assert time.monotonic() - started < 10


def test_a_client_that_sends_all_of_a_large_body_reads_why_it_was_refused(monitor):
    """The connection is not reset before the client has read the answer."""
    reply = monitor.request("POST", b" " * 30 * MEGABYTE)

    assert (reply.status, reply.json["error"]["code"]) == (400, "body_too_large")


def test_one_connection_serves_many_requests(monitor):
    """After a refused, an ignored and an accepted body the next request on the connection is read correctly."""
    with connect(monitor) as connection:
        answers = []
        for data in (
            head("GET", "/health", Content_Length=5) + b"hello",
            head(Content_Length=2) + b"{}",
            head(Transfer_Encoding="chunked") + b"2\r\n{}\r\n0\r\n\r\n",
            head("GET", "//evil.example"),
            head(Content_Length=3 * MEGABYTE) + b" " * 3 * MEGABYTE,
            head("GET", "/?userId=nobody"),
        ):
            connection.sendall(data)
            answers.append(answer_of(connection)[0])

    assert answers == [503, 400, 400, 404, 400, 404]


@pytest.mark.parametrize("path", ["/favicon.ico", "/robots.txt"])
def test_answers_of_the_framework_itself_have_the_headers_too(monitor, path):
    """The framework itself answers only these two paths."""
    reply = monitor.request("GET", path=path)

    assert reply.status == 404
    assert (reply.headers["Cache-Control"], reply.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
