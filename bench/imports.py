"""How long a cold instance imports: `main`, beside the two libraries no such function can do without."""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import dataclass

CODE = "import time; began = time.perf_counter(); import {modules}; print(time.perf_counter() - began)"
BARE = "functions_framework, google.cloud.firestore"


@dataclass(frozen=True, slots=True)
class Imports:
    """Seconds; medians, taken in turns."""

    main: float
    bare: float
    ratio: float


def import_times(rounds: int) -> Imports:
    pairs = [(_seconds("main"), _seconds(BARE)) for _ in range(rounds + 1)][1:]  # the first may compile
    return Imports(
        statistics.median(main for main, _ in pairs),
        statistics.median(bare for _, bare in pairs),
        statistics.median(main / bare for main, bare in pairs),
    )


def _seconds(modules: str) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", CODE.format(modules=modules)], capture_output=True, text=True, check=True
    )
    return float(ran.stdout)
