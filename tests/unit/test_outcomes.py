"""Outcomes: one user's result as a receipt, as an error, and in a tally."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.decision import SkipReason
from shared.core.errors import UserErrorCode
from shared.core.outcomes import ERROR_CHARACTERS_MAX, Outcome, OutcomeKind, Tally

outcomes = st.builds(Outcome, st.text(min_size=1), st.sampled_from(OutcomeKind))


@pytest.mark.parametrize(
    ("outcome", "receipt"),
    [
        (
            Outcome.refreshed("ann", 10, 50),
            {"userId": "ann", "outcome": "refreshed", "before": 10, "after": 50},
        ),
        (
            Outcome.refreshed("ann", 0.5, 0.5),
            {"userId": "ann", "outcome": "refreshed", "before": 0.5, "after": 0.5},
        ),
        (
            Outcome.skipped("bob", SkipReason.PAUSED),
            {"userId": "bob", "outcome": "skipped", "before": None, "after": None, "reason": "paused"},
        ),
        (
            Outcome.failed("cid", UserErrorCode.BAD_BALANCE, "the balance is a text"),
            {"userId": "cid", "outcome": "failed", "before": None, "after": None},
        ),
    ],
)
def test_an_outcome_becomes_a_receipt(outcome, receipt):
    """A refreshed user's receipt has both balances, a skipped user's the reason."""
    assert receipt == outcome.as_receipt()


@pytest.mark.parametrize(
    "outcome",
    [Outcome.failed("cid", UserErrorCode.BAD_PLAN, "told"), Outcome.retry("cid", UserErrorCode.BAD_PLAN, "told")],
)
def test_an_outcome_with_a_code_becomes_an_error(outcome):
    """It has the user's id, the code and the message."""
    assert outcome.as_error() == {"userId": "cid", "error": "told", "code": "bad_plan"}


@given(st.text(max_size=1000))
@example("x" * 1_000_000)
def test_the_text_of_an_error_is_bounded(text):
    """A document keeps hundreds of errors, and each may quote a user's document."""
    error = Outcome.failed("cid", UserErrorCode.BAD_PLAN, text).as_error()["error"]

    assert text.startswith(error)
    assert min(len(text), ERROR_CHARACTERS_MAX) == len(error)


def test_a_tally_counts_by_kind():
    """A user who will be tried again is in none of the three counts yet."""
    tally = Tally.of(
        [
            Outcome.refreshed("a", 0, 1),
            Outcome.refreshed("b", 0, 1),
            Outcome.skipped("c", SkipReason.DELETED),
            Outcome.failed("d", UserErrorCode.BAD_PLAN, "told"),
            Outcome.retry("e", UserErrorCode.BAD_PLAN, "told"),
        ]
    )

    assert tally == Tally(refreshed=2, skipped=1, failed=1)


@given(st.lists(outcomes), st.lists(outcomes))
def test_tallies_add_up(some, others):
    """The sum of two tallies is the tally of all users. Processed is refreshed + skipped + failed."""
    both = Tally.of(some) + Tally.of(others)

    assert Tally.of(some + others) == both
    assert both.processed == sum(outcome.kind is not OutcomeKind.RETRY for outcome in some + others)
