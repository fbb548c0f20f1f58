"""Calculates how often new users make the daily proof fail, so that everybody is read.

The proof counts up to three times, ten minutes apart. A user who has just signed up has a balance. Until the user is
stamped, the user has no `dueOn`. The number of such users at one moment follows a Poisson distribution. Its mean is the
rate of sign-ups times the delay of the stamp. The three counts are independent, because the delay is much shorter than
ten minutes. The proof fails on a day if all three counts exceed the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.report import Columns, table
from shared.core.proof import TRIES_MAX

RATES = (0.01, 0.1, 1.0, 5.0)  # sign-ups a second
DELAYS = (1, 3, 10)  # seconds until the user is stamped
TOLERANCES = (0, 1, 5, 20)  # CREDIT_REFRESH_PROOF_TOLERANCE


@dataclass(frozen=True, slots=True)
class SignUps:
    """So many sign-ups a second, each without a stamp for so many seconds."""

    rate: float
    delay: int

    def failing_share(self, tolerance: int) -> float:
        """The share of days on which every count shows more users without a stamp than are tolerated."""
        mean = self.rate * self.delay
        within = sum(math.exp(-mean) * mean**number / math.factorial(number) for number in range(tolerance + 1))
        return max(0.0, 1 - within) ** TRIES_MAX


def sign_ups_table() -> str:
    columns: Columns = {
        "sign-ups a second": lambda one: f"{one.rate:g}",
        "stamped after": lambda one: f"{one.delay} s",
        **{f"tolerance {tolerance}": _share_of(tolerance) for tolerance in TOLERANCES},
    }
    return table(columns, _all())


def _all() -> Iterator[SignUps]:
    return (SignUps(rate, delay) for rate in RATES for delay in DELAYS)


def _share_of(tolerance: int) -> Callable[[SignUps], str]:
    return lambda one: f"{one.failing_share(tolerance):.1%}"
