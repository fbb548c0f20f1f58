"""The refresh decision: one pure function that says what to do for a user on a day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import ClassVar

from shared.core.amounts import Terms, balance_after, bought_left
from shared.core.errors import UserError, UserErrorCode
from shared.core.own_days import OwnDays
from shared.core.periods import Period, next_start, period_of
from shared.core.plans import Balance, OnPlanChange, Plan, PlanTable, WhenFull
from shared.core.ranges import WHEN_LOW
from shared.core.users import LastGrant, Override, User, parse_date


class SkipReason(StrEnum):
    """Why there is nothing to do for a user."""

    ALREADY_GRANTED = "already_granted"
    FULL = "full"
    PAUSED = "paused"
    BEFORE_ANCHOR = "before_anchor"
    NO_BALANCE = "no_balance"
    DELETED = "deleted"
    SUPERSEDED = "superseded"
    ADOPTED = "adopted"
    #: The document changed before each of our writes, and could not be locked. The next scan finds the user.
    CONTENDED = "contended"


@dataclass(frozen=True, slots=True)
class Grant:
    """Set the balance from `before` to `after` and stamp `period` for `plan`."""

    plan: str
    period: Period
    before: Balance
    after: Balance
    #: The anchor to stamp; None for a plan that follows the calendar.
    anchor: date | None
    #: What is left of the bought credits; it is written back. None if the user has no such field.
    purchased: Balance | None = None
    #: True for a user who is found by balance from now on.
    when_low: bool = False
    #: The run that the next period belongs to, if the user has a zone of their own; None: the date it begins on.
    next_run: date | None = None

    #: A period is stamped, so the user belongs in a job.
    changes_period: ClassVar[bool] = True

    @property
    def granted(self) -> Balance:
        return self.after - self.before

    @property
    def due_on(self) -> str:
        """The stamp's `dueOn` after the grant."""
        return WHEN_LOW if self.when_low else (self.next_run or self.period.end).isoformat()


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to grant.

    `due_on`: the `dueOn` to be written; None: it is right, or must not be written. `stamp`: a Grant of 0 credits, if a
    period has to be stamped as granted. Then `due_on` goes into the same write.
    """

    reason: SkipReason
    due_on: str | None = None
    stamp: Grant | None = None

    @property
    def changes_period(self) -> bool:
        """True if a period is stamped, so the user belongs in a job."""
        return self.stamp is not None


@dataclass(frozen=True, slots=True)
class AlreadyApplied:
    """This job has granted this user already; the reply was lost. The receipt is written from the stamp."""

    before: Balance
    after: Balance


Decision = Grant | Skip | AlreadyApplied


def decide(user: User | None, plans: PlanTable, day: date, job_id: str | None) -> Decision:
    """What `job_id` has to do for a user on `day`, which is the user's local date. Raises UserError.

    One job grants a user at most once, even if the user's plan changes between its tries. The builder decides before
    there is a job, so it passes None as `job_id`.
    """
    if user is None:
        return Skip(SkipReason.NO_BALANCE)
    last = user.last_grant
    if last is not None and job_id is not None and last.job_id == job_id:
        return _already_applied(last, user.balance)
    if user.paused:
        return Skip(SkipReason.PAUSED, _due_on_while_paused(user, plans, day))
    return decide_adoption(user, plans, day) if user.adopt else _decide_by_plan(user, plans, day)


def _decide_by_plan(user: User, plans: PlanTable, day: date) -> Grant | Skip:
    standing = _standing_of(user, plans, day)
    if not standing.is_due:
        return _nothing_due(user, standing)
    if standing.when_low and user.balance >= standing.plan.allowance:
        return Skip(SkipReason.FULL, _unless_right(user, WHEN_LOW))
    return standing.grant(user, balance_after(user.balance, standing.bought, standing.terms))


def decide_adoption(user: User | None, plans: PlanTable, day: date) -> Skip:
    """What an adoption has to do for a user: stamp the period if it is due, and grant nothing. Raises UserError.

    It works for paused users too.
    """
    if user is None:
        return Skip(SkipReason.NO_BALANCE)
    standing = _standing_of(user, plans, day)
    if standing.period is None or not (standing.is_due or user.adopt):
        return _nothing_due(user, standing)
    if not standing.is_due:  # marked by a failed adoption and granted since, so the mark has to be removed
        standing = _standing_of(user, plans, standing.granted_on or day)
    stamp = standing.grant(user, user.balance)
    return Skip(SkipReason.ADOPTED, _unless_right(user, stamp.due_on), stamp)


def reduce_user(user: User, plans: PlanTable, day: date) -> User:
    """The user with no more than `decide` needs on that day.

    It keeps one stamped start, what is left of the bought credits, the allowance and cap that hold on that day, and the
    difference that a plan change adds.
    """
    kept = User(
        user.balance,
        user.plan,
        {},
        user.anchor,
        user.paused,
        given_on=user.given_on,
        adopt=user.adopt,
        own_days=user.own_days,
    )
    try:
        standing = _standing_of(user, plans, day)
    except UserError:  # a paused user may have an unknown plan, so nothing can be computed
        return kept
    name, granted_on, terms = standing.plan.name, standing.granted_on, standing.terms
    has_override = standing.override is not None
    return replace(
        kept,
        periods={name: granted_on} if user.periods and granted_on is not None else {},
        given_on=None if user.periods else user.given_on,
        purchased=None if user.purchased is None else standing.bought,
        override=Override(name, terms.allowance, terms.cap) if has_override else None,
        difference=terms.difference,
    )


def user_after(user: User, grant: Grant) -> User:
    """The user as a grant leaves it, to be decided once more."""
    return replace(
        user,
        balance=grant.after,
        periods={**user.periods, grant.plan: grant.period.start},
        anchor=grant.anchor or user.anchor,
        purchased=grant.purchased,
        given_on=None,
        adopt=False,
        due_on=grant.due_on,
    )


def is_due(due_on: object, day: date) -> bool:
    """True for a stamp's `dueOn` that the scan by date finds on `day`: a date like 2026-11-22, up to that day."""
    parsed = parse_date(due_on) if isinstance(due_on, str) else None
    return parsed is not None and parsed <= day


