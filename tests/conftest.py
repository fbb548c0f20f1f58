"""One emulator for the whole run: started by the process that controls it, shared by its workers."""

from __future__ import annotations

import os
from contextlib import ExitStack

from dev.emulator import emulator

_running = ExitStack()


def pytest_configure(config):
    """Start the emulator, unless the unit tests alone are asked for or this is a worker of a parallel run."""
    asked = [str(argument) for argument in config.args]
    if hasattr(config, "workerinput") or all("tests/unit" in argument for argument in asked):
        return
    os.environ["FIRESTORE_EMULATOR_HOST"] = _running.enter_context(emulator())


def pytest_unconfigure():
    _running.close()
