"""The model's books: what every user must have, kept without any code of the system.

An account is one life of a user document: a user who is deleted and created again gets a new account. The app books
what it spends. Each grant is booked when it reaches the database, and checked against the account.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dev.oracle import Number, Rules, after_grant, period_of


@dataclass(frozen=True)
class Landing:
    """A write of the system on a user document that took effect. `credits` None: an adoption, which grants nothing."""

    user_id: str
    plan: str
    period: str
    due_on: str
    anchor: str | None
    credits: Number | None
    before: Number | None
    job_id: str | None

    @classmethod
    def of(cls, user_id: str, fields: Mapping[str, Any]) -> Landing:
        stamp = fields["creditRefresh"]
        ((plan, period),) = stamp["periods"].items()
        assert stamp["plan"] == plan
        rest = (fields.get("credits"), stamp.get("before"), stamp.get("jobId"))
        return cls(user_id, plan, period, stamp["dueOn"], stamp.get("anchor"), *rest)


@dataclass(frozen=True)
class Mending:
    """A write of the system that corrects fields of a stamp, and grants nothing. None: the field is taken away."""

    user_id: str
    fields: Mapping[str, Any]


@dataclass
class Account:
    """One life of a user document as it must be. `touched`: when the app last changed plan, pause or existence."""

    initial: Number
    plan: str | None
    signed_up: datetime
    touched: int
    credits: Number = 0
    moved: Number = 0  # what the app gave and took
    paused: bool | None = None
    anchor: str | None = None
    due_on: str | None = None
    job_id: str | None = None
    #: The app changed the plan and did not say so: no scan by date can know.
    changed_silently: bool = False
    periods: dict[str, str] = field(default_factory=dict)
    landings: list[Landing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credits = self.initial

    @property
    def granted(self) -> set[tuple[str, str]]:
        """The plans and periods that were granted, or adopted."""
        return {(landing.plan, landing.period) for landing in self.landings}


class Books:
    """All accounts by user, and the faults of grants that landed."""

    def __init__(self, rules: Rules, zone: ZoneInfo) -> None:
        self.rules = rules
        self.zone = zone
        self.lock = threading.RLock()  # held during each write on a user and its booking
        self.open: dict[str, Account] = {}
        self.closed: list[tuple[str, Account]] = []
        self.moment = 0
        self.wrong: list[str] = []

    def next_moment(self) -> int:
        self.moment += 1
        return self.moment

    def day(self, instant: datetime) -> date:
        return instant.astimezone(self.zone).date()

    def close(self, user_id: str) -> None:
        self.closed.append((user_id, self.open.pop(user_id)))

    def accounts(self) -> Iterator[tuple[str, Account]]:
        """All accounts, past ones included."""
        yield from self.closed
        yield from self.open.items()

    def landings(self) -> list[Landing]:
        return [landing for _, account in self.accounts() for landing in account.landings]

    def period_due(self, account: Account, day: date) -> str | None:
        """The start of the period that must be granted by the end of the day, if there is one."""
        plan = self._plan(account)
        if account.paused or plan not in self.rules.plans:
            return None
        interval = period_of(self.rules.plans[plan], day, self._anchor(account))
        return None if interval is None else interval[0].isoformat()

    def is_owed(self, account: Account, day: date) -> bool:
        due = self.period_due(account, day)
        return due is not None and account.periods.get(self._plan(account), "") < due

    def mend(self, mending: Mending) -> None:
        """Book a correction of the stamp. It must not touch what was granted."""
        account = self.open.get(mending.user_id)
        if account is None:
            self.wrong.append(f"{mending} wrote a user who is gone")
            return
        if unknown := set(mending.fields) - {"dueOn", "adopt"}:
            self.wrong.append(f"{mending} changed {sorted(unknown)}")
        if "dueOn" in mending.fields:
            account.due_on = mending.fields["dueOn"]
            account.changed_silently = False

    def land(self, landing: Landing, days: Sequence[date]) -> None:
        """Book a grant that was made for one of these days."""
        account = self.open.get(landing.user_id)
        if account is None:
            self.wrong.append(f"{landing} wrote a user who is gone")
            return
        self.wrong += [f"{landing}: {told}" for told in self._faults(account, landing, days)]
        account.landings.append(landing)
        account.periods[landing.plan] = landing.period
        account.due_on = landing.due_on
        account.changed_silently = False
        account.anchor = landing.anchor or account.anchor
        if landing.credits is not None:
            account.credits, account.job_id = landing.credits, landing.job_id

    def _faults(self, account: Account, landing: Landing, days: Sequence[date]) -> Iterator[str]:
        """The faults of a grant, compared with the account just before it."""
        name = self._plan(account)
        if account.paused and landing.credits is not None:  # an adoption stamps paused users too
            yield "the user is paused"
        if landing.plan != name or name not in self.rules.plans:
            yield f"the user's plan is {name}"
            return
        if (landing.plan, landing.period) in account.granted:
            yield "granted twice"
        if landing.period < account.periods.get(name, ""):
            yield f"the stamp goes back from {account.periods[name]}"
        plan, anchor = self.rules.plans[name], self._anchor(account)
        intervals = [interval for day in days if (interval := period_of(plan, day, anchor)) is not None]
        if (landing.period, landing.due_on) not in [(start.isoformat(), end.isoformat()) for start, end in intervals]:
            yield f"not a period of {sorted(map(str, days))}"
        if landing.anchor != (anchor.isoformat() if plan.get("anchor") == "signup" else None):
            yield f"the user's anchor is {anchor}"
        if landing.credits is not None and landing.before != account.credits:
            yield f"the user has {account.credits}"
        if landing.credits is not None and landing.credits != after_grant(plan, account.credits):
            yield f"the plan makes {after_grant(plan, account.credits)} of {account.credits}"

    def _plan(self, account: Account) -> str:
        return self.rules.default if account.plan is None else account.plan

    def _anchor(self, account: Account) -> date:
        return self.day(account.signed_up) if account.anchor is None else date.fromisoformat(account.anchor)

    # What must hold at any time

    def assert_kept(self, users: Mapping[str, Mapping[str, Any]]) -> None:
        """The documents equal the books, and no credit came from anywhere else."""
        assert self.wrong == [], self.wrong
        found = {user_id: _as_booked(fields) for user_id, fields in users.items()}
        assert found == {user_id: _booked(account) for user_id, account in self.open.items()}
        for user_id, account in self.accounts():
            self._assert_conserved(user_id, account)

    def _assert_conserved(self, user_id: str, account: Account) -> None:
        """On accumulating plans a balance is the first one, what the app moved, and one allowance for each period."""
        given = [landing for landing in account.landings if landing.credits is not None]
        plans = {landing.plan: self.rules.plans[landing.plan] for landing in given}
        assert len(account.granted) == len(account.landings), user_id
        if all(plan["policy"] == "accumulate" and "cap" not in plan for plan in plans.values()):
            periods = {(landing.plan, landing.period) for landing in given}
            allowances = sum(plans[plan]["allowance"] for plan, _ in periods)
            assert account.credits == account.initial + account.moved + allowances, user_id


def _booked(account: Account) -> dict[str, Any]:
    return {
        "credits": account.credits,
        "plan": account.plan,
        "paused": account.paused,
        "periods": account.periods,
        "anchor": account.anchor,
        "dueOn": account.due_on,
        "jobId": account.job_id,
    }


def _as_booked(fields: Mapping[str, Any]) -> dict[str, Any]:
    stamp = fields.get("creditRefresh", {})
    names = ("paused", "anchor", "dueOn", "jobId")
    return {
        "credits": fields["credits"],
        "plan": fields.get("plan"),
        "periods": stamp.get("periods", {}),
        **{name: stamp.get(name) for name in names},
    }
