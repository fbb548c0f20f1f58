"""The context that every service gets: settings, plans, stores and clock of one call."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from shared.core.plans import PlanTable
from shared.core.quiet_hours import activity_after
from shared.core.retries import Draw
from shared.core.schedule import Schedule
from shared.core.users import RawUser, User, read_user, stamp_of
from shared.services.limits import LIMITS, Limits
from shared.settings import Settings
from shared.store.activity import ActivityStore
from shared.store.budget import Budget
from shared.store.control import ControlStore
from shared.store.follow_up import FollowUpStore
from shared.store.job_views import JobViews
from shared.store.jobs import JobStore
from shared.store.rollups import RollupStore
from shared.store.runs import RunStore
from shared.store.users import UserDocument, UserFields, UserStore
from shared.store.values import get_instant
from shared.store.wire import Wire

# The part of a budget that is kept to end what was begun: the last flush, the settling of claimed jobs.
RESERVE_SHARE = 0.25
RESERVE_SECONDS_MAX = 5.0
GRACE_PERIOD_SECONDS = 2.0  # beyond the budget, to release a claim or a lease


class Stopping(Protocol):
    """Says whether the instance has been asked to stop. A threading.Event fits."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Context:
    """One call's context. `clock` gives aware UTC; durations and budgets use the monotonic clock."""

    settings: Settings
    plans: PlanTable
    wire: Wire
    clock: Callable[[], datetime]
    stopping: Stopping = field(default_factory=threading.Event)
    draw: Draw = random.random
    limits: Limits = LIMITS

    @property
    def schedule(self) -> Schedule:
        return self.settings.schedule

    @property
    def fingerprint(self) -> str:
        """A text that changes with everything that a decision or a scan depends on: plans, schedule, names."""
        fields, sign_up = user_fields(self.settings).fingerprint, self.settings.sign_up
        return f"{self.plans.fingerprint}/{self.schedule.spread}/{fields}/{sign_up}"

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_seconds)

    def read_user(self, raw: RawUser) -> User | None:
        """The user in a document; None if it is not part of the system. Raises UserError."""
        return read_user(raw, self.schedule.zone, given_at_sign_up=self.settings.sign_up == "stamp")

    def activity_after(self, document: UserDocument, user: User) -> str | None:
        """What the user's next grant writes as `activity`, given a look at the document; None if it writes none."""
        if not self.settings.learns_activity:
            return None
        zone = self.schedule.zone if user.own_days is None else user.own_days.zone
        return activity_after(stamp_of(document.raw) or {}, get_instant(document.update_time_ns), zone)

    def day_of(self, user: User | None) -> date:
        """The user's local date at this moment."""
        now = self.clock()
        if user is None or user.own_days is None:
            return self.schedule.day_of(now)
        return user.own_days.day_of(now)

    def users(self, wire: Wire | None = None) -> UserStore:
        return UserStore(wire or self.wire, user_fields(self.settings))

    def jobs(self, wire: Wire | None = None) -> JobStore:
        retention = timedelta(days=self.settings.retention_days)
        return JobStore(wire or self.wire, self.settings.collection_prefix, retention)

    def runs(self, wire: Wire | None = None) -> RunStore:
        return RunStore(wire or self.wire, self.settings.collection_prefix)

    def follow_up(self, wire: Wire | None = None) -> FollowUpStore:
        retention = timedelta(days=self.settings.retention_days)
        return FollowUpStore(wire or self.wire, self.settings.collection_prefix, retention)

    def job_views(self) -> JobViews:
        return JobViews(self.wire, self.settings.collection_prefix)

    def rollups(self) -> RollupStore:
        return RollupStore(self.wire, self.settings.collection_prefix)

    def activity(self) -> ActivityStore:
        return ActivityStore(self.wire, self.settings.collection_prefix)

    def control(self) -> ControlStore:
        return ControlStore(self.wire, self.settings.collection_prefix)


def user_fields(settings: Settings) -> UserFields:
    return UserFields(
        settings.users_collection,
        tuple(settings.balance_field.split(".")),
        tuple(settings.plan_field.split(".")),
        tuple(settings.stamp_field.split(".")),
        tuple(settings.created_at_field.split(".")),
        tuple(settings.purchased_field.split(".")) if settings.purchased_field else None,
        tuple(settings.zone_field.split(".")) if settings.zone_field else None,
    )


def until_reserve(budget: Budget, seconds: float) -> Budget:
    """The part of a budget of so many seconds in which new work may begin."""
    return budget.shifted_by(-min(RESERVE_SECONDS_MAX, seconds * RESERVE_SHARE))
