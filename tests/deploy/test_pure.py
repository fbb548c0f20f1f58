"""Decisions of the deployment that need no cloud: how a call ended, names from a prefix, channels of alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.kind import Kind
from deploy.monitoring import Channels
from deploy.smoke import outcome

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
WORKER = "credit_refresh_worker"


def line(action: str, **fields: str) -> dict[str, dict[str, str]]:
    return {"jsonPayload": {"action": action, **fields}}


BEFORE = line(WORKER, startTime=(NOW - timedelta(seconds=1)).isoformat())
SINCE = line(WORKER, startTime=NOW.isoformat())
FAILED = line("call_failed", function=WORKER, message="the database refuses us")


@pytest.mark.parametrize(
    ("entries", "ended"),
    [
        ([], ""),
        ([{"textPayload": "started"}], ""),
        ([BEFORE], ""),
        ([BEFORE, SINCE], "success"),
        ([SINCE, FAILED], "success"),
        ([BEFORE, FAILED], "failure: the database refuses us"),
        ([line("call_failed", function="credit_refresh_queue")], ""),
        ([line("call_failed", function=WORKER)], "failure: its log says why"),
    ],
)
def test_only_a_call_that_began_later_counts(entries, ended):
    """A call that began earlier does not count, even if it ended later."""
    assert outcome(entries, WORKER, NOW) == ended


@pytest.mark.parametrize(
    ("prefix", "function", "job", "account", "title"),
    [
        ("credit_refresh", "credit-refresh-worker", "credit-refresh-worker", "credit-refresh-build", "Credit Refresh"),
        ("tokens", "tokens-worker", "tokens-worker", "tokens-build", "Credit Refresh (tokens)"),
        ("AI_Credits", "ai-credits-worker", "ai-credits-worker", "ai-credits-build", "Credit Refresh (AI_Credits)"),
    ],
)
def test_a_prefix_names_everything(prefix, function, job, account, title):
    """With the default prefix the names are those of the tables."""
    kind = Kind(prefix)

    assert (kind.function("credit_refresh_worker"), kind.job("credit-refresh-worker")) == (function, job)
    assert kind.account("build", "p") == f"{account}@p.iam.gserviceaccount.com"
    assert (kind.title, kind.problems()) == (title, [])


@pytest.mark.parametrize("prefix", ["t", "tokens_", "to--kens", "a" * 23])
def test_a_prefix_that_gives_invalid_names_is_a_problem(prefix):
    """It is too short or too long, or has hyphens in a wrong place."""
    (problem,) = Kind(prefix).problems()

    assert f"CREDIT_REFRESH_COLLECTION_PREFIX={prefix}" in problem


@pytest.mark.parametrize(
    ("now", "channels"),
    [
        ({}, ["new"]),
        ({"notificationChannels": ["by-hand"]}, ["by-hand", "new"]),
        ({"notificationChannels": ["by-hand", "old"]}, ["by-hand", "new"]),
        ({"notificationChannels": ["new"]}, ["new"]),
    ],
)
def test_an_alert_has_channels_of_the_file_and_of_operators(now, channels):
    """A channel of ours that the file does not name any more is left out."""
    assert Channels(["new"], {"old", "new"}).fields_to_keep(now) == {"notificationChannels": channels}
