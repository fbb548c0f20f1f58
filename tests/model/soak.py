"""`make soak` runs histories of the model with new seeds until the time is up, with and without real threads.

SOAK_SECONDS (default: an hour): no round begins after that time. MODEL_SEED: only the round of that seed runs.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from datetime import timedelta
from unittest.mock import patch

from dev.emulator import emulator
from tests.model.machine import Days, run_histories

HISTORIES, STEPS = 20, 50  # a round: about a minute


class DaysInThreads(Days):
    """The services use real threads. A failure here may not happen again when it is repeated."""

    pool = None


def main() -> int:
    logging.disable(logging.CRITICAL)
    model_seed = os.environ.get("MODEL_SEED")
    if model_seed:
        _round(int(model_seed))
        return 0
    began, rounds = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < float(os.environ.get("SOAK_SECONDS") or 3600):
        chosen = random.SystemRandom().randrange(2**32)
        print(f"{timedelta(seconds=round(elapsed))} round {rounds}, MODEL_SEED={chosen}", flush=True)
        _round(chosen)
        rounds += 1
    print(f"{timedelta(seconds=round(time.monotonic() - began))} no history broke a promise. They had")
    print("\n".join(f"{number:>9,} {what}" for what, number in Days.seen.most_common()))
    return 0


def _round(chosen: int) -> None:
    """Run a round on an emulator of its own, because an emulator grows from round to round. Odd seeds use threads."""
    with emulator() as host, patch.dict(os.environ, FIRESTORE_EMULATOR_HOST=host):
        run_histories(DaysInThreads if chosen % 2 else Days, chosen, HISTORIES, STEPS)
    counted = ", ".join(f"{Days.seen[what]:,} {what}" for what in ("histories", "grants", "calls that crashed"))
    print(f"        so far {counted}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
