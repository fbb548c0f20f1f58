"""Amounts: the balance after a grant, by policy, bought credits, own allowance, carry and plan change."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dev import oracle
from shared.core.amounts import Terms, balance_after, bought_left
from shared.core.errors import UserError
from shared.core.plans import INT64_MAX, INT64_MIN, Balance, Policy
from tests.unit.strategies import allowances, balances, bought

RESET, TOP_UP, ACCUMULATE = Policy.RESET, Policy.TOP_UP, Policy.ACCUMULATE
REDUCING = {RESET}


def after(terms: Terms, balance: Balance, purchased: Balance | None = None) -> Balance:
    return balance_after(balance, bought_left(purchased, balance), terms)


@st.composite
def terms(draw):
    """Any terms that a plan, an override and a plan change can give."""
    policy = draw(st.sampled_from(Policy))
    return Terms(
        policy,
        draw(allowances),
        draw(st.none() | st.integers(0, 10_000)) if policy is ACCUMULATE else None,
        draw(st.integers(0, 3000)) if policy is RESET else 0,
        draw(st.none() | st.integers(0, 5000)),
    )


@pytest.mark.parametrize(
    ("plan", "before", "expected"),
    [
        (Terms(TOP_UP, 50), 0, 50),
        (Terms(TOP_UP, 50), 49, 50),
        (Terms(TOP_UP, 50), 50, 50),
        (Terms(TOP_UP, 50), 51, 51),
        (Terms(TOP_UP, 50), -7, 50),
        (Terms(TOP_UP, 50), 49.5, 50),
        (Terms(TOP_UP, 50), 50.5, 50.5),
        (Terms(TOP_UP, 0), -1, 0),
        (Terms(TOP_UP, 50), INT64_MAX, INT64_MAX),
        (Terms(TOP_UP, INT64_MAX), 0, INT64_MAX),
        (Terms(RESET, 50), 0, 50),
        (Terms(RESET, 50), 5000, 50),
        (Terms(RESET, 50), -0.5, 50),
        (Terms(RESET, 50), 1e300, 50),
        (Terms(RESET, 0), 12, 0),
        (Terms(ACCUMULATE, 50), 0, 50),
        (Terms(ACCUMULATE, 50), -70, -20),
        (Terms(ACCUMULATE, 50), 0.25, 50.25),
        (Terms(ACCUMULATE, 50), 1_000_000, 1_000_050),
        (Terms(ACCUMULATE, 50), INT64_MAX - 50, INT64_MAX),
        (Terms(ACCUMULATE, 0), 7, 7),
        (Terms(ACCUMULATE, 50, cap=120), 0, 50),
        (Terms(ACCUMULATE, 50, cap=120), 70, 120),
        (Terms(ACCUMULATE, 50, cap=120), 71, 120),
        (Terms(ACCUMULATE, 50, cap=120), 119.5, 120),
        (Terms(ACCUMULATE, 50, cap=120), 120, 120),
        (Terms(ACCUMULATE, 50, cap=120), 121, 121),
        (Terms(ACCUMULATE, 50, cap=120), 120.5, 120.5),
        (Terms(ACCUMULATE, 50, cap=20), 0, 20),
        (Terms(ACCUMULATE, 50, cap=0), -80, -30),
        (Terms(ACCUMULATE, 50, cap=INT64_MAX), INT64_MAX - 1, INT64_MAX),
    ],
)
def test_a_policy_decides_the_balance_after_a_grant(plan, before, expected):
    """`top_up` raises, `reset` sets, `accumulate` adds up to the cap. Whole balances stay whole."""
    assert (expected, type(expected)) == (after(plan, before), type(after(plan, before)))


F = Terms(TOP_UP, 50)
P = Terms(RESET, 2000)
C = Terms(RESET, 2000, carry=500)
W = Terms(ACCUMULATE, 400, cap=1200)


@pytest.mark.parametrize(
    ("plan", "before", "purchased", "expected", "left"),
    [
        (P, 700, 500, 2500, 500),
        (P, 300, 500, 2300, 300),
        (P, -30, 500, 2000, 0),
        (P, 700, -5, 2000, 0),
        (P, 0.5, 500, 2000.5, 0.5),
        (P, 1300, 1500, 3300, 1300),
        (P, 700, 0, 2000, 0),
        (F, 500, 500, 550, 500),
        (F, 530, 500, 550, 500),
        (F, 560, 500, 560, 500),
        (F, 80, 500, 130, 80),
        (W, 1300, 500, 1700, 500),
        (W, 1500, 500, 1700, 500),
        (W, 1800, 500, 1800, 500),
        (W, -30, 0, 370, 0),
        (C, 900, 0, 2500, 0),
        (C, 300, 0, 2300, 0),
        (C, -30, 0, 2000, 0),
        (C, 900, 500, 2900, 500),
        (C, 1400, 500, 3000, 500),
        (C, 400, 500, 2400, 400),
    ],
)
def test_a_grant_keeps_bought_credits_and_the_carry(plan, before, purchased, expected, left):
    """The plan's credits are spent first. What is left of the bought credits is added to every grant."""
    assert (expected, left) == (after(plan, before, purchased), bought_left(purchased, before))


