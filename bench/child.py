"""One step in a process of its own, so that its memory and its CPU time are its own.

Started with the emulator's address, the step and the plot. Says `ready`, waits for a line, runs the step, and prints
its measurement as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from bench.ground import Ground, Plot
from bench.steps import STEPS

STATUS = Path("/proc/self/status")


def main(host: str, step: str, plot: str) -> None:
    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    ground = Ground.at(host, Plot(**json.loads(plot)))
    ground.database.get("warm/0")  # the connection is up before the clock runs
    run = STEPS[step](ground)
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.time(), time.process_time()
    figures = run()
    ended = time.time()
    measured = {"began": began, "ended": ended, "cpu_seconds": time.process_time() - cpu, "peak_mb": peak_mb()}
    print(json.dumps({**measured, "figures": figures}), flush=True)


def peak_mb() -> float:
    """The most memory this process has held. On Linux of this program alone, without what its parent held."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main(*sys.argv[1:])
