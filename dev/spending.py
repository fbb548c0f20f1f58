"""Plays the app: users spend credits all day. Each spend is a guarded write."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dev.database import Change, Database, document_id, update_time_ns
from dev.oracle import Number, Spends, is_found_by_balance
from dev.population import EARLIER, Population
from shared.core.stagger import slot_seconds
from shared.store.values import get

SPENDERS_SHARE = 0.2
AT_THE_SLOT_SHARE = 0.4  # this share of spends is at the moment of the user's refresh
ROUNDS_MAX = 50
CHUNK = 100
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Spend:
    """One user spends an amount at a second of the day."""

    second: int
    index: int
    amount: Number


def plan_spends(population: Population, slot_width_seconds: int, number: int = 0) -> list[Spend]:
    """The spends of one of the days, in order of time. A fifth of the users spend, one to three times each."""
    rng = random.Random(f"spends {number}")
    spends = []
    for index in range(population.odd_users, population.users):
        if rng.random() < SPENDERS_SHARE:
            slot = slot_seconds(population.user_id(index), DAY_SECONDS, slot_width_seconds)
            for _ in range(rng.randint(1, 3)):
                at_slot = rng.random() < AT_THE_SLOT_SHARE
                second = slot if at_slot else rng.randrange(DAY_SECONDS)
                if second == 0 and is_found_by_balance(population.plan(index)):
                    second = 1  # at second 0 it would depend on the scan whether the user is full
                spends.append(Spend(second, index, rng.choice([1, 2, 5, 10, 0.25])))
    return sorted(spends, key=lambda spend: spend.second)


class Spender:
    """Makes the planned spends up to a moment. Records whether each was before or after the user's refresh."""

    def __init__(self, database: Database, population: Population, spends: Sequence[Spend], run_id: str) -> None:
        self._database = database
        self._population = population
        self._spends = spends
        self._run_id = run_id
        self._next = 0
        self._before: dict[int, list[Number]] = defaultdict(list)
        self._after: dict[int, list[Number]] = defaultdict(list)
        self.made = 0
        self.refused = 0  # because of too few credits
        self.conflicts = 0

    def spends_of(self, index: int) -> Spends:
        return Spends(self._before.get(index, ()), self._after.get(index, ()))

    def spend_until(self, second: int) -> None:
        """Make every spend planned up to and including this second of the day."""
        due = []
        while self._next < len(self._spends) and self._spends[self._next].second <= second:
            due.append(self._spends[self._next])
            self._next += 1
        for chunk in _one_a_user(due):
            self._spend(chunk)

    def _spend(self, spends: Sequence[Spend]) -> None:
        """Read, subtract, and write under a precondition. Repeat this for users whose documents changed in between."""
        pending = {self._population.user_id(spend.index): spend for spend in spends}
        for _ in range(ROUNDS_MAX):
            pending = self._round(pending)
            if not pending:
                return
        raise RuntimeError(f"{len(pending)} spends meet a conflict every time")

    def _round(self, pending: dict[str, Spend]) -> dict[str, Spend]:
        documents = self._database.read("users", list(pending), ["credits", "creditRefresh.jobId"])
        able = {one: spend for one, spend in pending.items() if _can_spend(_balance(documents[one]), spend.amount)}
        self.refused += len(pending) - len(able)
        if not able:
            return {}
        accepted = self._database.change("users", [_change(documents[one], spend) for one, spend in able.items()])
        for (one, spend), done in zip(able.items(), accepted, strict=True):
            if done:
                side = self._after if is_refreshed(documents[one], self._run_id) else self._before
                side[spend.index].append(spend.amount)
        self.made += sum(accepted)
        self.conflicts += accepted.count(False)
        return {one: spend for (one, spend), done in zip(able.items(), accepted, strict=True) if not done}


def is_refreshed(document: Any, run_id: str) -> bool:
    """True if the user was refreshed on this day: the stamp names a job of the run that is not from before the demo."""
    job_id = str(get(document.fields["creditRefresh"].map_value.fields["jobId"]))
    return job_id.startswith(f"{run_id}-") and not job_id.endswith(EARLIER)


def _balance(document: Any) -> Any:
    return get(document.fields["credits"])


def _change(document: Any, spend: Spend) -> Change:
    return Change(document_id(document), {"credits": _balance(document) - spend.amount}, update_time_ns(document))


def _can_spend(balance: Any, amount: Number) -> bool:
    return type(balance) in (int, float) and bool(math.isfinite(balance) and balance >= amount)


def _one_a_user(spends: Sequence[Spend]) -> Iterator[list[Spend]]:
    """Chunks of the spends. No chunk has the same user twice."""
    chunk: dict[int, Spend] = {}
    for spend in spends:
        if spend.index in chunk or len(chunk) == CHUNK:
            yield list(chunk.values())
            chunk = {}
        chunk[spend.index] = spend
    if chunk:
        yield list(chunk.values())
