"""Runs one step in a process of its own, so that its memory and CPU time can be measured.

The arguments are the emulator's address, the name of the step and the project's spec as JSON. The process prints
`ready` and waits for a line. Then it runs the step and prints the measurement as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from bench.project import BenchProject, ProjectSpec
from bench.steps import STEPS

STATUS = Path("/proc/self/status")


def main(host: str, step: str, spec: str) -> None:
    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    project = BenchProject.at(host, ProjectSpec(**json.loads(spec)))
    project.database.get("warm/0")  # connect before the measurement begins
    run = STEPS[step](project)
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.time(), time.process_time()
    figures = run()
    ended = time.time()
    measurement = {"began": began, "ended": ended, "cpu_seconds": time.process_time() - cpu, "peak_mb": peak_mb()}
    print(json.dumps({**measurement, "figures": figures}), flush=True)


def peak_mb() -> float:
    """The largest memory of this process. On Linux memory that its parent held does not count."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main(*sys.argv[1:])
