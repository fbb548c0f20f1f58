"""`make dev` prints a readable line for each call, and none for a call in which nothing happened."""

from __future__ import annotations

from datetime import datetime

import pytest

from dev.cloud_scheduler import Answer
from dev.ticks import tick_line

AT = datetime(2026, 11, 22, 14, 5, 9)  # noqa: DTZ001 (as a clock on the wall shows it)
COST = {"reads": 3, "writes": 5}
BUILT = {"status": "completed", "scannedUsers": 0, "queuedUsers": 0, "jobsCreated": 0, "failedUsers": 0, **COST}
WORKED = {"jobsClaimed": 0, "refreshedUsers": 0, "failedUsers": 0, **COST}
ERRORS = {"failedUsers": 1, "errors": [{"userId": "ann", "code": "bad_balance"}]}


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("queue", BUILT, None),
        ("worker", WORKED, None),
        ("queue", {**BUILT, "status": "paused"}, "queue: paused (3 reads, 5 writes)"),
        (
            "queue",
            {**BUILT, "scannedUsers": 1200, "queuedUsers": 30, "jobsCreated": 2},
            "queue: 1,200 users scanned, 30 queued in 2 jobs (3 reads, 5 writes)",
        ),
        (
            "worker",
            {**WORKED, "jobsClaimed": 2, "refreshedUsers": 29, **ERRORS},
            "worker: 2 jobs, 29 users refreshed, 1 failed (the first: ann, bad_balance) (3 reads, 5 writes)",
        ),
        (
            "worker",
            {**WORKED, "requestedUsers": 1, "refreshedUsers": 1},
            "worker: 0 jobs, 1 users refreshed, 1 by request (3 reads, 5 writes)",
        ),
    ],
)
def test_a_call_has_a_line_if_it_did_something(name, body, expected):
    """The line says what the call cost."""
    line = tick_line(f"credit_refresh_{name}", AT, Answer(200, body))

    assert line == (None if expected is None else f"14:05:09  {expected}")


def test_a_call_without_an_answer_has_a_line():
    assert tick_line("credit_refresh_worker", AT, Answer(0)) == "14:05:09  worker answered nothing: {}"
