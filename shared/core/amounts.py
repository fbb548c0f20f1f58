"""The balance after one grant: one pure function of balance, bought credits and terms.

Three words. The *allowance* is what one period gives. *Bought credits* (p) are what is left of the credits that the app
sold: users spend the plan's credits first, so p is the smaller one of the credits bought and the balance. The
*difference* (d) is what a better plan adds in a period that another plan has granted already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from shared.core.errors import UserError, UserErrorCode
from shared.core.plans import INT64_MAX, INT64_MIN, Balance, Policy


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one user's grant in one period."""

    policy: Policy
    allowance: int  # with an override, the user's own
    cap: int | None = None  # `accumulate`: the highest balance after a grant, without bought credits
    carry: int = 0  # of `reset`: at most so many unspent credits are kept, beside bought credits
    difference: int | None = None  # None: the whole allowance is due


def bought_left(purchased: Balance | None, balance: Balance) -> Balance:
    """What is left of bought credits (p). None counts as 0."""
    return max(0, min(purchased or 0, balance))


def balance_after(balance: Balance, bought: Balance, terms: Terms) -> Balance:
    """The balance after one grant. `bought` is p. Raises UserError `out_of_range` if int64 can't hold the result."""
    if terms.difference is None:
        after = _after_allowance(balance, bought, terms)
    else:
        after = _after_difference(balance, bought, terms, terms.difference)
    granted = after - balance
    for number in (after, granted if isinstance(granted, int) else 0):  # floats always fit
        if not INT64_MIN <= number <= INT64_MAX:
            raise UserError(
                UserErrorCode.OUT_OF_RANGE, f"{number!r} would not fit in 64 bits; correct the balance by hand"
            )
    return after


def _after_allowance(balance: Balance, bought: Balance, terms: Terms) -> Balance:
    match terms.policy:
        case Policy.RESET:
            return terms.allowance + bought + max(0, min(balance - bought, terms.carry))
        case Policy.TOP_UP:
            return max(balance, terms.allowance + bought)
        case Policy.ACCUMULATE:
            return _raised(balance, terms.allowance, None if terms.cap is None else terms.cap + bought)
        case _ as never:
            assert_never(never)


def _after_difference(balance: Balance, bought: Balance, terms: Terms, difference: int) -> Balance:
    """The other plan's grant stays. So no policy lowers the balance here, and there is no carry."""
    match terms.policy:
        case Policy.RESET:
            return balance + difference
        case Policy.TOP_UP:
            return _raised(balance, difference, terms.allowance + bought)
        case Policy.ACCUMULATE:
            return _raised(balance, difference, None if terms.cap is None else terms.cap + bought)
        case _ as never:
            assert_never(never)


def _raised(balance: Balance, amount: int, limit: Balance | None) -> Balance:
    """The balance plus the amount, up to the limit. A balance above the limit stays unchanged."""
    raised = balance + amount
    return raised if limit is None else max(balance, min(raised, limit))
