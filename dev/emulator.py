"""Starts the Firestore emulator, waits for it, and stops it. `python -m dev.emulator` runs one by hand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.console import end_on_signals
from dev.emulator_install import MAIN_CLASS, EmulatorError, install

START_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 5  # for the emulator that FIRESTORE_EMULATOR_HOST names
STOP_SECONDS_MAX = 5
LOOPBACK = "127.0.0.1"
BY_HAND_PORT = 8686
# Waits until its standard input ends, which is when the process at the other end is gone. Then it ends a process group.
_WATCH = """
import os, signal, sys, time
sys.stdin.buffer.read()
group = int(sys.argv[1])
os.killpg(group, signal.SIGTERM)
time.sleep(float(sys.argv[2]))
os.killpg(group, signal.SIGKILL)
"""

__all__ = ["EmulatorError", "clear", "emulator", "free_port", "own_emulator", "start", "stop"]


@contextmanager
def emulator(log: Path | None = None, port: int | None = None, address: str = LOOPBACK) -> Iterator[str]:
    """The address of an emulator. It is the one that FIRESTORE_EMULATOR_HOST names, or a new one for the block."""
    running = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if running:
        _wait_until_up(running, None, ANSWER_SECONDS_MAX)
        yield running
        return
    with own_emulator(log, port, address=address) as host:
        yield host


@contextmanager
def own_emulator(
    log: Path | None = None, port: int | None = None, rules: Path | None = None, address: str = LOOPBACK
) -> Iterator[str]:
    """The address of a new emulator, whatever else is running. It ends with the block.

    `rules`: security rules for every project. `address`: what it listens on, if other machines may reach it.
    """
    port = port or free_port()
    host = f"{LOOPBACK}:{port}"
    process = start(f"{address}:{port}", log, rules)
    try:
        with _ended_with_us(process):
            _wait_until_up(host, process, START_SECONDS_MAX)
            yield host
    finally:
        stop(process)


@contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Inside, the emulator ends if this process is killed: then nothing else would stop it."""
    command = [sys.executable, "-I", "-S", "-c", _WATCH, str(process.pid), str(STOP_SECONDS_MAX)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C does not end it
    ) as watcher:
        try:
            yield
        finally:
            watcher.kill()  # before its standard input is closed


def start(host: str, log: Path | None = None, rules: Path | None = None) -> subprocess.Popen[bytes]:
    """Start an emulator at this address. Raises EmulatorError if it or Java can be neither found nor fetched."""
    name, _, port = host.rpartition(":")
    found = install()
    command = [found.java, "-cp", str(found.jar), MAIN_CLASS, "--host", name, "--port", port]
    command += [] if rules is None else ["--rules", str(rules)]
    with (log or Path(os.devnull)).open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process. Kill it if it does not end."""
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clear(host: str, project: str) -> None:
    """Delete every document of a project."""
    url = f"http://{host}/emulator/v1/projects/{project}/databases/(default)/documents"
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60):
        pass


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(host: str, process: subprocess.Popen[bytes] | None, seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise EmulatorError(
                f"The Firestore emulator ended at once, with exit code {process.returncode}; is port "
                f"{host.rpartition(':')[2]} taken?"
            )
        try:
            with urllib.request.urlopen(f"http://{host}/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    named = "; FIRESTORE_EMULATOR_HOST names it: start it, or unset the variable" if process is None else ""
    raise EmulatorError(f"No Firestore emulator answers at {host} within {seconds_max} s{named}.")


def main() -> None:
    """Run an emulator until Ctrl-C. PORT sets its port; the default is 8686."""
    end_on_signals()
    with own_emulator(port=int(os.environ.get("PORT", BY_HAND_PORT))) as host:
        print(f"export FIRESTORE_EMULATOR_HOST={host} GOOGLE_CLOUD_PROJECT=demo-credit-refresh", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
