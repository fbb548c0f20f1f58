"""`make bench` and the commands that begin like it. README and docs/benchmarks.md show what these printed.

`QUICK=1` runs them on few users, to see whether they work. The figures of such a run mean nothing.
"""

from __future__ import annotations

import os
import sys

from bench import profile, run, simulate, stagger, year

COMMANDS = {
    "all": run.main,
    "growth": run.measure_growth,
    "profile": profile.main,
    "simulate": simulate.main,
    "stagger": stagger.main,
    "year": year.main,
}

COMMANDS[sys.argv[1] if len(sys.argv) > 1 else "all"](quick=bool(os.environ.get("QUICK")))
