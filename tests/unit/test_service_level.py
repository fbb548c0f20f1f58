"""The service level: shares, error budgets, and what a run keeps about earlier days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.service_level import DAYS, OBJECTIVE, DayServed, Served, remembered
from tests.unit.strategies import days

TODAY = date(2026, 11, 22)
counts = st.builds(Served, st.integers(0, 10**9), st.integers(0, 10**9))


@pytest.mark.parametrize(
    ("served", "share", "left"),
    [
        (Served(0, 0), None, None),
        (Served(1000, 0), 1, 1),
        (Served(999, 1), 0.999, 0),
        (Served(9995, 5), 0.9995, 0.5),
        (Served(998, 2), 0.998, -1),
    ],
)
def test_the_error_budget_is_0_at_the_objective(served, share, left):
    """It is 1 when nobody was late, and negative below the objective."""
    assert served.share == (None if share is None else pytest.approx(share))
    assert served.error_budget_left == (None if left is None else pytest.approx(left))


@given(counts, counts)
def test_the_figures_of_two_days_add_up(one, other):
    """Users add up, and the budget is at most 1."""
    both = one + other

    assert both.users == one.users + other.users
    assert both.error_budget_left is None or both.error_budget_left <= 1
    assert both.share is None or (both.share >= OBJECTIVE) == (both.error_budget_left >= -1e-9)


@given(st.lists(st.builds(DayServed, days, counts)), st.lists(st.builds(DayServed, days, counts)), days)
def test_a_run_remembers_recent_days_in_order_with_the_latest_figures(history, fresh, today):
    """Each earlier day is kept once. With today there are at most thirty."""
    kept = remembered(history, fresh, today)

    known = {entry.day: entry for entry in (*history, *fresh)}
    assert [entry.day for entry in kept] == sorted({entry.day for entry in kept})
    assert all(today - timedelta(days=DAYS) < entry.day < today for entry in kept)
    assert all(known[entry.day] == entry for entry in kept)
    assert len(kept) < DAYS


def test_new_figures_of_a_day_replace_older_ones():
    """A day's last jobs may be settled after midnight, so its figures are read again."""
    yesterday = TODAY - timedelta(days=1)

    kept = remembered([DayServed(yesterday, Served(5, 0))], [DayServed(yesterday, Served(5, 2))], TODAY)

    assert kept == (DayServed(yesterday, Served(5, 2)),)
