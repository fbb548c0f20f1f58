"""Starts, kills and stops one function under functions-framework, in a process group of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dev.emulator import free_port

BUNDLE = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 3  # running requests are not needed any more; gunicorn would wait for 30 seconds

# Variables of a developer's shell that would change the framework or the functions. They are left out.
FOREIGN = ("FUNCTION_", "GUNICORN_", "CREDIT_REFRESH_", "DEBUG", "HOST", "PORT", "WORKERS", "THREADS", "ENTRY_POINT")


class FunctionServerError(Exception):
    """A function could not be started. The message ends with its last log lines."""


class FunctionServer:
    """One entry point, served on a port of this machine."""

    def __init__(self, entry_point: str, environ: Mapping[str, str], log: Path) -> None:
        self.entry_point = entry_point
        self._environ = {**_own_environ(), **environ}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Start the function. `wait` waits until it listens."""
        self.port = free_port()
        command = [sys.executable, "-m", "functions_framework", "--source", "main.py", "--target", self.entry_point]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=BUNDLE,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until the function listens. Raises FunctionServerError."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise FunctionServerError(f"{self.entry_point} did not start:\n{self._last_log_lines()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise FunctionServerError(f"{self.entry_point} does not listen after {START_SECONDS_MAX} s")

    def kill(self) -> None:
        """Kill the process, like a crash."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)
            self._process = None

    def stop(self) -> None:
        """End the process and everything that it started. Kill it if it does not end."""
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(timeout=STOP_SECONDS_MAX)
                self._process = None
            except subprocess.TimeoutExpired:
                self.kill()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole process group. Its leader is our child and not reaped yet, so the id is still valid."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _last_log_lines(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def _own_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
