"""The refresh decision: one pure function from a user and a day to what is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shared.core.periods import Period, period_of
from shared.core.plans import Balance, PlanTable
from shared.core.users import LastGrant, User


class SkipReason(StrEnum):
    """Why there is nothing to do for a user."""

    ALREADY_GRANTED = "already_granted"
    PAUSED = "paused"
    BEFORE_ANCHOR = "before_anchor"
    NO_BALANCE = "no_balance"
    DELETED = "deleted"
    SUPERSEDED = "superseded"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Grant:
    """Raise the balance from `before` to `after` and stamp `period` for `plan`. `anchor`: to be stamped with it."""

    plan: str
    period: Period
    before: Balance
    after: Balance
    anchor: date | None

    @property
    def granted(self) -> Balance:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class AlreadyApplied:
    """This very job granted this user before, in a try whose reply was lost. The receipt is the stamp's."""

    before: Balance
    after: Balance


Decision = Grant | Skip | AlreadyApplied


def decide(user: User | None, plans: PlanTable, day: date, job_id: str | None) -> Decision:
    """What `job_id` has to do for a user on `day`. Raises UserError for an unknown plan or an impossible result.

    One job grants a user at most once, whatever happens to the user's plan between its tries. The builder, which
    asks before there is a job, gives None.
    """
    if user is None:
        return Skip(SkipReason.NO_BALANCE)
    last = user.last_grant
    if last is not None and job_id is not None and last.job_id == job_id:
        return _landed(last, user.balance)
    if user.paused:
        return Skip(SkipReason.PAUSED)
    plan = plans.find(user.plan)
    period = period_of(plan, day, user.anchor)
    if period is None:
        return Skip(SkipReason.BEFORE_ANCHOR)
    granted_on = user.periods.get(plan.name)
    if granted_on is not None and granted_on >= period.start:
        return Skip(SkipReason.ALREADY_GRANTED)
    anchor = user.anchor if plan.counts_from_signup else None
    return Grant(plan.name, period, user.balance, plan.apply(user.balance), anchor)


def _landed(last: LastGrant, balance: Balance) -> AlreadyApplied:
    """What that grant left. Of fractions, before + granted may miss it by a rounding; an unspent balance does not."""
    unspent = balance - last.before == last.granted
    return AlreadyApplied(last.before, balance if unspent else last.before + last.granted)
