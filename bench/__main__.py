"""`make bench`, `-growth`, `-year`, `-simulate` and `-stagger`: README and docs/benchmarks.md show what these printed.

`QUICK=1` tries them out on few users; its figures mean nothing.
"""

from __future__ import annotations

import os
import sys

from bench import run, simulate, stagger, year

COMMANDS = {
    "all": run.main,
    "growth": run.growth,
    "year": year.main,
    "simulate": simulate.main,
    "stagger": stagger.main,
}

COMMANDS[sys.argv[1] if len(sys.argv) > 1 else "all"](quick=bool(os.environ.get("QUICK")))
