"""The model's books: what every user must have, kept without any code of the system.

An account is one life of a user document: a user who is deleted and created again gets a new account. The app books
what it spends. Each grant is booked when it reaches the database, and checked against the account.

Where users have time zones of their own, each account has the days of its zone. It may move from zone to zone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dev.oracle import (
    WHEN_LOW,
    Number,
    Rules,
    after_grant,
    is_found_by_balance,
    latest_date_of,
    own_zone,
    period_of,
    run_of,
)

ONE_DAY = timedelta(days=1)
SKEW = timedelta(minutes=10)  # clocks differ from the true time by at most this much
# A late job may have been made for an earlier user of the same id. It grants a date at most this many days before the
# account began.
LATE_DAYS = 3


@dataclass(frozen=True)
class Landing:
    """A write of the system that stamped a period and took effect. `credits` is None if it granted nothing."""

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
    """A write of the system that corrects fields of a stamp and grants nothing. A field with None is removed."""

    user_id: str
    fields: Mapping[str, Any]


@dataclass
class Account:
    """One life of a user document as it must be.

    `touched` is when the app last changed plan, zone, pause or existence. `opened` is when the account began.
    """

    initial: Number
    plan: str | None
    signed_up: datetime
    touched: int
    opened: datetime
    zone: Any = None  # as the app wrote it
    credits: Number = 0
    moved: Number = 0  # what the app gave and took
    moved_at: int = 0  # when it last did
    paused: bool | None = None
    anchor: str | None = None
    due_on: str | None = None
    job_id: str | None = None
    #: The app changed the plan without setting `dueOn`: no scan by date can find the user.
    changed_silently: bool = False
    #: The app changed the zone without setting `dueOn`: a scan by date finds the user when the old zone's date comes.
    moved_silently: bool = False
    #: The stamp is from a backup. The job that it names may have been settled while the stamp named another job.
    restored: bool = False
    #: What the app wrote in place of the balance or of the stamp, by field. `credits` is the last balance before.
    odd_fields: dict[str, Any] = field(default_factory=dict)
    #: The day of the run that last adopted the user. A local date that begins later in this run is not granted.
    adopted_in: date | None = None
    #: The last healthy day's run named the user as failing, and the app has not changed the user since.
    is_named: bool = False
    zones: list[Any] = field(default_factory=list)  # all that it ever had
    periods: dict[str, str] = field(default_factory=dict)
    landings: list[Landing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credits = self.initial
        self.zones = [self.zone]

    def move_to(self, zone: Any) -> None:
        self.zone = zone
        self.zones.append(zone)

    @property
    def is_broken(self) -> bool:
        """True while the user fails by the data that the app wrote."""
        return bool(self.odd_fields)

    @property
    def granted(self) -> set[tuple[str, str]]:
        """The plans and periods that were granted or adopted."""
        return {(landing.plan, landing.period) for landing in self.landings}


class Books:
    """All accounts by user, and the faults of grants that landed.

    `zone` is the deployment's. `zoned`: users may have zones of their own. `clock` gives the true time.
    """

    def __init__(self, rules: Rules, zone: ZoneInfo, clock: Callable[[], datetime], *, zoned: bool = False) -> None:
        self.rules = rules
        self.zone = zone
        self.zoned = zoned
        self.clock = clock
        self.lock = threading.RLock()  # held during each write on a user and its booking
        self.open: dict[str, Account] = {}
        self.closed: list[tuple[str, Account]] = []
        self.moment = 0
        self.wrong: list[str] = []

    def next_moment(self) -> int:
        self.moment += 1
        return self.moment

    def day(self, instant: datetime) -> date:
        """The day of the run at that moment."""
        return instant.astimezone(self.zone).date()

    def zone_of(self, account: Account) -> ZoneInfo:
        return self._zone(account.zone)

    def _zone(self, value: Any) -> ZoneInfo:
        return own_zone(value, self.zone) if self.zoned else self.zone

    def dates_between(self, account: Account, begin: datetime, end: datetime) -> list[date]:
        """The local dates that the user has at some moment from `begin` to `end`."""
        zone = self.zone_of(account)
        first, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
        return [first + number * ONE_DAY for number in range((last - first).days + 1)]

    def close(self, user_id: str) -> None:
        self.closed.append((user_id, self.open.pop(user_id)))

    def accounts(self) -> Iterator[tuple[str, Account]]:
        """All accounts, past ones included."""
        yield from self.closed
        yield from self.open.items()

    def landings(self) -> list[Landing]:
        return [landing for _, account in self.accounts() for landing in account.landings]

    def period_due(self, account: Account, local_date: date) -> str | None:
        """The start of the period that the user must have on that local date, if there is one."""
        plan = self._plan(account)
        if account.paused or plan not in self.rules.plans:
            return None
        interval = period_of(self.rules.plans[plan], local_date, self._anchor(account))
        return None if interval is None else interval[0].isoformat()

    def is_owed(self, account: Account, run_day: date) -> bool:
        """True if the run of that day has to grant the user a period that is not granted."""
        if account.zone is not None and account.adopted_in == run_day:
            return False
        return self._is_owed_on(account, latest_date_of(self.zone_of(account), self.zone, run_day))

    def is_owed_now(self, account: Account) -> bool:
        """True if the period of the user's present date is not granted."""
        return self._is_owed_on(account, self.clock().astimezone(self.zone_of(account)).date())

    def _is_owed_on(self, account: Account, local_date: date) -> bool:
        due = self.period_due(account, local_date)
        if due is None or account.is_broken or self.is_left_alone(account):
            return False
        return account.periods.get(self._plan(account), "") < due

    def is_found_by_balance(self, account: Account) -> bool:
        """True for a user whose plan leaves full users alone."""
        return is_found_by_balance(self.rules.plans.get(self._plan(account), {}))

    def failure_of(self, account: Account, due_on: Any, run_day: date, *, reads_everybody: bool) -> str | None:
        """The error code with which the run of that day must name the user. None if there need be none.

        A `due` scan finds an unknown plan by date. From then on each day's scan finds it. `due_on` is the stamp's
        `dueOn` before the scan, because a worker may mend it later in the day.
        """
        if "creditRefresh" in account.odd_fields:
            return "bad_stamp"
        if "credits" in account.odd_fields:
            return "bad_balance"
        is_due = isinstance(due_on, str) and due_on <= run_day.isoformat()
        is_found = reads_everybody or account.is_named or is_due
        is_unknown = self._plan(account) not in self.rules.plans and not account.paused
        return "unknown_plan" if is_unknown and is_found else None

    def is_left_alone(self, account: Account) -> bool:
        """True for a user who has the allowance of a plan that leaves full users alone."""
        return (
            self.is_found_by_balance(account) and not account.is_broken and account.credits >= self._allowance(account)
        )

    def _allowance(self, account: Account) -> Number:
        return self.rules.plans[self._plan(account)]["allowance"]

    def mend(self, mending: Mending) -> None:
        """Book a correction of the stamp. It must not touch what was granted."""
        account = self.open.get(mending.user_id)
        if account is None:
            self.wrong.append(f"{mending} wrote to a user who is gone")
            return
        if unknown := set(mending.fields) - {"dueOn", "adopt", "refreshRequested"}:
            self.wrong.append(f"{mending} changed {sorted(unknown)}")
        if "dueOn" in mending.fields:
            account.due_on = mending.fields["dueOn"]
            account.changed_silently = account.moved_silently = False

    def land(self, landing: Landing, days: Sequence[date]) -> None:
        """Book a grant that was made for one of these days, which are the user's local dates."""
        account = self.open.get(landing.user_id)
        if account is None:
            self.wrong.append(f"{landing} wrote to a user who is gone")
            return
        self.wrong += [f"{landing}: {fault}" for fault in self._faults(account, landing, days)]
        if (landing.plan, landing.period) not in account.granted:  # an adoption may only remove its own mark
            account.landings.append(landing)
        account.periods[landing.plan] = landing.period
        account.due_on = landing.due_on
        account.changed_silently = account.moved_silently = False
        account.anchor = landing.anchor or account.anchor
        if landing.credits is None:
            account.adopted_in = self.day(self.clock())
        else:
            account.credits, account.job_id = landing.credits, landing.job_id
            account.restored = False

    def _faults(self, account: Account, landing: Landing, days: Sequence[date]) -> Iterator[str]:
        """The faults of a grant, compared with the account just before it."""
        name = self._plan(account)
        if account.paused and landing.credits is not None:  # an adoption stamps paused users too
            yield "the user is paused"
        if account.is_broken:
            yield "the user's data is broken"
        if landing.plan != name or name not in self.rules.plans:
            yield f"the user's plan is {name}"
            return
        if landing.credits is not None and (landing.plan, landing.period) in account.granted:
            yield "granted twice"
        if landing.period < account.periods.get(name, ""):
            yield f"the stamp goes back from {account.periods[name]}"
        zone = self.zone_of(account)
        if landing.period > (self.clock() + SKEW).astimezone(zone).date().isoformat():
            yield f"granted before it began in {zone.key}"
        plan, anchor = self.rules.plans[name], self._anchor(account)
        intervals = [interval for day in days if (interval := period_of(plan, day, anchor)) is not None]
        wanted = [(start.isoformat(), self._due_on(account, zone, end)) for start, end in intervals]
        if (landing.period, landing.due_on) not in wanted:
            yield f"not a period of {sorted(map(str, days))} in {zone.key}"
        if landing.anchor != (anchor.isoformat() if plan.get("anchor") == "signup" else None):
            yield f"the user's anchor is {anchor}"
        if landing.credits is not None:
            yield from self._faults_of_balance(account, landing)

    def _faults_of_balance(self, account: Account, landing: Landing) -> Iterator[str]:
        if self.is_left_alone(account):
            yield "the user has the allowance, and is to be left alone"
        if landing.before != account.credits:
            yield f"the user had {account.credits}"
        after = after_grant(self.rules.plans[self._plan(account)], account.credits)
        if landing.credits != after:
            yield f"the plan makes {after} of {account.credits}"

    def _due_on(self, account: Account, zone: ZoneInfo, end: date) -> str:
        """What `dueOn` says after a grant of a period that ends on that date."""
        return WHEN_LOW if self.is_found_by_balance(account) else run_of(zone, self.zone, end).isoformat()

    def _plan(self, account: Account) -> str:
        return self.rules.default if account.plan is None else account.plan

    def _anchor(self, account: Account) -> date:
        if account.anchor is not None:
            return date.fromisoformat(account.anchor)
        return account.signed_up.astimezone(self.zone_of(account)).date()

    # What must hold at any time

    def assert_kept(self, users: Mapping[str, Mapping[str, Any]]) -> None:
        """The documents equal the books, and no credit came from anywhere else."""
        assert self.wrong == [], self.wrong
        found = {user_id: _kept_fields(fields) for user_id, fields in users.items()}
        assert found == {user_id: _expected_fields(account) for user_id, account in self.open.items()}
        for user_id, account in self.accounts():
            self._assert_conserved(user_id, account)
            self._assert_bounded(user_id, account)

    def _assert_bounded(self, user_id: str, account: Account) -> None:
        """A daily plan grants at most once for each date that the account had in any of its zones."""
        zones = [self._zone(value) for value in account.zones]
        first = min(account.opened.astimezone(zone).date() for zone in zones) - LATE_DAYS * ONE_DAY
        last = max((self.clock() + SKEW).astimezone(zone).date() for zone in zones)
        for name, plan in self.rules.plans.items():
            if plan["period"] == "day":
                grants = sum(landing.plan == name for landing in account.landings)
                assert grants <= (last - first).days + 1, f"{user_id} has {grants} grants from {first} to {last}"

    def _assert_conserved(self, user_id: str, account: Account) -> None:
        """No period is granted twice. If all plans accumulate, the balance is the sum of what went into it."""
        given = [landing for landing in account.landings if landing.credits is not None]
        plans = {landing.plan: self.rules.plans[landing.plan] for landing in given}
        assert len(account.granted) == len(account.landings), user_id
        if all(plan["policy"] == "accumulate" and "cap" not in plan for plan in plans.values()):
            periods = {(landing.plan, landing.period) for landing in given}
            allowances = sum(plans[plan]["allowance"] for plan, _ in periods)
            assert account.credits == account.initial + account.moved + allowances, user_id


def _expected_fields(account: Account) -> dict[str, Any]:
    return {
        "credits": account.odd_fields.get("credits", account.credits),
        "oddStamp": account.odd_fields.get("creditRefresh"),
        "plan": account.plan,
        "zone": account.zone,
        "paused": account.paused,
        "periods": account.periods,
        "anchor": account.anchor,
        "dueOn": account.due_on,
        "jobId": account.job_id,
    }


def _kept_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = fields.get("creditRefresh", {})
    stamp = found if isinstance(found, dict) else {}
    names = ("paused", "anchor", "dueOn", "jobId")
    return {
        "credits": fields["credits"],
        "oddStamp": None if found is stamp else found,
        "plan": fields.get("plan"),
        "zone": fields.get("zone"),
        "periods": stamp.get("periods", {}),
        **{name: stamp.get(name) for name in names},
    }
