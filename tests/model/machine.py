"""A model of months of production: builders, workers and an app in any order, with crashes and differing clocks.

No user is granted twice for a period, no credit appears or is lost, and after some healthy days no user was forgotten.
The services run on the real emulator. The books hold what every user must have. In half of the histories users have
time zones of their own, and hop between them.
"""

from __future__ import annotations

import math
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, ClassVar
from unittest.mock import patch

import grpc
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import shared.services.find
import shared.services.work
from dev.emulator import clear
from dev.oracle import WHEN_LOW, Rules
from shared.core.errors import OperatorError, SystemFailureError
from shared.core.packing import FLUSH_LIMITS, FlushLimits
from shared.core.plans import parse_plans
from shared.core.runs import ScanRequest
from shared.monitor.operator_actions import Operator, requeue_run, rescan
from shared.services.build import build
from shared.services.context import Context
from shared.services.limits import Limits
from shared.services.refresh import refresh_named, refresh_page
from shared.services.reports import BuildReport, PageReport, WorkReport
from shared.services.signup import take_event
from shared.services.work import work
from shared.store import wire
from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.users import UserDocument
from shared.store.wire import Wire
from tests.model.app import App, Backup, BalanceRead
from tests.model.books import SKEW, Account, Books, Landing, Mending
from tests.model.watch import AtOnce, Moment, Rpc, Spoiled, Trouble, Watched
from tests.support.faults import FaultPlan, Mode, ProcessEnded
from tests.support.invariants import assert_settled
from tests.support.plans import MODEL
from tests.support.world import World

OPERATOR = Operator("eve")
CAPPED_DAILY = '[plans.capped]\nallowance = 40\nperiod = "day"'
UNKNOWN_PLAN = "discontinued"
DAY = timedelta(days=1)
EVENT_AGE_MAX = timedelta(hours=23)  # the function drops events that are a day old
LONGER_THAN_LEASE = timedelta(minutes=3)
CALL_SECONDS = 60
CALLS_TO_REST_MAX = 5
AUTO_CALLS = 4  # calls of the builder in a healthy day, ten minutes apart; the proof takes three of them

# Each lies just before a date at which date arithmetic easily fails: the end of January, a 29th of February, a change
# of the clocks in America or Europe, the end of a year. All lie in the future of the emulator's own clock. The create
# times of documents come from that clock, and some users have no other sign-up time.
BEGINNINGS = [
    datetime(2040, month, day, 20, tzinfo=UTC)
    for month, day in ((1, 29), (2, 27), (3, 9), (3, 23), (10, 27), (11, 2), (12, 30))
]
# In Beirut a change of the clocks skips midnight, or repeats the hour before it. The last one does not exist.
ZONES = [
    "Pacific/Auckland",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Europe/London",
    "Asia/Beirut",
    "Mars/Olympus",
]

skews = st.sampled_from([timedelta(), -SKEW, SKEW, timedelta(seconds=30)])
user_numbers = st.integers(0, 7)  # an index into the present users, modulo their number
# An element that is named twice is drawn more often.
plans = st.sampled_from([*tomllib.loads(MODEL)["plans"], "adder", "spare", UNKNOWN_PLAN])
amounts = st.sampled_from([1, 7, 40, -25, 0.5])
homes = st.one_of(st.none(), st.sampled_from(ZONES))
scans = st.sampled_from(["all", "auto"])
odd_balances = st.sampled_from(["12", None, True, math.inf, [5], {"amount": 5}])
odd_due_ons = st.sampled_from([True, 7, 2.5, b"2040", ["2040-01-01"], "9999-12-31", "soon", "zoo"])


class Event(StrEnum):
    """Events between two calls of one process."""

    SPEND = "spend"
    CHANGE_PLAN = "change the plan"
    HOP = "hop to another zone"
    PAUSE_USER = "pause the user"
    BREAK = "break the user's balance"
    CORRECT = "correct the user"
    MAKE_AGAIN = "delete and make again"
    DELETE = "delete"
    REFRESH = "refresh the user directly"
    WORK = "another worker"
    BUILD = "a stall past the lease and another builder"
    OVERTAKE = "a stall past the lease and another worker"
    STALL = "a stall past the lease"
    SLEEP = "a stall of a day"
    PAUSE = "pause the system"


@dataclass(frozen=True)
class Interruption:
    """An event that happens at this moment of a call, to this user if the event is about one."""

    when: Moment
    event: Event
    who: int


@dataclass(frozen=True)
class Mishap:
    """What goes wrong in one call: a fault on its wire, a user who can't be written, or an event in between."""

    trouble: Trouble | None = None
    spoiled: tuple[int, grpc.StatusCode] | None = None
    interruption: Interruption | None = None


@dataclass(frozen=True)
class SeenScan:
    """A generation of a run, and the moment of the books at which it was first seen."""

    scan: str
    generation: int
    moment: int


@dataclass(frozen=True)
class SignUp:
    """The event of a new user's document: the document as it was created, and when."""

    event_id: str
    document: UserDocument
    at: datetime


