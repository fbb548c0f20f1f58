"""The Firestore emulator: found, started, waited for, and stopped again. `python -m dev.emulator` runs one by hand."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.console import end_on_signals

START_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 5  # of one that is said to be running
STOP_SECONDS_MAX = 5
BY_HAND_PORT = 8686
ASK_SECONDS_MAX = 30  # of gcloud, of Java
MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
JAR_IN_SDK = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
FIREBASE_JARS = Path("~/.cache/firebase/emulators")

HOW_TO_INSTALL = (
    "The Firestore emulator was not found. Either install Google's command line tools and run "
    "`gcloud components install cloud-firestore-emulator` (on Debian: the packages google-cloud-cli and "
    "google-cloud-cli-firestore-emulator), or run `firebase setup:emulators:firestore`; it needs Java 17 or newer "
    "(on Debian: openjdk-17-jre-headless). Or point FIRESTORE_EMULATOR_HOST at one that is running."
)
HOW_TO_INSTALL_JAVA = (
    "The Firestore emulator needs Java 17 or newer, and no `java` that works was found on PATH. Install a Java runtime "
    "(on Debian: openjdk-17-jre-headless), or point FIRESTORE_EMULATOR_HOST at an emulator that is running."
)


class EmulatorError(Exception):
    """There is no emulator to be had; the message says what to install."""


@contextmanager
def emulator(log: Path | None = None, port: int | None = None) -> Iterator[str]:
    """The address of an emulator: the one FIRESTORE_EMULATOR_HOST names, else one of our own, stopped on leaving."""
    running = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if running:
        _wait_until_up(running, None, ANSWER_SECONDS_MAX)
        yield running
        return
    with own_emulator(log, port) as host:
        yield host


@contextmanager
def own_emulator(log: Path | None = None, port: int | None = None, rules: Path | None = None) -> Iterator[str]:
    """The address of an emulator of our own, whatever else is running. `rules`: in force for every project."""
    host = f"127.0.0.1:{port or free_port()}"
    process = start(host, log, rules)
    try:
        _wait_until_up(host, process, START_SECONDS_MAX)
        yield host
    finally:
        stop(process)


def start(host: str, log: Path | None = None, rules: Path | None = None) -> subprocess.Popen[bytes]:
    """Start an emulator there. Raises EmulatorError if it, or Java, is not installed."""
    name, _, port = host.rpartition(":")
    command = [_java(), "-cp", str(_jar()), MAIN_CLASS, "--host", name, "--port", port]
    command += [] if rules is None else ["--rules", str(rules)]
    with (log or Path(os.devnull)).open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, at the latest by force."""
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
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(host: str, process: subprocess.Popen[bytes] | None, seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise EmulatorError(
                f"The Firestore emulator ended at once, with exit code {process.returncode}. "
                "Is Java 17 or newer? Recent emulators of Firebase's want Java 21."
            )
        try:
            with urllib.request.urlopen(f"http://{host}/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    named = "; FIRESTORE_EMULATOR_HOST names it, start it or unset that" if process is None else ""
    raise EmulatorError(f"No Firestore emulator answers at {host} within {seconds_max} s{named}.")


def _java() -> str:
    java = shutil.which("java")
    if java is None or _told([java, "-version"]) is None:  # macOS has a `java` that only says where to get one
        raise EmulatorError(HOW_TO_INSTALL_JAVA)
    return java


def _jar() -> Path:
    """gcloud's jar, else the newest of Firebase's."""
    for root in _sdk_roots():
        if (jar := root / JAR_IN_SDK).is_file():
            return jar
    folder = Path(os.environ.get("FIREBASE_EMULATORS_PATH") or FIREBASE_JARS).expanduser()
    jars = sorted(folder.glob("cloud-firestore-emulator-*.jar"), key=_version)
    if jars:
        return jars[-1]
    raise EmulatorError(HOW_TO_INSTALL)


def _version(jar: Path) -> list[int]:
    """1.19.10 comes after 1.19.9."""
    return [int(number) for number in re.findall(r"\d+", jar.stem)]


def _sdk_roots() -> Iterator[Path]:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return
    yield Path(gcloud).resolve().parent.parent
    if root := (_told([gcloud, "info", "--format=value(installation.sdk_root)"]) or "").strip():
        yield Path(root)


def _told(command: list[str]) -> str | None:
    """What a command prints; None if it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def main() -> None:
    """Run an emulator until Ctrl-C; PORT=8686 says where."""
    end_on_signals()
    with own_emulator(port=int(os.environ.get("PORT", BY_HAND_PORT))) as host:
        print(f"export FIRESTORE_EMULATOR_HOST={host} GOOGLE_CLOUD_PROJECT=demo-credit-refresh", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
