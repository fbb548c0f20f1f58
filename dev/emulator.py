"""The Firestore emulator: found, started, waited for, and stopped again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS_MAX = 60
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
def emulator(log: Path | None = None) -> Iterator[str]:
    """The address of an emulator: the one FIRESTORE_EMULATOR_HOST names, else one of our own, stopped on leaving."""
    running = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if running:
        _wait_until_up(running, None)
        yield running
        return
    host = f"127.0.0.1:{free_port()}"
    process = start(host, log)
    try:
        _wait_until_up(host, process)
        yield host
    finally:
        stop(process)


def start(host: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start an emulator there. Raises EmulatorError if it, or Java, is not installed."""
    name, _, port = host.rpartition(":")
    command = [_java(), "-cp", str(_jar()), MAIN_CLASS, "--host", name, "--port", port]
    with (log or Path(os.devnull)).open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, at the latest by force."""
    process.terminate()
    try:
        process.wait(timeout=10)
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


def _wait_until_up(host: str, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise EmulatorError(
                f"the Firestore emulator ended at once, with exit code {process.returncode}; is Java 17 or newer?"
            )
        try:
            with urllib.request.urlopen(f"http://{host}/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise EmulatorError(f"no Firestore emulator answers at {host} within {START_SECONDS_MAX} s")


def _java() -> str:
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True, check=False).returncode != 0:
        raise EmulatorError(HOW_TO_INSTALL_JAVA)
    return java


def _jar() -> Path:
    """gcloud's jar, else the newest of Firebase's."""
    for root in _sdk_roots():
        if (jar := root / JAR_IN_SDK).is_file():
            return jar
    jars = sorted(FIREBASE_JARS.expanduser().glob("cloud-firestore-emulator-*.jar"))
    if jars:
        return jars[-1]
    raise EmulatorError(HOW_TO_INSTALL)


def _sdk_roots() -> Iterator[Path]:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return
    yield Path(gcloud).resolve().parent.parent
    told = subprocess.run(
        [gcloud, "info", "--format=value(installation.sdk_root)"], capture_output=True, text=True, check=False
    )
    if told.returncode == 0 and told.stdout.strip():
        yield Path(told.stdout.strip())
