"""Time budgets on the monotonic clock. A part never outlasts the whole, except in a grace period."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.store.budget import Budget
from tests.unit.clock import Clock

seconds = st.integers(0, 10_000)


def test_a_budget_runs_out():
    """The remaining time shrinks as time passes and is never negative."""
    clock = Clock()
    budget = Budget.of(10, clock)

    remaining = []
    for passed in (0, 4, 5, 2, 100):
        clock.advance(passed)
        remaining.append(budget.remaining_seconds)

    assert remaining == [10, 6, 1, 0, 0]


@given(seconds, seconds, seconds)
def test_a_part_never_outlasts_the_whole(whole, passed, part):
    """`and_not_after` ends after its own seconds or with the other budget, whichever is first."""
    clock = Clock()
    budget = Budget.of(whole, clock)
    clock.advance(passed)

    assert min(part, budget.remaining_seconds) == Budget.of(part, clock).and_not_after(budget).remaining_seconds


@given(seconds, seconds, st.integers(-100, 100))
def test_a_grace_period_is_counted_from_the_end(whole, passed, more):
    """`shifted_by` moves the end, even one that has passed. A negative shift keeps a reserve."""
    clock = Clock()
    longer = Budget.of(whole, clock).shifted_by(more)
    clock.advance(passed)

    assert max(0, whole + more - passed) == longer.remaining_seconds


def test_by_default_a_budget_uses_the_real_clock():
    """A budget below zero is used up."""
    assert 0 < Budget.of(1000).remaining_seconds <= 1000
    assert Budget.of(-1).remaining_seconds == 0
