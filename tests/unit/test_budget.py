"""Budgets: spans on the monotonic clock that only ever get shorter, but for the last word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.store.budget import Budget
from tests.unit.clock import Clock

seconds = st.integers(0, 10_000)


def test_a_budget_runs_out():
    """What remains gets less as time passes, and is never negative."""
    clock = Clock()
    budget = Budget.of(10, clock)

    remaining = []
    for passed in (0, 4, 5, 2, 100):
        clock.pass_by(passed)
        remaining.append(budget.remaining_seconds)

    assert remaining == [10, 6, 1, 0, 0]


@given(seconds, seconds, seconds)
def test_a_part_never_outlives_the_whole(whole, passed, part):
    """`at_most` ends after its seconds or with the budget, whichever is first."""
    clock = Clock()
    budget = Budget.of(whole, clock)
    clock.pass_by(passed)

    assert min(part, budget.remaining_seconds) == budget.at_most(part).remaining_seconds


@given(seconds, seconds, st.integers(-100, 100))
def test_a_last_word_is_counted_from_the_end(whole, passed, more):
    """`shifted_by` moves the end, also where it has passed; a negative one keeps a reserve."""
    clock = Clock()
    longer = Budget.of(whole, clock).shifted_by(more)
    clock.pass_by(passed)

    assert max(0, whole + more - passed) == longer.remaining_seconds


def test_real_time_passes_by_itself():
    """Without a clock of its own a budget runs on the process's."""
    assert 0 < Budget.of(1000).remaining_seconds <= 1000
    assert Budget.of(-1).remaining_seconds == 0