NO_MISHAP = Mishap()
moments = st.builds(Moment, st.sampled_from([*Rpc, Rpc.WRITE, Rpc.COMMIT]), st.sampled_from([1, 1, 2, 2, 3]))
troubles = st.builds(Trouble, st.sampled_from([*Mode, Mode.LOST]), moments, st.booleans())
spoilings = st.tuples(user_numbers, st.sampled_from([grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT]))
interruptions = st.builds(Interruption, moments, st.sampled_from(Event), user_numbers)
mishaps = st.one_of(
    st.builds(Mishap, trouble=troubles),
    st.builds(Mishap, interruption=interruptions),
    st.builds(Mishap, trouble=troubles, interruption=interruptions),
    st.builds(Mishap, spoiled=spoilings),
)
perhaps = st.one_of(st.just(NO_MISHAP), mishaps)


class StopSignal:
    """The signal that ends a process. It is set once the process has asked for it this many times; None: never."""

    def __init__(self, checks: int | None) -> None:
        self._checks = checks

    def is_set(self) -> bool:
        if self._checks is None:
            return False
        self._checks -= 1
        return self._checks < 0


stops = st.one_of(st.none(), st.integers(0, 5))


class Days(RuleBasedStateMachine):
    """One history of a deployment. `seen` counts what happened, over all histories."""

    seen: ClassVar[Counter[str]] = Counter()
    pool: ClassVar[Any] = AtOnce  # stands in for thread pools; None: real threads

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.world: Any = None  # a World, once deployed

    @initialize(
        began=st.sampled_from(BEGINNINGS),
        timezone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
        job_size=st.sampled_from([1, 2, 300]),
        bounds=st.sampled_from([FlushLimits(flush_jobs=1), FlushLimits(flush_jobs=4, commit_jobs=1), FLUSH_LIMITS]),
        users=st.lists(st.tuples(plans, homes), min_size=2, max_size=7),
        rests_on_auto=st.booleans(),
        zoned=st.booleans(),
        stagger=st.sampled_from(["hash", "quiet"]),
    )
    def deploy(self, *, began, timezone, job_size, bounds, users, rests_on_auto, zoned, stagger):
        """Begin with a project, an app with a few users, and the functions deployed beside it."""
        self.world = World(
            plans=MODEL,
            timezone=timezone,
            job_size=job_size,
            max_attempts=2,
            limits=Limits(page_users=2, flush=bounds),
            zone_field="zone" if zoned else None,
            stagger=stagger,
        )
        self.now = began
        rules = tomllib.loads(MODEL)
        self.books = Books(
            Rules(rules["plans"], rules["default_plan"]),
            self.world.settings.schedule.zone,
            lambda: self.now,
            zoned=zoned,
        )
        self.seen["histories with zones"] += zoned
        self.seen["histories with quiet slots"] += stagger == "quiet"
        self.app = App(self.world, self.books)
        self.rests_on_auto = rests_on_auto
        self.balances_read: dict[str, BalanceRead] = {}
        self.scans: dict[str, SeenScan] = {}  # by run
        self.last_call: Callable[[], object] | None = None
        self.cursor: str | None = None
        self.backup: Backup | None = None
        self.sign_ups: list[SignUp] = []
        self._open_wires()
        self._patch()
        self.signed_up = self.rested = 0
        for plan, zone in users:
            self._sign_up(plan, "b", created=False, credits_held=5, zone=zone)

    def _open_wires(self) -> None:
        """Open a wire for the process that a rule is about, and one for processes that interrupt it."""
        host = str(self.world.settings.emulator_host)
        wires = [
            Watched(
                on_landing=self._book_landing,
                on_mending=self._book_mending,
                on_fault=self._count_fault,
                lock=self.books.lock,
            )
            for _ in range(2)
        ]
        self.watched, self.interrupting = wires
        self.connections = {id(each): self.world.connect(host, each) for each in wires}
        for connection in [*self.connections.values(), self.world.connection, self.world.admin.connection]:
            self.resources.callback(connection.client.transport.close)
        self.resources.callback(clear, host, str(self.world.settings.project))

    def _patch(self) -> None:
        """Shorten the waits between tries, and replace thread pools by the model's."""
        patches = [
            patch.object(wire, "WAIT_SECONDS_MAX", 0.001),
        ]
        if self.pool is not None:
            services = (shared.services.find, shared.services.work)
            patches += [patch.object(service, "ThreadPoolExecutor", self.pool) for service in services]
        for each in patches:
            self.resources.enter_context(each)

    # Time

    @rule(
        duration=st.sampled_from([timedelta(minutes=5), timedelta(hours=1), timedelta(hours=7), DAY, 2 * DAY, 6 * DAY])
    )
    def time_passes(self, duration):
        """Minutes, hours or days pass without a call."""
        self.now += duration

    @rule()
    def midnight_comes_near(self):
        """Midnight is so near that clocks disagree about the day."""
        self.now = max(self.now, self._midnight(self._today + DAY) - timedelta(minutes=5))

    @rule(scan=scans, building=st.lists(mishaps, max_size=2))
    def a_day_goes_by(self, scan, building):
        """The builder is called once to three times, finally without a mishap. The worker is called in the evening."""
        self.world.pause(paused=False)
        for mishap in building:
            self._build(scan, mishap=mishap)
            self.now += LONGER_THAN_LEASE
        self._build(scan)
        self._evening_comes()
        self._work()
        self.now += timedelta(hours=1)

    @rule(working=st.lists(mishaps, min_size=1, max_size=3), healed=st.booleans())
    def an_evening_goes_wrong(self, working, healed):
        """Users are queued. Each call of the worker in the evening has a mishap. A call without one may follow."""
        self.world.pause(paused=False)
        self._build("all")
        self._evening_comes()
        for mishap in working:
            self._work(mishap=mishap)
            self.now += LONGER_THAN_LEASE
        if healed:
            self._work()
        self.now += timedelta(minutes=30)

    @rule(scan=st.sampled_from(["all", "auto", "auto"]), hours=st.sampled_from([3, 8]), calls=st.integers(2, 5))
    def hours_go_by(self, scan, hours, calls):
        """Builder and worker are called every few hours."""
        self.world.pause(paused=False)
        for _ in range(calls):
            self._build(scan)
            self._work()
            self.now += timedelta(hours=hours)

    def _evening_comes(self) -> None:
        self.now = max(self.now, self._midnight(self._today + DAY) - timedelta(minutes=15))

    # The system

    @rule(scan=st.sampled_from(["all", "all", "auto", "due", "adopt"]), skew=skews, mishap=perhaps, stop=stops)
    def build(self, scan, skew, mishap, stop):
        """The builder is called. If it is stopped, it leaves the run unfinished after some pages."""
        self.last_call = lambda: self._build(scan, skew, stop=stop)
        self._build(scan, skew, mishap, stop)

    @rule(scan=st.sampled_from(["all", "due"]), pages=st.lists(st.integers(0, 1), min_size=1, max_size=4))
    def build_in_pieces(self, scan, pages):
        """The builder is called several times and is stopped early each time. It may not finish."""
        for checks in pages:
            self._build(scan, stop=checks)

    @rule(jobs_max=st.sampled_from([1, 2, 1000]), skew=skews, mishap=perhaps, stop=stops)
    def work(self, jobs_max, skew, mishap, stop):
        """The worker is called, perhaps with a limit of jobs, and perhaps stopped at some point."""
        self.last_call = lambda: self._work(jobs_max, skew, stop=stop)
        self._work(jobs_max, skew, mishap, stop)

    @rule(who=st.lists(user_numbers, max_size=4), skew=skews, mishap=perhaps)
    def refresh(self, who, skew, mishap):
        """Users are refreshed by name. One may be named twice, and one does not exist."""
        names = [self._user(number) for number in who if self._users] + ["nobody"]
        self.last_call = lambda: self._refresh(lambda context: refresh_named(context, names), skew)
        self._refresh(lambda context: refresh_named(context, names), skew, mishap)

    @rule(size=st.integers(1, 4), skew=skews, mishap=perhaps)
    def refresh_the_next_page(self, size, skew, mishap):
        """The next page of users is refreshed."""
        after = self.cursor
        report = self._refresh(lambda context: refresh_page(context, after, size), skew, mishap)
        if report is not None:
            self.cursor = report.after if report.has_more else None

    @rule()
    def deliver_again(self):
        """The last call is made once more, without its mishap."""
        if self.last_call is not None:
            self.last_call()

    @rule(days=st.sampled_from([0, 0, 1]), skew=skews, mishap=perhaps)
    def requeue(self, days, skew, mishap):
        """An operator requeues the dead letters of a run, if there are any."""
        self._requeue(days, skew, mishap)

    def _requeue(self, days, skew, mishap):
        run_id = (self._today - days * DAY).isoformat()
        self.last_call = lambda: self._call(lambda context: requeue_run(context, OPERATOR, run_id), skew, NO_MISHAP)
        done = self._call(lambda context: requeue_run(context, OPERATOR, run_id), skew, mishap)
        self.seen["jobs requeued"] += 0 if done is None else done.jobs

    @precondition(lambda self: self._users)
    @rule(
        who=st.lists(user_numbers, min_size=1, max_size=3),
        plan=plans,
        requeueing=st.lists(mishaps, max_size=2),
        mishap=perhaps,
    )
    def dead_letters_are_sent_back(self, who, plan, requeueing, mishap):
        """Users get an unknown plan between build and work. Two get another plan before the jobs are requeued."""
        self._build()
        for number in who:
            self.app.change_plan(self._user(number), UNKNOWN_PLAN, None)
        self._evening_comes()
        self._work()
        for number in who[:2]:
            self.app.change_plan(self._user(number), plan, None)
        for each in (*requeueing, NO_MISHAP):
            self._requeue(0, timedelta(), each)
        self._work(mishap=mishap)

    @rule(mishap=perhaps)
    def rescan(self, mishap):
        """An operator asks for a rescan of today's run."""
        moment = self.books.next_moment()
        with suppress(OperatorError):  # no run yet
            self._call(lambda context: rescan(context, OPERATOR, self._today), timedelta(), mishap)
        self._note_scans(moment)

    @rule(period=st.sampled_from(["day", "month"]))
    def plans_change(self, period):
        """The functions are deployed with another period of one plan."""
        self._deploy_plans(MODEL.replace(CAPPED_DAILY, CAPPED_DAILY.replace("day", period)))
        self.seen["changes of plans"] += 1

    @rule(days=st.integers(1, 3), who=st.lists(user_numbers, max_size=3), worker_first=st.booleans())
    def months_become_days(self, days, who, worker_first):
        """Monthly users are queued under daily plans. The worker comes days later, before or after the builder."""
        self._deploy_plans(MODEL.replace(CAPPED_DAILY, CAPPED_DAILY.replace("day", "month")))
        for number in who if self._users else []:
            self.app.correct(self._user(number), 5)
            self.app.change_plan(self._user(number), "capped", self._today)
        self._come_to_rest("all")
        self._deploy_plans(MODEL)
        self._build("auto")
        for _ in range(days):
            self.now += DAY
            self._build("auto")
        if worker_first:
            self._work()
        self._come_to_rest("auto")
        self._come_to_rest("auto")
        self.seen["months became days"] += 1

    def _deploy_plans(self, text: str) -> None:
        rules = tomllib.loads(text)
        self.world.plans = parse_plans(text)
        self.books.rules = Rules(rules["plans"], rules["default_plan"])

    @rule(paused=st.sampled_from([False, False, True]))
    def pause_the_system(self, paused):
        """An operator pauses builder and worker, or lets them go on."""
        self.world.pause(paused=paused)

    # The app

    @rule(
        plan=plans,
        initial=st.sampled_from("acz"),
        created=st.booleans(),
        credits_held=st.sampled_from([0, 5, 2.5]),
        zone=homes,
        deliveries=st.lists(perhaps, max_size=2),
    )
    def sign_up(self, *, plan, initial, created, credits_held, zone, deliveries):
        """A new user signs up, with an id before, among or after the existing ones. Its event may be delivered."""
        self._sign_up(plan, initial, created=created, credits_held=credits_held, zone=zone)
        user_id = f"{initial}{self.signed_up}"
        document = self.world.context(self.now).users().read([user_id])[user_id]
        event = SignUp(f"event-{self.signed_up}", document, self.now)
        self.sign_ups.append(event)
        for mishap in deliveries:
            self._deliver(event, mishap=mishap)

    @precondition(lambda self: self.sign_ups)
    @rule(number=user_numbers, skew=skews, mishap=perhaps)
    def deliver_a_sign_up(self, number, skew, mishap):
        """The event of a sign-up is delivered late, with the document as it was then."""
        self.sign_ups = [event for event in self.sign_ups if self.now - event.at <= EVENT_AGE_MAX]
        if self.sign_ups:
            event = self.sign_ups[number % len(self.sign_ups)]
            self.last_call = lambda: self._deliver(event, skew)
            self._deliver(event, skew, mishap)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, successor=st.one_of(st.none(), plans), created=st.booleans())
    def delete(self, who, successor, created):
        """A user is deleted, and perhaps created again with the same id."""
        user_id = self._user(who)
        self.app.delete(user_id)
        if successor is not None:
            self.app.sign_up(user_id, successor, 100, self.now if created else None)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, plan=plans, answer=st.booleans())
    def change_plan(self, who, plan, answer):
        """A user changes plan, and the app sets `dueOn` or does not."""
        self.app.change_plan(self._user(who), plan, self._today if answer else None)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, zone=homes, answer=st.booleans(), asks=st.booleans())
    def hop(self, who, zone, answer, asks):
        """A user moves to another time zone. The app sets `dueOn`, requests a refresh, does both or neither."""
        self.app.hop(self._user(who), zone, self._today if answer else None, asks=asks)
        self.seen["hops"] += 1

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, zone=homes)
    def hop_and_ask(self, who, zone):
        """A user moves and requests a refresh. The next worker call grants the present date of the new zone."""
        self.world.pause(paused=False)
        self.app.hop(self._user(who), zone, None, asks=True)
        account = self.books.open[self._user(who)]
        self._work()
        assert not self.books.is_owed_now(account)
        self.seen["hops with a request"] += 1

    @precondition(lambda self: self._users)
    @rule(who=st.lists(user_numbers, min_size=1, max_size=3), zone=homes, hours=st.sampled_from([1, 7, 12]))
    def hop_between_scan_and_slot(self, who, zone, hours):
        """Users move after the day's scan, and their jobs are worked some hours later."""
        self._build()
        for number in who:
            self.app.hop(self._user(number), zone, None, asks=False)
        self.seen["hops between scan and slot"] += 1
        self.now += timedelta(hours=hours)
        self._work()

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, credits_held=st.sampled_from([0, 5]))
    def overwrite(self, who, credits_held):
        """The app writes a user's document as a whole, so the stamp is gone."""
        self.app.overwrite(self._user(who), credits_held)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, due_on=odd_due_ons)
    def write_an_odd_due_on(self, who, due_on):
        """The app writes something into `dueOn` that can't be right."""
        self.app.write_due_on(self._user(who), due_on)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, value=odd_balances)
    def break_a_balance(self, who, value):
        """The app writes something in place of a balance that is no finite number."""
        self.app.break_balance(self._user(who), value)

    @precondition(lambda self: self._sound_users)
    @rule(who=user_numbers)
    def break_a_stamp(self, who):
        """The app writes a text in place of a stamp."""
        self.app.break_stamp(self._sound_users[who % len(self._sound_users)], "see the invoice")

    @precondition(lambda self: len(self._sound_users) < len(self._users))
    @rule(credits_held=st.sampled_from([0, 5, 200]), every=st.booleans())
    def correct(self, credits_held, every):
        """A person corrects one broken user, or all."""
        broken = [user_id for user_id in self._users if user_id not in self._sound_users]
        for user_id in broken if every else broken[:1]:
            self.app.correct(user_id, credits_held)
            self.seen["broken users corrected"] += 1

    @precondition(lambda self: self._sound_users)
    @rule(who=user_numbers, what=st.sampled_from(["balance", "stamp", "plan"]), scan=scans, days=st.integers(0, 2))
    def a_user_fails_for_days(self, who, what, scan, days):
        """A broken user is named each day, and granted the day after the correction."""
        user_id = self._sound_users[who % len(self._sound_users)]
        match what:
            case "balance":
                self.app.break_balance(user_id, "12")
            case "stamp":
                self.app.break_stamp(user_id, "see the invoice")
            case "plan":
                self.app.change_plan(user_id, UNKNOWN_PLAN, None)
        for each in (scan, *["auto"] * days):
            self._come_to_rest(each)
        if what == "plan":
            self.app.change_plan(user_id, "adder", None)
        else:
            self.app.correct(user_id, 5)
        self._come_to_rest("auto")
        self.seen["users who failed for days"] += 1

    @rule()
    def back_up(self):
        """The app keeps a copy of its users."""
        self.backup = self.app.back_up()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self):
        """The app puts the copy back, stamps included."""
        assert self.backup is not None
        self.app.restore(self.backup)
        self.balances_read.clear()

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, paused=st.booleans())
    def pause_a_user(self, who, paused):
        """One user is paused or resumed."""
        self.app.pause(self._user(who), paused=paused)

    @precondition(lambda self: self._users)
    @rule(who=user_numbers, amount=amounts, increment=st.booleans())
    def spend(self, who, amount, increment):
        """A user spends credits, or buys some."""
        self.app.spend(self._user(who), amount, increment=increment)

    @precondition(lambda self: self._users)
    @rule(who=st.lists(user_numbers, min_size=1, max_size=3))
    def full_users_spend(self, who):
        """Users of a plan that leaves full users alone are full at one day's scan, and spend before the next."""
        for number in who:
            self.app.correct(self._user(number), 5)
            self.app.change_plan(self._user(number), "spare", self._today)
        self._come_to_rest("all")
        for number in who:
            self.app.spend(self._user(number), 12, increment=True)
        self._come_to_rest("auto")
        self.seen["full users spent"] += 1

    @precondition(lambda self: self._users)
    @rule(who=user_numbers)
    def begin_to_spend(self, who):
        """The app reads a balance, to write it later in `end_spending`."""
        if not self.books.open[self._user(who)].is_broken:
            self.balances_read[self._user(who)] = self.app.read_balance(self._user(who))

    @precondition(lambda self: self.balances_read)
    @rule(amount=amounts, increment=st.booleans())
    def end_spending(self, amount, increment):
        """The app writes a balance that it computed from an earlier read. The precondition holds or fails."""
        user_id, read = self.balances_read.popitem()
        self.app.change_balance(user_id, -amount, read, increment=increment)

    # What must hold

    @invariant()
    def the_books_are_kept(self):
        """Every document holds what the app wrote and the due grants made of it."""
        if self.world is not None:
            self.books.assert_kept(self.world.all("users"))

    @precondition(lambda self: self.books.moment > self.rested)
    @rule()
    def come_to_rest(self):
        """A healthy day passes, in which everybody is read."""
        self._come_to_rest("all")

    def _come_to_rest(self, scan: str) -> None:
        """Run a healthy day, and check that nothing is left open and nobody was forgotten."""
        self.world.pause(paused=False)
        self.now = self._midnight(self.books.day(self.now + SKEW) + DAY)
        day = self._today
        due_ons = {user_id: account.due_on for user_id, account in self.books.open.items()}
        self._healthy_day(scan)
        self.the_books_are_kept()
        self._assert_nobody_is_forgotten(scan, day)
        self._assert_failing_users_are_named(scan, day, due_ons)
        assert_settled(self.world)
        self._assert_receipts()
        self._assert_runs()
        self.rested = self.books.moment
        self.seen["rests"] += 1

    def teardown(self) -> None:
        """End with healthy days, unless the history has failed already."""
        with self.resources:
            if self.world is not None and sys.exc_info()[0] is None:
                self._come_to_rest("auto" if self.rests_on_auto else "all")
                self.seen["histories"] += 1

    def _healthy_day(self, scan: str) -> None:
        """Call the builder, and in the evening the worker. One build may finish an adoption, so the next one queues.

        A user in a zone of its own has its slot within a day after the midnight that lies in this day. The slot may lie
        in the next day, so the worker is called again then.
        """
        self.now = self._midnight(self._today) + timedelta(hours=1)
        statuses = []
        for _ in range(AUTO_CALLS if scan == "auto" else 2):
            report = self._build(scan)
            statuses.append(report and report.status)
            self.now += timedelta(minutes=10)
        assert statuses == ["completed"] * len(statuses)
        self.now = self._midnight(self._today + DAY) - timedelta(minutes=1)
        self._work_until_rest()
        self.now += timedelta(minutes=1)
        if self.books.zoned:
            self.now += timedelta(hours=25)
            self._work_until_rest()

    def _work_until_rest(self) -> None:
        worked = [self._work()]
        while worked[-1].claimed and len(worked) < CALLS_TO_REST_MAX:
            worked.append(self._work())
        assert not worked[-1].claimed

    def _assert_nobody_is_forgotten(self, scan: str, day: date) -> None:
        """Check that each user has the day's period.

        If the app changed a plan without setting `dueOn`, only a scan of everybody finds the user. If it changed a zone
        without setting `dueOn`, the `due` scan of the next day finds the user at the latest.
        """
        owed = {
            user_id: account
            for user_id, account in self.books.open.items()
            if self.books.is_owed(account, day) and not (scan == "auto" and self._is_found_later(account, day))
        }
        assert owed == {}, f"not granted for {day}"
        self.seen["full users left alone"] += sum(map(self.books.is_left_alone, self.books.open.values()))

    def _assert_failing_users_are_named(self, scan: str, day: date, due_ons: Mapping[str, Any]) -> None:
        """Check that the day's run names each user who fails by the user's own data. `due_ons`: before the scan."""
        run = self.world.run(day.isoformat())
        named = {error["userId"]: error["code"] for error in run["errors"]}
        failing = {}
        for user_id, account in self.books.open.items():
            code = self.books.failure_of(account, due_ons[user_id], day, reads_everybody=scan == "all")
            if code is not None:
                failing[user_id] = code
            account.is_named = user_id in named
        assert {user_id: named.get(user_id) for user_id in failing} == failing
        self.seen["failing users named"] += len(failing)

    def _is_found_later(self, account: Account, day: date) -> bool:
        due_on = account.due_on
        is_next = isinstance(due_on, str) and day.isoformat() < due_on <= (day + DAY).isoformat()
        return account.changed_silently or (account.moved_silently and is_next)

    def _assert_receipts(self) -> None:
        """Each user of a root job has one receipt, in it or a retry job. Each grant in a receipt has landed."""
        jobs = self._queue_jobs()
        first = {
            (job_id, user_id) for job_id, job in jobs.items() if job["rootId"] == job_id for user_id in job["userIds"]
        }
        receipts = [
            ((job["rootId"], receipt["userId"]), receipt) for job in jobs.values() for receipt in job["receipts"]
        ]
        assert Counter(key for key, _ in receipts) == Counter(first)
        landed = {
            (landing.job_id, landing.user_id, landing.before, landing.credits) for landing in self.books.landings()
        }
        refreshed = {
            (*key, receipt["before"], receipt["after"])
            for key, receipt in receipts
            if receipt["outcome"] == "refreshed"
        }
        assert refreshed <= landed, "a receipt for a grant that never was"

    def _assert_runs(self) -> None:
        """One scan queues each user once per date. The counts of a run with one scan are those of its jobs."""
        jobs = self._queue_jobs()
        for run_id, run in self.world.all("credit_refresh_runs").items():
            built = [
                job
                for job_id, job in jobs.items()
                if job["runId"] == run_id
                and job["rootId"] == job_id
                and "-after-" not in job_id
                and "-later-" not in job_id
            ]
            for generation in range(run["generation"] + 1):
                of_scan = [job for job in built if job.get("generation", 0) == generation]
                users = [(user_id, job.get("localDate")) for job in of_scan for user_id in job["userIds"]]
                assert Counter(users) == Counter(set(users)), run_id
            if not run["generation"]:
                queued = sum(len(job["userIds"]) for job in built)
                assert (run["jobsCreated"], run["queuedUsers"]) == (len(built), queued), run_id

    def _queue_jobs(self) -> dict[str, Any]:
        """The jobs of builders and their retries, without the receipts of direct calls."""
        return {job_id: job for job_id, job in self.world.jobs().items() if "kind" not in job}

    # Calling the services

    def _build(self, scan="all", skew=timedelta(), mishap=NO_MISHAP, stop=None) -> BuildReport | None:
        moment = self.books.next_moment()
        report = self._call(lambda context: build(context, ScanRequest(scan), CALL_SECONDS), skew, mishap, stop)
        self._note_scans(moment)
        if report is not None and report.status == "completed":
            assert scan in ("auto", "due") or self.scans[report.run_id].scan in (scan, "adopt")
            self._assert_complete(report.run_id)
            self.seen["runs completed"] += 1
        return report

    def _note_scans(self, moment: int) -> None:
        """Note when each generation of a run was first seen. It reads users as they were then or later."""
        for run_id, run in self.world.all("credit_refresh_runs").items():
            known = self.scans.get(run_id)
            if known is None or (known.scan, known.generation) != (run["scan"], run["generation"]):
                self.scans[run_id] = SeenScan(run["scan"], run["generation"], moment)

    def _assert_complete(self, run_id: str) -> None:
        """Each user who has existed unchanged since before the scan began was granted or is in a job.

        Or the scan names the user: it was to adopt the user, and the write failed.
        """
        seen = self.scans[run_id]
        unwritten = {error["userId"] for error in self.world.run(run_id)["errors"] if error["code"] == "write_failed"}
        queued = {
            user_id for job in self._queue_jobs().values() if job["runId"] == run_id for user_id in job["userIds"]
        }
        for user_id, account in self.books.open.items():
            scanned = seen.scan == "all" or (seen.scan == "due" and self._is_found(account, run_id))
            changed = max(account.touched, account.moved_at if self.books.is_found_by_balance(account) else 0)
            if scanned and changed < seen.moment and self.books.is_owed(account, date.fromisoformat(run_id)):
                assert user_id in queued | unwritten, f"{user_id} was left out of the run {run_id}"

    def _is_found(self, account: Account, run_id: str) -> bool:
        """True if a `due` scan meets the user, by date or by balance."""
        due_on = account.due_on
        if due_on == WHEN_LOW:
            return self.books.is_found_by_balance(account)  # else the app changed the plan without setting `dueOn`
        return isinstance(due_on, str) and due_on <= run_id

    def _work(self, jobs_max=1000, skew=timedelta(), mishap=NO_MISHAP, stop=None) -> WorkReport | None:
        before, counts, had_requests = self._settled(), self._counts(), self._has_open_requests()
        report = self._call(lambda context: work(context, jobs_max, CALL_SECONDS), skew, mishap, stop)
        settled = self._settled()
        self._assert_grants_have_receipts(settled)
        ended = [job for job_id, job in settled.items() if job_id not in before]
        if report is not None and mishap.interruption is None and not (had_requests or report.requested):
            tally = {"refreshedUsers": report.tally.refreshed, "skippedUsers": report.tally.skipped}
            assert Counter(tally | {"failedUsers": report.tally.failed}) == self._counts() - counts
            assert report.completed + report.failed == len(ended) <= report.claimed <= jobs_max
        return report

    def _assert_grants_have_receipts(self, settled: Mapping[str, Any]) -> None:
        """Check the receipt of each user's latest grant. It says `refreshed`, whichever worker went on after a crash.

        It says `failed` if another worker gave the job up while the worker that made the grant was still running. There
        is none while the job is open, and none in the jobs of scans for a direct refresh.
        """
        receipts = {
            (job["rootId"], receipt["userId"]): receipt["outcome"]
            for job in settled.values()
            for receipt in job["receipts"]
        }
        outcomes = {
            user_id: receipts.get((account.job_id, user_id))
            for user_id, account in self.books.open.items()
            if not account.restored
        }
        assert set(outcomes.values()) <= {"refreshed", "failed", None}, outcomes

    def _settled(self) -> dict[str, Any]:
        return {job_id: job for job_id, job in self._queue_jobs().items() if "visibleAt" not in job}

    def _has_open_requests(self) -> bool:
        return any("kind" in job and "visibleAt" in job for job in self.world.jobs().values())

    def _counts(self) -> Counter[str]:
        """Users by outcome over all jobs. A requeued job keeps counting users it settled before."""
        counts: Counter[str] = Counter()
        for job in self._queue_jobs().values():
            counts.update({name: job.get(name, 0) for name in ("refreshedUsers", "skippedUsers", "failedUsers")})
        return counts

    def _refresh(
        self, call: Callable[[Context], PageReport], skew: timedelta = timedelta(), mishap: Mishap = NO_MISHAP
    ) -> PageReport | None:
        before = self._grants()
        report = self._call(call, skew, mishap)
        if report is not None and mishap.interruption is None:
            assert report.tally.refreshed == self._grants() - before
            assert report.tally.processed == report.total
        return report

    def _deliver(self, event: SignUp, skew: timedelta = timedelta(), mishap: Mishap = NO_MISHAP) -> None:
        self._call(lambda context: take_event(context, event.event_id, None, event.document), skew, mishap)
        self.seen["events of sign-ups"] += 1

    def _grants(self) -> int:
        """How many grants have landed. Adoptions are not counted, because reports count them as skipped."""
        return sum(landing.credits is not None for landing in self.books.landings())

    def _call(self, call: Callable[[Context], Any], skew: timedelta, mishap: Mishap, stop: int | None = None) -> Any:
        """The answer of a process that makes the call, or None if the process ended or the database failed."""
        interruption = mishap.interruption
        self.watched.arm(self._plan(mishap), None if interruption is None else self._event(interruption))
        try:
            return self._on(self.watched, call, skew, stop)
        except (ProcessEnded, SystemFailureError) as exc:
            if mishap.trouble is None and mishap.spoiled is None:
                raise
            self.seen["calls that crashed" if isinstance(exc, ProcessEnded) else "calls that failed"] += 1
            return None

    def _plan(self, mishap: Mishap) -> FaultPlan:
        if mishap.trouble is not None:
            return mishap.trouble.plan()
        if mishap.spoiled is not None and self._users:
            who, code = mishap.spoiled
            return Spoiled(self._user(who), code).plan()
        return lambda _number, _method, _request: None

    def _on(self, watched: Watched, call: Callable[[Context], Any], skew: timedelta, stop: int | None = None) -> Any:
        connection = self.connections[id(watched)]
        connection = replace(connection, breaker=Breaker(self.world.settings.breaker_failures, 60))
        clock = lambda: self.now + skew  # noqa: E731
        self.called_at = clock()
        context = Context(
            self.world.settings,
            self.world.plans,
            Wire(connection, Budget.of(CALL_SECONDS), Cost()),
            clock,
            StopSignal(stop),
            self.world.draw,
        )
        return call(context)

    # What happens during a call

    def _event(self, interruption: Interruption) -> tuple[Moment, Callable[[], None]]:
        def happen() -> None:
            self.seen[f"during a call: {interruption.event}"] += 1
            self._happen(interruption.event, interruption.who)

        return interruption.when, happen

    def _happen(self, event: Event, who: int) -> None:
        match event:
            case Event.WORK:
                self._interrupt(lambda context: work(context, 1000, CALL_SECONDS))
            case Event.BUILD:
                self.now += LONGER_THAN_LEASE
                moment = self.books.next_moment()
                self._interrupt(lambda context: build(context, ScanRequest.ALL, CALL_SECONDS))
                self._note_scans(moment)  # else the next build would seem to have begun this scan
            case Event.OVERTAKE:
                self.now += LONGER_THAN_LEASE
                self._interrupt(lambda context: work(context, 1000, CALL_SECONDS))
            case Event.STALL:
                self.now += LONGER_THAN_LEASE
            case Event.SLEEP:
                self.now += DAY
            case Event.PAUSE:
                self.world.pause()
            case _ if self._users:
                self._happen_to(self._user(who), event)

    def _happen_to(self, user_id: str, event: Event) -> None:
        match event:
            case Event.SPEND:
                self.app.spend(user_id, 3, increment=True)
            case Event.CHANGE_PLAN:
                self.app.change_plan(user_id, "weekly", self._today)
            case Event.HOP:
                self.app.hop(user_id, _zone_after(self.books.open[user_id].zone), None, asks=False)
            case Event.PAUSE_USER:
                self.app.pause(user_id, paused=True)
            case Event.BREAK:
                self.app.break_balance(user_id, "12")
            case Event.CORRECT:
                self.app.correct(user_id, 5)
            case Event.MAKE_AGAIN:
                self.app.delete(user_id)
                self.app.sign_up(user_id, "adder", 100, None)
            case Event.DELETE:
                self.app.delete(user_id)
            case Event.REFRESH:
                self._interrupt(lambda context: refresh_named(context, [user_id]))

    def _interrupt(self, call: Callable[[Context], Any]) -> None:
        """Another process makes this call in the middle of the first one's."""
        called_at = self.called_at
        self._on(self.interrupting, call, timedelta())
        self.called_at = min(called_at, self.called_at)

    # Booking

    def _book_landing(self, landing: Landing) -> None:
        """Book a grant or adoption that took effect, for the days that it may have been made for."""
        account = self.books.open.get(landing.user_id)
        self.books.land(landing, [] if account is None else self._days_of(landing, account))
        self.seen["grants" if landing.credits is not None else "adoptions"] += 1

    def _book_mending(self, mending: Mending) -> None:
        self.books.mend(mending)
        self.seen["stamps mended"] += 1

    def _count_fault(self, fault: str) -> None:
        self.seen[fault] += 1

    def _days_of(self, landing: Landing, account: Account) -> list[date]:
        """The user's dates that a grant may be for. It is never a date that has not begun for the user.

        A job of a scan grants its own date. If it was requeued or is an old one, it grants the present date. A grant
        without such a job is for the present date.
        """
        present = self.books.dates_between(account, self.called_at, self.now + SKEW)
        job = None if landing.job_id is None else self.world.get(f"credit_refresh_jobs/{landing.job_id}")
        if landing.job_id is None:  # a stamp without a grant; a job of an earlier date may have made it
            earlier = 2 if self.books.zoned else 1
            return [*(present[0] - number * DAY for number in range(earlier, 0, -1)), *present]
        if job is None or "kind" in job:
            return present
        # A worker that stalls during its call may find that the job has become an old one.
        own, latest = date.fromisoformat(job["runId"]), self.books.day(self.now + SKEW)
        wanted = date.fromisoformat(job.get("localDate") or job["runId"])
        begun = [min(wanted, day) for day in present]
        requeues = (other.get("requeues") for other in self._queue_jobs().values() if other["rootId"] == landing.job_id)
        return [*begun, *present] if any(requeues) or own < latest - DAY else begun

    # Who and when

    @property
    def _users(self) -> Sequence[str]:
        return sorted(self.books.open)

    @property
    def _sound_users(self) -> Sequence[str]:
        return [user_id for user_id in self._users if not self.books.open[user_id].is_broken]

    def _user(self, number: int) -> str:
        return self._users[number % len(self._users)]

    def _sign_up(self, plan: str, initial: str, *, created: bool, credits_held: float, zone: str | None) -> None:
        self.signed_up += 1
        self.app.sign_up(f"{initial}{self.signed_up}", plan, credits_held, self.now if created else None, zone)

    @property
    def _today(self) -> date:
        return self.books.day(self.now)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.books.zone).astimezone(UTC)


def _zone_after(zone: str | None) -> str:
    return ZONES[0] if zone is None else ZONES[(ZONES.index(zone) + 1) % len(ZONES)]


def run_histories(machine: type[Days], chosen: int, histories: int, steps: int) -> None:
    """Run this many histories of this many steps, drawn by the seed. A failure shows the shortest failing history."""
    run_state_machine_as_test(
        seed(chosen)(machine),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
