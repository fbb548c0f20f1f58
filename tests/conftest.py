"""One emulator for the whole run: started by the process that controls it, shared by its workers."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack

from dev.emulator import emulator

WITHOUT_EMULATOR = re.compile(r"tests/(unit|deploy)\b")

_running = ExitStack()


def pytest_configure(config):
    """Start the emulator, unless tests without one alone are asked for or this is a worker of a parallel run."""
    asked = [str(argument) for argument in config.args]
    if hasattr(config, "workerinput") or all(WITHOUT_EMULATOR.search(argument) for argument in asked):
        return
    os.environ["FIRESTORE_EMULATOR_HOST"] = _running.enter_context(emulator())


def pytest_unconfigure():
    _running.close()
