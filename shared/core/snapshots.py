"""From a user to the snapshot its job carries, and back: only what the decision of that day needs."""

from __future__ import annotations

from datetime import date

from shared.core.decision import reduce_user
from shared.core.jobs import Snapshot
from shared.core.plans import OnPlanChange, PlanTable
from shared.core.users import Override, User


def snapshot_of(update_time_ns: int, user: User, plans: PlanTable, day: date) -> Snapshot:
    """What a job of that day has to carry of a user. On another day it is no good: the user has to be read again."""
    if _is_plain(user, plans):
        plan = plans.known(plans.default if user.plan is None else user.plan)
        granted_on = None if plan is None else plan.latest_start(user.periods)
        return Snapshot(update_time_ns, user.balance, user.plan, granted_on, user.anchor, paused=user.paused)
    reduced = reduce_user(user, plans, day)
    override = reduced.override or Override("")
    return Snapshot(
        update_time_ns=update_time_ns,
        balance=reduced.balance,
        plan=reduced.plan,
        granted_on=max(reduced.periods.values(), default=None),
        anchor=reduced.anchor,
        purchased=reduced.purchased,
        own_allowance=override.allowance,
        own_cap=override.cap,
        difference=reduced.difference,
        given_on=reduced.given_on,
        paused=reduced.paused,
        adopt=reduced.adopt,
    )


def _is_plain(user: User, plans: PlanTable) -> bool:
    """True for the many of whom there is nothing to work out."""
    has_own = user.override is not None or user.purchased is not None or user.given_on is not None or user.adopt
    return not has_own and plans.on_plan_change is OnPlanChange.GRANT


def user_of(snapshot: Snapshot, plans: PlanTable) -> User:
    """The user of a snapshot: `decide` makes the same of it as of the whole user, on the snapshot's day."""
    plan = plans.default if snapshot.plan is None else snapshot.plan
    override = None
    if snapshot.own_allowance is not None:
        override = Override(plan, snapshot.own_allowance, snapshot.own_cap)
    return User(
        balance=snapshot.balance,
        plan=snapshot.plan,
        periods={} if snapshot.granted_on is None else {plan: snapshot.granted_on},
        anchor=snapshot.anchor,
        paused=snapshot.paused,
        purchased=snapshot.purchased,
        override=override,
        given_on=snapshot.given_on,
        adopt=snapshot.adopt,
        difference=snapshot.difference,
    )
