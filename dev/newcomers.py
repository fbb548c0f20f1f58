"""Plays the app: users sign up during the day, and users change their plan and ask for its credits."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dev.database import Change, Database, update_time_ns
from dev.loading import LoadedUsers
from dev.oracle import Outcome, Rules, expect
from dev.user_events import EventSender
from shared.store.values import get_fields, get_time

ACT_SECONDS = 86_400 - 600  # the app stops before the last calls of the day
NEWCOMERS_SHARE = 0.01
NEWCOMERS_MIN = 3
UPGRADES_SHARE = 0.3  # of the users who get nothing on their own plan
READ_MAX = 300
ROUNDS_MAX = 50


@dataclass(frozen=True, slots=True)
class SignUp:
    """A new user, who is created at this second of the day."""

    second: int
    user_id: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A user who changes to this plan at this second of the day."""

    second: int
    index: int
    plan: str


class Newcomers:
    """Makes planned sign-ups and upgrades on time. Keeps the new state of each user in `loaded.changed`."""

    def __init__(self, database: Database, loaded: LoadedUsers, day: date, sender: EventSender) -> None:
        self._database = database
        self._loaded = loaded
        self._day = day
        self._sender = sender
        rng = random.Random(f"newcomers {day}")
        acts: list[SignUp | Upgrade] = [*plan_sign_ups(rng, loaded, day), *plan_upgrades(rng, database, loaded, day)]
        self._acts = sorted(acts, key=lambda act: act.second)
        self.signed_up = 0
        self.upgraded = 0

    def for_day(self, loaded: LoadedUsers, day: date) -> Newcomers:
        """The newcomers of another day."""
        return Newcomers(self._database, loaded, day, self._sender)

    def act_until(self, second: int) -> None:
        """Make all sign-ups and upgrades planned up to and including this second of the day."""
        while self._acts and self._acts[0].second <= second:
            act = self._acts.pop(0)
            if isinstance(act, SignUp):
                self._sign_up(act, second)
            else:
                self._upgrade(act)

    def _sign_up(self, act: SignUp, second: int) -> None:
        """Create the document and send its event to the function."""
        index = len(self._loaded.index_of)
        self._loaded.index_of[act.user_id] = index
        self._loaded.changed[index] = act.document
        self._database.create("users", [(act.user_id, act.document)])
        created = self._database.read("users", [act.user_id], list(act.document))[act.user_id]
        self._sender.send(created, as_of=midnight(self._day) + timedelta(seconds=second))
        self.signed_up += 1

    def _upgrade(self, act: Upgrade) -> None:
        """Change the plan and request a refresh in one guarded write. Repeat it if the document has changed."""
        user_id = self._loaded.population.user_id(act.index)
        for _ in range(ROUNDS_MAX):
            document = self._database.read("users", [user_id], ["creditRefresh"])[user_id]
            stamp = {**get_fields(document.fields).get("creditRefresh", {}), "refreshRequested": True}
            change = Change(user_id, {"plan": act.plan, "creditRefresh": stamp}, update_time_ns(document))
            if self._database.change("users", [change]) == [True]:
                self._loaded.changed[act.index] = {**self._loaded.document(act.index), "plan": act.plan}
                self.upgraded += 1
                return
        raise RuntimeError(f"{user_id} changes all the time")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def plan_sign_ups(rng: random.Random, loaded: LoadedUsers, day: date) -> Iterator[SignUp]:
    """Some new users during the day, on any plan or without one."""
    users = loaded.population.users
    for number in range(max(NEWCOMERS_MIN, round(users * NEWCOMERS_SHARE))):
        second = rng.randrange(ACT_SECONDS)
        document: dict[str, Any] = {
            "credits": rng.choice([0, 0, 10]),
            "email": f"new{number}@example.com",
            "createdAt": midnight(day) + timedelta(seconds=second),
        }
        plan = rng.choice([None, *loaded.population.rules.plans])
        yield SignUp(second, f"new-{day}-{number}", document if plan is None else {**document, "plan": plan})


def plan_upgrades(rng: random.Random, database: Database, loaded: LoadedUsers, day: date) -> Iterator[Upgrade]:
    """Some users who get nothing on their own plan change to a plan that grants."""
    population = loaded.population
    candidates = [index for index in range(population.odd_users, population.users) if rng.random() < UPGRADES_SHARE]
    for chunk in (candidates[at : at + READ_MAX] for at in range(0, len(candidates), READ_MAX)):
        ids = {population.user_id(index): index for index in chunk}
        for user_id, document in database.read("users", list(ids), ["credits"]).items():
            start = loaded.document(ids[user_id])
            plan = better_plan(population.rules, start, get_time(document.create_time), day)
            if plan is not None:
                yield Upgrade(rng.randrange(ACT_SECONDS), ids[user_id], plan)


def better_plan(rules: Rules, start: dict[str, Any], create_time: datetime, day: date) -> str | None:
    """Another plan that grants today. None if the user's own plan grants, or if no plan does."""
    if expect(rules, start, create_time, day).outcome is not Outcome.SKIPPED:
        return None
    others: Sequence[str] = [name for name in rules.plans if name != start.get("plan", rules.default)]
    outcomes = {name: expect(rules, {**start, "plan": name}, create_time, day).outcome for name in others}
    return next((name for name, outcome in outcomes.items() if outcome is Outcome.REFRESHED), None)