# Each row is a combination, and what two balances become: 300 with nothing bought, and 900 with 500 bought. The plan's
# allowance is 400, the user's own one is 1000. The cap of `accumulate` is 1200, the user's own one is 1500. A carry is
# 500, and counts for `reset` alone. The difference of a plan change is the allowance less 100.
COMBINATIONS = [
    # policy, own, carry, change, 300/0, 900/500
    (RESET, False, 0, False, 400, 900),
    (RESET, False, 0, True, 600, 1200),
    (RESET, False, 500, False, 700, 1300),
    (RESET, False, 500, True, 600, 1200),
    (RESET, True, 0, False, 1000, 1500),
    (RESET, True, 0, True, 1200, 1800),
    (RESET, True, 500, False, 1300, 1900),
    (RESET, True, 500, True, 1200, 1800),
    (TOP_UP, False, 0, False, 400, 900),
    (TOP_UP, False, 0, True, 400, 900),
    (TOP_UP, True, 0, False, 1000, 1500),
    (TOP_UP, True, 0, True, 1000, 1500),
    (ACCUMULATE, False, 0, False, 700, 1300),
    (ACCUMULATE, False, 0, True, 600, 1200),
    (ACCUMULATE, True, 0, False, 1300, 1900),
    (ACCUMULATE, True, 0, True, 1200, 1800),
]


@pytest.mark.parametrize("row", COMBINATIONS, ids=str)
def test_every_combination_has_its_balance(row):
    """A combination has a policy, an own allowance or none, a carry or none, and a plan change or none."""
    policy, own, carry, change, plain, with_bought = row
    allowance, cap = (1000, 1500) if own else (400, 1200)
    plan = Terms(policy, allowance, cap if policy is ACCUMULATE else None, carry, allowance - 100 if change else None)

    assert plain == after(plan, 300)
    assert with_bought == after(plan, 900, 500)


def test_no_combination_is_left_out():
    """Each policy is in the table with and without an own allowance and a plan change.

    `reset` is also there with a carry.
    """
    assert {policy for policy, *_ in COMBINATIONS} == set(Policy)
    assert len({row[:4] for row in COMBINATIONS}) == len(COMBINATIONS) == 2 * 2 * (2 + 1 + 1)


@pytest.mark.parametrize(
    ("plan", "before", "purchased", "expected"),
    [
        (Terms(RESET, 2000, difference=1600), 100, 0, 1700),
        (Terms(RESET, 2000, difference=1600), -50, 0, 1550),
        (Terms(RESET, 2000, difference=1600), 3000, 0, 4600),
        (Terms(RESET, 2000, difference=1600), 600, 500, 2200),
        (Terms(RESET, 400, difference=0), 3000, 0, 3000),
        (Terms(TOP_UP, 200, difference=150), 30, 0, 180),
        (Terms(TOP_UP, 200, difference=150), 150, 0, 200),
        (Terms(TOP_UP, 200, difference=150), 500, 0, 500),
        (Terms(TOP_UP, 200, difference=150), 600, 500, 700),
        (Terms(ACCUMULATE, 600, cap=700, difference=200), 650, 0, 700),
        (Terms(ACCUMULATE, 600, cap=700, difference=200), 900, 500, 1100),
        (Terms(ACCUMULATE, 600, difference=200), 650, 0, 850),
    ],
)
def test_a_plan_change_adds_the_difference(plan, before, purchased, expected):
    """`top_up` and `accumulate` still stop at their limit. `reset` takes nothing away."""
    assert expected == after(plan, before, purchased)


