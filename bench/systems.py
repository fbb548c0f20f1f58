"""The systems that are measured. Each refreshes every user of a ground once and says how long its worker took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from google.cloud import firestore

from bench.ground import BATCH, EVENING, MIDNIGHT, Ground, chunks
from shared.core.decision import Grant, decide
from shared.core.runs import Cursor, ScanRequest
from shared.core.users import read_user
from shared.services.build import build
from shared.services.context import user_fields
from shared.services.work import LANES, work
from shared.store.users import StampWrite, UserStore

PAGE = 3000


@dataclass(frozen=True, slots=True)
class Round:
    """One measured pass over the users of a ground."""

    users: int
    seconds: float
    cpu_seconds: float

    @property
    def users_a_second(self) -> float:
        return self.users / self.seconds


def timed(users: int, step: Callable[[], Any]) -> Round:
    """Run a step on the wall clock and on this process's CPU clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    step()
    return Round(users, time.perf_counter() - wall, time.process_time() - cpu)


def one_at_a_time(ground: Ground) -> Round:
    """One job per user, claimed one at a time: query for one, claim, read the user, write the user, complete."""
    ground.write({f"naive_jobs/{user_id}": {"userId": user_id, "status": "pending"} for user_id in ground.user_ids})
    client = firestore.Client(project=ground.settings.project)
    jobs, users = client.collection("naive_jobs"), client.collection("users")

    def loop() -> None:
        waiting = jobs.where(filter=firestore.FieldFilter("status", "==", "pending")).limit(1)
        while found := list(waiting.stream()):
            job = found[0]
            job.reference.update({"status": "processing"})
            user = users.document(job.get("userId"))
            balance = user.get().get("credits")
            user.update({"credits": max(balance, 50), "refreshedAt": EVENING})
            job.reference.update({"status": "completed"})

    return timed(len(ground.user_ids), loop)


def this_project(ground: Ground) -> Round:
    """Our worker, on the jobs our builder made."""
    build(ground.context(MIDNIGHT), ScanRequest.ALL, 3600)
    return timed(len(ground.user_ids), lambda: work(ground.context(EVENING), 1000, 3600))


def bare_batch_writes(ground: Ground) -> Round:
    """The ceiling: the same guarded updates in BatchWrite calls of 300, one after another, and nothing else."""
    store = UserStore(ground.wire(), user_fields(ground.settings))
    updates = tuple(_updates(ground, store))

    def send() -> None:
        for chunk in chunks(updates, BATCH):
            store.write(chunk)

    return timed(len(updates), send)


def bare_in_lanes(ground: Ground) -> Round:
    """What database and machine bear at most: the same calls, as many at a time as our worker has lanes."""
    store = UserStore(ground.wire(), user_fields(ground.settings))
    updates = tuple(_updates(ground, store))

    def send() -> None:
        with ThreadPoolExecutor(LANES) as lanes:
            list(lanes.map(store.write, chunks(updates, BATCH)))

    return timed(len(updates), send)


def _updates(ground: Ground, store: UserStore) -> Sequence[StampWrite]:
    """What our worker would write for every user, decided beforehand."""
    found, after = [], None
    while page := store.page(after, None, PAGE):
        found += page
        after = Cursor(page[-1].user_id)
    schedule, day = ground.settings.schedule, MIDNIGHT.date()
    updates = []
    for document in found:
        decision = decide(read_user(document.raw, schedule.zone), ground.plans, day, None)
        if not isinstance(decision, Grant):
            raise TypeError(f"{document.user_id} is not due")
        next_at = schedule.slot_start(decision.period.end, document.user_id)
        updates.append(StampWrite(document.user_id, document.update_time_ns, decision, "bare", EVENING, next_at))
    return updates
