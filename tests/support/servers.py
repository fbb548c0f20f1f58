"""Runs functions as real processes under functions-framework, and calls them over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.emulator import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 30


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """One function's process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def post(self, body: Any = None, timeout: float = 120) -> Reply:
        return self.request("POST", b"" if body is None else json.dumps(body).encode(), timeout=timeout)

    def request(
        self, method: str, data: bytes | None = None, path: str = "/", timeout: float = 120, **headers
    ) -> Reply:
        sent = {"Content-Type": "application/octet-stream", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as answer:
            with answer:
                return Reply(answer.code, dict(answer.headers), answer.read())

    def lines(self) -> list[dict[str, Any]]:
        """The functions' own log lines so far. They are JSON objects; other lines are left out."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def server(target: str, log: Path, **environ: Any) -> Iterator[Server]:
    """Start one function, wait until it answers, and end it when the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "functions_framework", "--target", target, "--source", str(ROOT / "main.py")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
            start_new_session=True,
        )
    found = Server(process, port, log)
    try:
        _wait_until_up(found)
        yield found
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(found: Server) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and found.process.poll() is None:
        try:
            found.request("PUT", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the function did not start:\n{found.log.read_text()[-4000:]}")
