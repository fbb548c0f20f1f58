"""Credit Refresh beside an app's own tests: `with running_credit_refresh() as refresh: …`. Copy this file into an app.

It needs a checkout of Credit Refresh whose `make emulator` has run. REFRESH_CHECKOUT names its folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(os.environ.get("REFRESH_CHECKOUT") or Path(__file__).resolve().parents[2])
START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 30


@dataclass(frozen=True)
class CreditRefresh:
    """The addresses: the functions by entry point, and the emulator that they share with the app."""

    functions: dict[str, str]
    dev: str
    emulator_host: str
    project: str

    def move_clock(self, days: int) -> dict[str, Any]:
        """Play so many days, hour by hour. It takes seconds."""
        return post(f"{self.dev}/clock", {"days": days})

    def refresh(self, *user_ids: str) -> dict[str, Any]:
        """Refresh these users now."""
        return post(self.functions["credit_refresh"], {"userIds": list(user_ids)})


@contextmanager
def running_credit_refresh(**environ: str) -> Iterator[CreditRefresh]:
    """Start everything on free ports, without users. It ends with the block. `environ`: options of `make dev`."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [str(CHECKOUT / ".venv/bin/python"), "-m", "dev.serve", "--ready-file", str(ready)]
        settings = {**os.environ, "PORT": "0", "EMULATOR_PORT": "0", "SAMPLES": "0", **environ}
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(command, cwd=CHECKOUT, env=settings, stdout=log, stderr=log)
            try:
                yield wait_until_ready(process, ready, Path(folder) / "log")
            finally:
                stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> CreditRefresh:
    """Wait for the file, and return the addresses in it."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists():
            found = json.loads(ready.read_text())
            return CreditRefresh(found["functions"], found["dev"], found["emulatorHost"], found["projectId"])
        time.sleep(0.1)
    raise RuntimeError(f"Credit Refresh did not start:\n{log.read_text()[-4000:]}")


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=180) as answer:
        return dict(json.load(answer))
