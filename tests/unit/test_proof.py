"""The proof that a `due` scan finds everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.proof import TRIES_MAX, TRY_EVERY, Proof

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("differences", "tolerance", "holds", "failed"),
    [
        ((), 0, False, False),
        ((0,), 0, True, False),
        ((3,), 0, False, False),
        ((3,), 3, True, False),
        ((3, 2), 0, False, False),
        ((3, 2, 0), 0, True, False),
        ((3, 2, 1), 0, False, True),
        ((3, 2, 1), 1, True, False),
        ((-1, -1, -1), 0, False, True),  # a user without a balance has a dueOn, and may hide a missing user
        ((-1, -1, -1), 1, True, False),
    ],
)
def test_the_smallest_difference_counts(differences, tolerance, holds, failed):
    """One count within the tolerance proves it. Three counts beyond the tolerance disprove it."""
    proof = Proof(differences)

    assert proof.holds(tolerance) is holds
    assert proof.has_failed(tolerance) is failed


@given(st.lists(st.integers(-5, 5), max_size=TRIES_MAX), st.integers(0, 3))
def test_only_an_open_proof_is_tried_again(differences, tolerance):
    """The first count is made at once, the others minutes later."""
    proof = Proof(tuple(differences), NOW if differences else None)
    is_open = not proof.holds(tolerance) and not proof.has_failed(tolerance)

    assert proof.is_due(NOW + TRY_EVERY, tolerance) is is_open
    assert proof.is_due(NOW + TRY_EVERY - timedelta(seconds=1), tolerance) is (is_open and not differences)


def test_a_proof_that_is_unavailable_neither_holds_nor_fails():
    """No further count is made on that day."""
    proof = Proof((3,), NOW, unavailable="the index is being built")

    assert not proof.holds(0)
    assert not proof.has_failed(0)
    assert not proof.is_due(NOW + timedelta(days=1), 0)


def test_a_count_missed_for_a_passing_reason_is_tried_again():
    """There are three tries in all. After any other reason there is no second try."""
    once = Proof().without_count(NOW, is_passing=True)
    thrice = once.without_count(NOW, is_passing=True).without_count(NOW, is_passing=True)

    assert once.is_due(NOW + TRY_EVERY, 0)
    assert not once.has_failed(0)
    assert not thrice.is_due(NOW + TRY_EVERY, 0)
    assert not Proof().without_count(NOW, is_passing=False).is_due(NOW + TRY_EVERY, 0)


def test_a_try_is_added_with_its_time():
    assert Proof((1,), NOW).with_try(0, NOW + TRY_EVERY) == Proof((1, 0), NOW + TRY_EVERY)
