"""The refresh decision: one pure function from a user and a day to what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from shared.core.errors import UserError
from shared.core.periods import Period, period_of
from shared.core.plans import Balance, PlanTable
from shared.core.users import LastGrant, User, parse_date


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

    @property
    def due_on(self) -> str:
        """What the stamp's `dueOn` says once the grant is made."""
        return self.period.end.isoformat()


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do. `due_on`: what the stamp's `dueOn` has to say; None: it is right, or must not be written."""

    reason: SkipReason
    due_on: str | None = None


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
        return Skip(SkipReason.PAUSED, _due_on_while_paused(user, plans, day))
    plan = plans.find(user.plan)
    period = period_of(plan, day, user.anchor)
    if period is None:
        return _skip(SkipReason.BEFORE_ANCHOR, user, user.anchor)
    granted_on = user.periods.get(plan.name)
    if granted_on is not None and granted_on >= period.start:
        return _skip(SkipReason.ALREADY_GRANTED, user, period.end)
    anchor = user.anchor if plan.counts_from_signup else None
    return Grant(plan.name, period, user.balance, plan.apply(user.balance), anchor)


def is_due(due_on: object, day: date) -> bool:
    """True for a stamp's `dueOn` that the scan by date finds on `day`: a date like 2026-11-22, up to that day."""
    parsed = parse_date(due_on) if isinstance(due_on, str) else None
    return parsed is not None and parsed <= day


def _due_on_while_paused(user: User, plans: PlanTable, day: date) -> str | None:
    """As if the user were not paused: who would be granted, or would fail, stays due."""
    try:
        decision = decide(replace(user, paused=False), plans, day, None)
    except UserError:
        decision = None
    if isinstance(decision, Skip):
        return decision.due_on
    return None if is_due(user.due_on, day) else day.isoformat()


def _skip(reason: SkipReason, user: User, next_start: date) -> Skip:
    """Nothing to do before `next_start`, which is what `dueOn` has to say."""
    due_on = next_start.isoformat()
    return Skip(reason, None if user.due_on == due_on else due_on)


def _landed(last: LastGrant, balance: Balance) -> AlreadyApplied:
    """What that grant left. Of fractions, before + granted may miss it by a rounding; an unspent balance does not."""
    unspent = balance - last.before == last.granted
    return AlreadyApplied(last.before, balance if unspent else last.before + last.granted)
