"""If there is no emulator, the jar that Firebase's own tools fetch is fetched."""

from __future__ import annotations

import json
from pathlib import Path

from dev.emulator_install import DEFAULT_JAR

LIST = "tests/firebase/node_modules/firebase-tools/lib/emulator/downloadableEmulatorInfo.json"


def test_the_jar_is_that_of_firebases_tools():
    """Address, size and checksum are those in the pinned version of the tools."""
    listed = json.loads((Path(__file__).resolve().parents[2] / LIST).read_text())["firestore"]

    assert (DEFAULT_JAR.url, DEFAULT_JAR.size, DEFAULT_JAR.sha256) == (
        listed["remoteUrl"],
        listed["expectedSize"],
        listed["expectedChecksumSHA256"],
    )
