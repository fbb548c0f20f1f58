"""The lock files pin every package with its hashes, name no package index, and agree on the versions."""

from __future__ import annotations

import re

import pytest

from shared.settings import BUNDLE

LOCKS = ["requirements.txt", "deploy/requirements-tracing.txt", "requirements-dev.txt"]
JAVA_LOCK = "dev/requirements-java.txt"  # installed only where there is no Java
PIN = re.compile(r"([a-z0-9-]+)==(\S+)( ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\\n|\n))+)")


def pins(lock: str) -> dict[str, str]:
    """The version of each package of a lock file. Nothing else may be in the file."""
    text = (BUNDLE / lock).read_text(encoding="utf-8")
    without_comments = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    assert PIN.sub("", without_comments) == ""
    return {name: version for name, version, _, _ in PIN.findall(without_comments)}


def wanted(source: str) -> set[str]:
    """The packages that a *.in file names, under the names that lock files use."""
    lines = (BUNDLE / source).read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith(("#", "-"))]
    return {re.sub(r"[-_.]+", "-", re.split(r"[=<>;\[ ]", name)[0]).lower() for name in names}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_its_hashes(lock):
    """pip then installs these files and no others. No address of a package index is in the file."""
    assert len(pins(lock)) > 40


@pytest.mark.parametrize("lock", [*LOCKS, JAVA_LOCK])
def test_a_lock_has_what_its_source_asks_for(lock):
    """Whoever adds a package to a *.in file runs `make lock`."""
    assert wanted(lock.replace(".txt", ".in")) <= pins(lock).keys()


@pytest.mark.parametrize(("smaller", "larger"), [LOCKS[:2], LOCKS[1:]])
def test_each_package_has_the_same_version_in_all_lock_files(smaller, larger):
    """So what is tested is what is deployed."""
    assert pins(smaller).items() <= pins(larger).items()
