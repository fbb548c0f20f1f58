"""Random histories of a deployment, checked after every step and after some healthy days at the end."""

from __future__ import annotations

import os
import random

import pytest

from tests.model.machine import Days, run_histories


@pytest.mark.timeout(900)  # shrinking a failure may take most of it
def test_no_history_grants_twice_or_forgets_anybody():
    """With calls, changes, pauses, crashes and delays in any order, each user is granted exactly once per period."""
    chosen = int(os.environ.get("MODEL_SEED") or random.SystemRandom().randrange(2**32))
    print(f"MODEL_SEED={chosen}")
    Days.seen.clear()

    run_histories(Days, chosen, histories=15, steps=25)

    print(dict(Days.seen.most_common()))
    assert min(Days.seen["histories"], Days.seen["grants"], Days.seen["runs completed"]) > 0
