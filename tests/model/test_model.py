"""Random histories of a deployment, each checked after every step and once more when it has come to rest."""

from __future__ import annotations

import os
import random

import pytest

from tests.model.machine import Days, run_histories


@pytest.mark.timeout(900)  # of which shrinking a failure may take most
def test_no_history_grants_twice_or_forgets_anybody():
    """Whatever is called, changed, paused, crashed or stalled in whatever order: exactly once per period."""
    chosen = int(os.environ.get("MODEL_SEED") or random.SystemRandom().randrange(2**32))
    print(f"MODEL_SEED={chosen}")
    Days.seen.clear()

    run_histories(Days, chosen, histories=15, steps=25)

    print(dict(Days.seen.most_common()))
    assert min(Days.seen["histories"], Days.seen["grants"], Days.seen["runs completed"]) > 0
