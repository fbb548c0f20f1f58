"""`make bench`, `bench-growth`, `bench-year` and `bench-simulate`. README and docs/benchmarks.md show what these print.

`QUICK=1` runs them on few users, to see whether they work. The figures of such a run mean nothing.
"""

from __future__ import annotations

import os
import sys

from bench import run, simulate, year

COMMANDS = {"all": run.main, "growth": run.measure_growth, "year": year.main, "simulate": simulate.main}

COMMANDS[sys.argv[1] if len(sys.argv) > 1 else "all"](quick=bool(os.environ.get("QUICK")))
