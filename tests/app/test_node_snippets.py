"""The Node code of docs/app.md works. Node's own test runner runs it, with the Admin SDK."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support.firebase import NODE_SIDE, node
from tests.support.metadata import metadata_server

EXAMPLE = Path(__file__).with_name("snippets.test.cjs")


def test_the_tests_of_the_node_snippets_pass():
    """All of them were run."""
    command = [node("client.mjs")[0], "--test", "--test-reporter=tap", str(EXAMPLE)]
    environ = {name: value for name, value in os.environ.items() if name != "FIRESTORE_EMULATOR_HOST"}
    environ["NODE_PATH"] = str(NODE_SIDE / "node_modules")
    with metadata_server() as (address, _):
        environ |= {"GCE_METADATA_HOST": address, "METADATA_SERVER_DETECTION": "assume-present"}
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=110)
    figures = dict(re.findall(r"^# (\w+) (\d+)", ended.stdout, re.MULTILINE))

    assert (ended.returncode, figures.get("fail")) == (0, "0"), ended.stdout + ended.stderr
    assert int(figures["pass"]) == EXAMPLE.read_text().count('\ntest("')
