"""The jar that is fetched where there is no emulator is the one that Firebase's own tools fetch."""

from __future__ import annotations

import json
from pathlib import Path

from dev.emulator_install import DEFAULT_JAR

LIST = "tests/firebase/node_modules/firebase-tools/lib/emulator/downloadableEmulatorInfo.json"


def test_the_jar_is_the_one_of_firebase_s_list():
    """Address, size and checksum, of the version of Firebase's tools that is pinned."""
    listed = json.loads((Path(__file__).resolve().parents[2] / LIST).read_text())["firestore"]

    assert (DEFAULT_JAR.url, DEFAULT_JAR.size, DEFAULT_JAR.sha256) == (
        listed["remoteUrl"],
        listed["expectedSize"],
        listed["expectedChecksumSHA256"],
    )