@pytest.mark.parametrize(
    ("plan", "before", "purchased"),
    [
        (Terms(ACCUMULATE, 50), INT64_MAX - 49, 0),
        (Terms(TOP_UP, 50), INT64_MIN, 0),  # the amount granted would not fit
        (Terms(ACCUMULATE, INT64_MAX), 1.5, 0),
        (Terms(TOP_UP, 50), 2.0**63, 0),
        (Terms(TOP_UP, 50), 1e300, 0),
        (Terms(ACCUMULATE, 50), -1e300, 0),
        (Terms(ACCUMULATE, 50, cap=120), 2.0**63, 0),
        (P, INT64_MAX, INT64_MAX),
        (P, 1e300, 1e300),
        (Terms(RESET, 50, difference=1), INT64_MAX, 0),
        (Terms(RESET, INT64_MAX, carry=1), 1, 0),
    ],
)
def test_a_result_outside_64_bits_fails_the_user(plan, before, purchased):
    """A number that Firestore can't hold is refused before it is written."""
    with pytest.raises(UserError) as raised:
        after(plan, before, purchased)

    assert raised.value.code == "out_of_range"


@given(terms(), balances, bought)
def test_only_reset_lowers_a_balance_and_never_below_what_was_bought(plan, before, purchased):
    """This holds for any terms, balance and bought credits."""
    try:
        result = after(plan, before, purchased)
    except UserError as exc:
        assert exc.code == "out_of_range"  # noqa: PT017 (either outcome holds)
        return

    assert INT64_MIN <= result <= INT64_MAX
    assert result >= before or (plan.policy in REDUCING and plan.difference is None)
    assert result >= min(before, bought_left(purchased, before))


@given(terms(), st.integers(-100, 5000), st.integers(0, 5000))
def test_a_grant_gives_the_allowance_at_most(plan, before, purchased):
    """This holds for balances of at least zero. Below zero, `top_up` and `reset` also make up for the debt."""
    assume(before >= 0)

    amount = plan.allowance if plan.difference is None else max(plan.allowance, plan.difference)
    assert after(plan, before, purchased) - before <= amount


@given(allowances, st.integers(0, 10_000), st.none() | allowances, balances, bought)
def test_a_cap_is_never_exceeded_by_a_grant(allowance, cap, difference, before, purchased):
    """A grant raises to at most the cap plus bought credits. A balance above that stays unchanged."""
    plan = Terms(ACCUMULATE, allowance, cap, difference=difference)
    assume(before + allowance <= INT64_MAX)

    assert after(plan, before, purchased) <= max(before, cap + bought_left(purchased, before))


@given(terms(), st.integers(-100, 5000), bought)
def test_a_second_top_up_or_reset_changes_nothing(plan, before, purchased):
    """This holds without a carry and without a plan change."""
    assume(plan.policy is not ACCUMULATE and not plan.carry and plan.difference is None)
    once, left = after(plan, before, purchased), bought_left(purchased, before)

    assert once == after(plan, once, left)


@given(terms(), st.integers(-100, 5000))
def test_the_oracle_computes_the_same_balance(plan, before):
    """`dev/oracle.py` shares no code with `amounts`. It knows no bought credits and no plan change."""
    assume(plan.difference is None)
    cap = {} if plan.cap is None else {"cap": plan.cap}
    rules = {"policy": plan.policy, "allowance": plan.allowance, "carry": plan.carry, **cap}

    assert oracle.after_grant(rules, before) == after(plan, before)
