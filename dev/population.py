"""A made-up population. Each user is computed from a number and the day, so users need not be stored."""

from __future__ import annotations

import hashlib
import math
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dev.oracle import WHEN_LOW, Interval, Rules, add_months, is_found_by_balance, period_of

ALPHABET = string.ascii_letters + string.digits
EARLIER = "-earlier"  # ids of jobs from before the demo end with this
FULL_SHARE = 0.7  # this share is full on a plan that leaves full users alone
ODD_SHARE = 10  # at most one in so many users is odd

# States of ordinary users, and how many of a hundred have each.
STATES = {"last_period": 56, "new": 14, "this_period": 10, "missed": 10, "paused": 4, "changed_plan": 6}

# Odd users with bad values. Their documents must not change (but for `dueOn`), and each must be reported.
BAD: dict[str, dict[str, Any]] = {
    "bad-balance-text": {"credits": "120"},
    "bad-balance-null": {"credits": None},
    "bad-balance-nan": {"credits": math.nan},
    "bad-balance-infinite": {"credits": -math.inf},
    "bad-balance-true": {"credits": True},
    "bad-balance-map": {"credits": {"amount": 120, "unit": "credits"}},
    "bad-balance-list": {"credits": [120]},
    "bad-balance-beyond-64-bits": {"credits": 1e300},
    "bad-plan-unknown": {"plan": "platinum"},
    "bad-plan-number": {"plan": 7},
    "bad-plan-empty": {"plan": ""},
    "bad-stamp-text": {"creditRefresh": "refreshed yesterday"},
    "bad-stamp-periods": {"creditRefresh": {"periods": ["free"]}},
    "bad-stamp-day": {"creditRefresh": {"periods": {"free": "yesterday"}}},
    "bad-stamp-day-number": {"creditRefresh": {"periods": {"free": 20261122}}},
    "bad-stamp-anchor": {"creditRefresh": {"anchor": "the 31st"}},
    "bad-stamp-paused": {"creditRefresh": {"paused": "yes"}},
}

# Odd users with unusual but valid documents.
UNUSUAL: dict[str, dict[str, Any]] = {
    "balance-negative": {"credits": -250},
    "balance-fraction": {"credits": 0.1 + 0.2},
    "balance-minus-zero": {"credits": -0.0},
    "balance-huge": {"credits": 2**62},
    "balance-hugely-overdrawn": {"credits": -(2**62)},
    "balance-largest": {"credits": 2**63 - 1},
    "balance-tiny": {"credits": 5e-324},
    "plan-null": {"plan": None},
    "stamp-null": {"creditRefresh": None},
    "stamp-empty": {"creditRefresh": {}},
    "created-text": {"createdAt": "2021-08-31T23:30:00+02:00"},
    "first.last@example.com": {},
    "an id with spaces": {},
    " leading and trailing ": {},
    "[brackets] {and} (others)": {},
    "emoji-🦊-👩‍🚀": {},
    "größe-大きさ-размер": {},
    "100%25 a+b&c=d?e#f~g": {},
    "`back\\ticks` 'and' \"quotes\"": {},
    "...": {},
    "__half": {},
    "0": {},
    "Same": {},
    "same": {},
    "long-" + "x" * 1000: {},
}
WITHOUT_BALANCE = [f"no-balance-{n}" for n in range(3)]


