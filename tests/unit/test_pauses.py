"""Pauses: when one ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.pauses import pause_ended_at

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "ended_at"),
    [
        ({}, None),
        ({"paused": False}, None),
        ({"paused": True}, None),
        ({"paused": True, "resumedAt": NOON - HOUR}, None),
        ({"paused": True, "pausedUntil": NOON + HOUR}, None),
        ({"paused": True, "pausedUntil": NOON}, NOON),
        ({"paused": True, "pausedUntil": NOON - HOUR, "resumedAt": NOON - 3 * HOUR}, NOON - HOUR),
        ({"paused": False, "resumedAt": NOON - HOUR}, NOON - HOUR),
        ({"paused": False, "resumedAt": "noon"}, None),
        ({"paused": False, "pausedUntil": NOON - HOUR}, None),
    ],
)
def test_a_pause_ends_when_somebody_resumes_or_by_itself(state, ended_at):
    """A pause that was removed by hand leaves no moment."""
    assert pause_ended_at(state, NOON) == ended_at
