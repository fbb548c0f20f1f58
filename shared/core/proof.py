"""The proof that a `due` scan misses nobody: every user with a balance has a `dueOn`, or is kept by name.

Two counts of one moment are compared: users with a balance, and users with a `dueOn`. Users who are kept by name are
subtracted. A user who has just signed up may have no `dueOn` yet. So up to three counts are made, minutes apart, and
the smallest difference counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

TRIES_MAX = 3
TRY_EVERY = timedelta(minutes=9)  # the builder is called about every ten minutes


@dataclass(frozen=True, slots=True)
class Proof:
    """The results of one day's counts so far.

    `differences`: users with a balance and without a `dueOn`, one number a try. `missed`: tries in which no count could
    be made for a passing reason. `unavailable`: why no count is tried any more; then there is no proof and no failure.
    """

    differences: tuple[int, ...] = ()
    tried_at: datetime | None = None
    unavailable: str | None = None
    missed: int = 0

    def with_try(self, difference: int, now: datetime) -> Proof:
        """The proof after one more count."""
        return replace(self, differences=(*self.differences, difference), tried_at=now)

    def without_count(self, now: datetime, *, is_passing: bool) -> Proof:
        """The proof after a try in which no count could be made. After three such tries, or if the reason is permanent,
        no further count is tried."""
        missed = self.missed + 1
        is_given_up = not is_passing or missed >= TRIES_MAX
        unavailable = "users could not be counted" if is_given_up else None
        return replace(self, tried_at=now, missed=missed, unavailable=unavailable)

    def holds(self, tolerance: int) -> bool:
        """True if no more than `tolerance` users can be missing."""
        return bool(self.differences) and min(map(abs, self.differences)) <= tolerance

    def has_failed(self, tolerance: int) -> bool:
        """True once every try has shown more than `tolerance` users without a `dueOn`."""
        return len(self.differences) >= TRIES_MAX and not self.holds(tolerance)

    def is_due(self, now: datetime, tolerance: int) -> bool:
        """True if another count is to be made now."""
        if self.unavailable is not None or self.holds(tolerance) or self.has_failed(tolerance):
            return False
        return self.tried_at is None or now - self.tried_at >= TRY_EVERY