@dataclass(frozen=True, slots=True)
class Population:
    """This many users, as they are at the start of the day."""

    users: int
    day: date
    rules: Rules

    @property
    def odd_users(self) -> int:
        """How many users are odd. They have the lowest numbers."""
        return min(len(BAD) + len(UNUSUAL) + len(WITHOUT_BALANCE), self.users // ODD_SHARE)

    def user_id(self, index: int) -> str:
        if index < self.odd_users:
            return _odd_id(index)
        return _random_text(hashlib.blake2b(str(index).encode(), digest_size=21).digest())

    def document(self, index: int) -> dict[str, Any]:
        rng = random.Random(f"user {index}")
        ordinary = self._ordinary(rng, index)
        if index >= self.odd_users:
            return ordinary
        user_id = _odd_id(index)
        if user_id in WITHOUT_BALANCE:
            del ordinary["credits"]
        odd = {**BAD, **UNUSUAL}.get(user_id, {})
        if {"credits", "plan"} & odd.keys():
            ordinary.pop("creditRefresh", None)  # due on any plan
            ordinary.pop("plan", None)
        return {**ordinary, **odd}

    def plan(self, index: int) -> Mapping[str, Any]:
        """The rules of a user's plan. If there is no such plan, those of the default plan."""
        rules = self.rules
        return rules.plans.get(self.document(index).get("plan") or rules.default, rules.plans[rules.default])

    def _ordinary(self, rng: random.Random, index: int) -> dict[str, Any]:
        named = self._plan(rng)
        plan = named or self.rules.default
        created = self._sign_up_time(rng)
        document: dict[str, Any] = {
            "credits": _balance(rng, self.rules.plans[plan]),
            "email": f"user{index}@example.com",
            "profile": {"locale": rng.choice(["en", "de", "pt-BR"]), "tags": ["beta"] * rng.randint(0, 2)},
        }
        if named is not None:
            document["plan"] = named
        if rng.random() < 0.95:
            document["createdAt"] = created
        stamp = self._stamp(rng, plan, created.date())
        return {**document, "creditRefresh": stamp} if stamp else document

    def _plan(self, rng: random.Random) -> str | None:
        """A plan, or None for no plan field. More than half of the users are on the default plan."""
        if rng.random() < 0.1:
            return None
        others = [name for name in self.rules.plans if name != self.rules.default]
        return self.rules.default if rng.random() < 0.55 or not others else rng.choice(others)

    def _sign_up_time(self, rng: random.Random) -> datetime:
        """A time in the last years. For one user in six it is whole months ago, so a monthly period begins today."""
        day = self.day - timedelta(days=rng.randint(0, 1200))
        if rng.random() < 1 / 6:
            day = add_months(self.day, -rng.randint(1, 30))
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=rng.randint(0, 86_399))

    def _stamp(self, rng: random.Random, plan: str, anchor: date) -> dict[str, Any]:
        """The stamp of an earlier grant; empty if there was none."""
        state = rng.choices(list(STATES), list(STATES.values()))[0]
        current = self._period(plan, self.day, anchor)
        if state == "new" or current is None:
            return {}
        if state == "changed_plan":
            plan = rng.choice(list(self.rules.plans))
            return self._stamp_for_period(rng, plan, self._period(plan, self.day, anchor), anchor)
        if state == "this_period":
            return self._stamp_for_period(rng, plan, current, anchor)
        days = 1 if state != "missed" else rng.randint(2, 90)
        stamp = self._stamp_for_period(rng, plan, self._period(plan, current[0] - timedelta(days=days), anchor), anchor)
        return {**stamp, "paused": True} if state == "paused" else stamp

    def _stamp_for_period(self, rng: random.Random, plan: str, period: Interval | None, anchor: date) -> dict[str, Any]:
        if period is None:
            return {}
        start, end = period
        at = datetime(start.year, start.month, start.day, tzinfo=UTC)
        stamp = {
            "plan": plan,
            "periods": {plan: start.isoformat()},
            "dueOn": WHEN_LOW if is_found_by_balance(self.rules.plans[plan]) else end.isoformat(),
            "refreshedAt": at + timedelta(minutes=rng.randint(0, 20)),
            "nextAt": at + (end - start),
            "granted": rng.randint(0, 50),
            "before": rng.randint(0, 50),
            "jobId": f"{start}-{rng.randint(2, 9):05d}-{rng.randint(0, 99):03d}{EARLIER}",
        }
        return {**stamp, "anchor": anchor.isoformat()} if self.rules.plans[plan].get("anchor") == "signup" else stamp

    def _period(self, plan: str, day: date, anchor: date) -> Interval | None:
        return period_of(self.rules.plans[plan], day, anchor)


def _odd_id(index: int) -> str:
    """The id of an odd user. The kinds of odd users alternate, so a small population has users of each kind."""
    kinds = [list(BAD), list(UNUSUAL), WITHOUT_BALANCE]
    turns = max(map(len, kinds))
    return [kind[turn] for turn in range(turns) for kind in kinds if turn < len(kind)][index]


def _random_text(digest: bytes) -> str:
    """28 letters and digits, like ids of Firebase."""
    number, text = int.from_bytes(digest, "big"), ""
    for _ in range(28):
        number, rest = divmod(number, len(ALPHABET))
        text += ALPHABET[rest]
    return text


def _balance(rng: random.Random, plan: Mapping[str, Any]) -> int | float:
    draw, allowance = rng.random(), plan["allowance"]
    if is_found_by_balance(plan) and draw > 1 - FULL_SHARE:
        return int(allowance)
    if draw < 0.02:
        return -rng.randint(1, 100)
    if draw < 0.05:
        return rng.randint(0, 4 * allowance) / 4
    return rng.randint(0, 2 * allowance) if draw < 0.1 else rng.randint(0, allowance)