@dataclass(slots=True)  # not frozen: one is made for every user, and frozen ones take twice as long
class _Standing:
    """One user and its plan on one day: everything that decides whether a grant is due, and how much."""

    plan: Plan
    day: date
    period: Period | None  # None: before the anchor
    granted_on: date | None  # the start of the last period granted on the plan
    anchor: date | None
    override: Override | None  # the one that holds for this period
    difference: int | None  # what a plan change adds; None: the whole allowance is due
    bought: Balance
    own_days: OwnDays | None

    @property
    def terms(self) -> Terms:
        plan, override = self.plan, self.override
        cap = plan.cap if override is None or override.cap is None else override.cap
        return Terms(plan.policy, _allowance(plan, override), cap, plan.carry, self.difference)

    @property
    def when_low(self) -> bool:
        """True for a user who is found by balance, and not by date."""
        return self.plan.when_full is WhenFull.SKIP and self.override is None and self.bought == 0

    @property
    def is_due(self) -> bool:
        return self.period is not None and (self.granted_on is None or self.granted_on < self.period.start)

    @property
    def due_on(self) -> str:
        """The right `dueOn` if nothing is due."""
        if self.when_low:
            return WHEN_LOW
        start = next_start(self.plan, self.day, self.anchor, self.granted_on)
        return (start if self.own_days is None else self.own_days.run_day(start)).isoformat()

    def grant(self, user: User, after: Balance) -> Grant:
        assert self.period is not None, "before the anchor nothing is granted"
        return Grant(
            plan=self.plan.name,
            period=self.period,
            before=user.balance,
            after=after,
            anchor=self.anchor if self.plan.counts_from_signup else None,
            purchased=None if user.purchased is None else self.bought,
            when_low=self.when_low,
            next_run=None if self.own_days is None else self.own_days.run_day(self.period.end),
        )


