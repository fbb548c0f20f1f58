"""`make bench`, `-growth`, `-year` and `-simulate`: what README and docs/benchmarks.md show is what these printed.

`QUICK=1` tries them out on few users; its figures mean nothing.
"""

from __future__ import annotations

import os
import sys

from bench import run, simulate, year

COMMANDS = {"all": run.main, "growth": run.growth, "year": year.main, "simulate": simulate.main}

COMMANDS[sys.argv[1] if len(sys.argv) > 1 else "all"](quick=bool(os.environ.get("QUICK")))
