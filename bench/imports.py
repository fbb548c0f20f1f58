"""Measures the import time of a cold instance: of `main`, and of the two libraries that every such function needs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

CODE = "import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
BARE = "functions_framework, google.cloud.firestore"


@dataclass(frozen=True, slots=True)
class Imports:
    """Medians in seconds. The two imports were measured in turns."""

    main: float
    #: The two libraries alone.
    bare: float
    ratio: float


def import_times(rounds: int) -> Imports:
    with tempfile.TemporaryDirectory() as bytecode:
        pairs = [(_seconds("main", bytecode), _seconds(BARE, bytecode)) for _ in range(rounds + 1)][1:]
    return Imports(
        statistics.median(main for main, _ in pairs),
        statistics.median(bare for _, bare in pairs),
        statistics.median(main / bare for main, bare in pairs),
    )


def _seconds(modules: str, bytecode: str) -> float:
    """The seconds of one import. The first round compiles every module into the folder for bytecode."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", CODE.format(modules=modules)]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return float(ran.stdout)