def _standing_of(user: User, plans: PlanTable, day: date) -> _Standing:
    plan = plans.find(user.plan)
    anchor = _anchor_of(user, plan)
    period = period_of(plan, day, anchor)
    granted_on = _granted_on(user, plan, anchor)
    override = difference = None
    if period is not None:
        override = _override_on(user, plans, plan, period.start)
        difference = _difference(user, plans, plan, period.start)
    bought = 0 if user.purchased is None else bought_left(user.purchased, user.balance)
    return _Standing(plan, day, period, granted_on, anchor, override, difference, bought, user.own_days)


def _anchor_of(user: User, plan: Plan) -> date | None:
    if plan.counts_from_signup and user.anchor is None:
        raise UserError(UserErrorCode.BAD_CREATED_AT, user.anchor_problem)
    return user.anchor


def _granted_on(user: User, plan: Plan, anchor: date | None) -> date | None:
    """The last period granted on the plan. Before the first stamp it may be the one the app gave at sign-up."""
    if user.periods or user.given_on is None:
        return plan.latest_start(user.periods)
    given = period_of(plan, user.given_on, anchor)
    return None if given is None else given.start


def _override_on(user: User, plans: PlanTable, plan: Plan, start: date) -> Override | None:
    """The override that holds for the plan's period with this start; None if there is none."""
    override = user.override
    if override is None or plans.known(override.plan) != plan:
        return None
    return override if override.until is None or start <= override.until else None


def _allowance(plan: Plan, override: Override | None) -> int:
    return plan.allowance if override is None or override.allowance is None else override.allowance


def _difference(user: User, plans: PlanTable, plan: Plan, start: date) -> int | None:
    """The plan's allowance less the largest one that another plan has granted for the same period.

    None if no other plan has granted that period. Then the whole allowance is due.
    """
    if plans.on_plan_change is OnPlanChange.GRANT:
        return None
    if user.difference is not None:
        return user.difference
    names = [name for name, granted_on in user.periods.items() if granted_on == start]
    others = [other for name in names if (other := plans.known(name)) is not None and other != plan]
    given = [
        _allowance(other, _override_on(user, plans, other, start)) for other in others if plan.has_periods_of(other)
    ]
    own = _allowance(plan, _override_on(user, plans, plan, start))
    return max(0, own - max(given)) if given else None


def _nothing_due(user: User, standing: _Standing) -> Skip:
    """Nothing to grant today. If the app gave the period at sign-up, it is stamped now, so that it stays granted."""
    if standing.period is None:
        return Skip(SkipReason.BEFORE_ANCHOR, _unless_right(user, standing.due_on))
    due_on = _unless_right(user, standing.due_on)
    return Skip(SkipReason.ALREADY_GRANTED, due_on, _stamp_of_sign_up(user, standing))


def _stamp_of_sign_up(user: User, standing: _Standing) -> Grant | None:
    if user.periods or user.given_on is None:
        return None
    period = period_of(standing.plan, user.given_on, standing.anchor)
    return None if period is None else replace(standing, period=period).grant(user, user.balance)


def _due_on_while_paused(user: User, plans: PlanTable, day: date) -> str | None:
    """The `dueOn` as if the user were not paused: a user who would be granted, or would fail, stays due."""
    try:
        decision = decide(replace(user, paused=False), plans, day, None)
    except UserError:
        decision = None
    if isinstance(decision, Skip) and decision.reason is not SkipReason.ADOPTED:
        return decision.due_on
    if isinstance(decision, Grant) and decision.when_low:
        return _unless_right(user, WHEN_LOW)
    run_day = user.run_day(day)
    return None if is_due(user.due_on, run_day) else run_day.isoformat()


def _unless_right(user: User, due_on: str) -> str | None:
    """The `dueOn` to be written; None if it is right already."""
    return None if user.due_on == due_on else due_on


def _already_applied(last: LastGrant, balance: Balance) -> AlreadyApplied:
    """The balance after that grant. Float sums may be off by a rounding; an unspent balance is exact."""
    unspent = balance - last.before == last.granted
    return AlreadyApplied(last.before, balance if unspent else last.before + last.granted)
