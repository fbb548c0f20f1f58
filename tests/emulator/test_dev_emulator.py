"""The emulator that tests and the demo start for themselves."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
GONE_WITHIN_SECONDS = 20
PARENT = """
import time
from dev.emulator import own_emulator
with own_emulator() as host:
    print(host, flush=True)
    time.sleep(600)
"""


def answers(host: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}/", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def test_the_emulator_ends_with_a_killed_parent():
    """A killed parent can't stop its emulator, so the emulator ends by itself."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        host = parent.stdout.readline().strip()
        assert answers(host)
        parent.kill()

    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while answers(host):
        assert time.monotonic() < deadline, f"the emulator at {host} still answers"
        time.sleep(0.2)
