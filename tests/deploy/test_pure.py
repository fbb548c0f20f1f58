"""Decisions of the deployment that need no cloud: how a run ended, what a prefix names, whom alerts tell."""

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
def test_a_run_is_judged_by_a_call_that_began_since(entries, ended):
    """Not by one that only ended since."""
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
    """The default's names are those of the tables."""
    kind = Kind(prefix)

    assert (kind.function("credit_refresh_worker"), kind.job("credit-refresh-worker")) == (function, job)
    assert kind.account("build", "p") == f"{account}@p.iam.gserviceaccount.com"
    assert (kind.title, kind.problems()) == (title, [])


@pytest.mark.parametrize("prefix", ["t", "tokens_", "to--kens", "a" * 23])
def test_a_prefix_that_can_name_nothing_is_a_problem(prefix):
    """Too short, too long, or not to be ended with."""
    (problem,) = Kind(prefix).problems()

    assert f"CREDIT_REFRESH_COLLECTION_PREFIX={prefix}" in problem


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, ["new"]),
        ({"notificationChannels": ["by-hand"]}, ["by-hand", "new"]),
        ({"notificationChannels": ["by-hand", "old"]}, ["by-hand", "new"]),
        ({"notificationChannels": ["new"]}, ["new"]),
    ],
)
def test_an_alert_tells_whom_the_file_names_and_whom_an_operator_added(now, told):
    """A channel of ours that the file names no more is left out."""
    assert Channels(["new"], {"old", "new"}).fields_to_keep(now) == {"notificationChannels": told}
