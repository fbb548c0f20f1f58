"""From a user to the snapshot in its job, and back. A snapshot has only what the decision of that day needs."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from shared.core.decision import reduce_user
from shared.core.jobs import Snapshot
from shared.core.own_days import OwnDays, find_zone
from shared.core.plans import OnPlanChange, PlanTable
from shared.core.users import Override, User


def snapshot_of(update_time_ns: int, user: User, plans: PlanTable, day: date, activity: str | None = None) -> Snapshot:
    """The snapshot of a user for a job of that day. It is not valid on another day; then the user is read again.

    `activity`: what the grant writes as the stamp's `activity`.
    """
    if _is_plain(user, plans):
        plan = plans.known(plans.default if user.plan is None else user.plan)
        granted_on = None if plan is None else plan.latest_start(user.periods)
        zone = _own_zone(user)
        return Snapshot(
            update_time_ns,
            user.balance,
            user.plan,
            granted_on,
            user.anchor,
            paused=user.paused,
            zone=zone,
            activity=activity,
        )
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
        zone=_own_zone(reduced),
        activity=activity,
    )


def _own_zone(user: User) -> str | None:
    return None if user.own_days is None else user.own_days.zone.key


def _is_plain(user: User, plans: PlanTable) -> bool:
    """True for a user without special terms. Most users are plain."""
    has_own = user.override is not None or user.purchased is not None or user.given_on is not None or user.adopt
    return not has_own and plans.on_plan_change is OnPlanChange.GRANT


def user_of(snapshot: Snapshot, plans: PlanTable, runs_zone: ZoneInfo) -> User:
    """The user in a snapshot. On the snapshot's day `decide` gives the same result as for the whole user.

    `runs_zone` is the deployment's. Raises KeyError if the snapshot's zone is not known here.
    """
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
        own_days=None if snapshot.zone is None else _own_days(snapshot.zone, runs_zone),
        activity=snapshot.activity,
    )


def _own_days(name: str, runs_zone: ZoneInfo) -> OwnDays:
    zone = find_zone(name)
    if zone is None:
        raise KeyError(name)
    return OwnDays(zone, runs_zone)
