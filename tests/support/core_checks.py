"""Checks of the core's promises on small worlds. Each check causes some faults and then examines everything.

The checks are used twice. The code must pass them, whichever call fails. Code without one of its guards must fail them.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

import grpc

from shared.core.errors import SystemFailureError
from shared.core.packing import FlushLimits
from shared.core.runs import ScanCounts
from shared.services.limits import Limits
from shared.services.reports import BuildReport, WorkReport
from shared.services.work import Worker
from shared.store import wire
from shared.store.budget import Budget
from tests.support.faults import FaultPlan, Mode, ProcessEnded, WireError, either, first_write_of, nth, on_user
from tests.support.invariants import assert_settled
from tests.support.spender import spend
from tests.support.world import MIDNIGHT, World, population

R = TypeVar("R")

WORKED_AT = MIDNIGHT + timedelta(hours=22)  # every slot has begun
LATER = timedelta(minutes=10)  # longer than every lease and back-off
CALLS_MAX = 12  # calls of a service until nothing is left to do
TRIES = 2  # tries of one call; with two there is a first and a last try
ALLOWANCE = 10
PERIODS = {"adder": "2026-11-22"}
USERS = 6  # three to a job, one job to a commit, two jobs to a flush: 0 1 2 and 3, then 4 5
FLUSH_LIMITS = FlushLimits(flush_jobs=2, commit_jobs=1)
SPENDER, DELETED, PAUSED, BAD = "user00000", "user00001", "user00002", "user00003"
SPOILED = "user00004"  # in the worker's first call the database fails on this user's write

# The promises. If one does not hold, this is the message.
BALANCES = "balances are exact"
STAMPS = "every grant is stamped"
RECEIPTS = "one receipt a user"
TRUTH = "receipts and stamps agree"
ROOT_JOBS = "every due user is in one job of the builder"
RUN = "the run counts what its jobs hold"
ROLLUPS = "roll-ups are what jobs add up to"
COUNTS = "a job counts its receipts, and who left for a retry"
AT_REST = "no job is open"
DEAD_LETTER = "a job that kills its workers becomes a dead letter"
ANSWERS = "answers add up to what was done"


def assert_promise(promise: str, expected: Any, actual: Any, *, about: object = "") -> None:
    """Assert that both are equal. For mappings the message shows only the differences."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        names = {name for name in {*expected, *actual} if expected.get(name) != actual.get(name)}
        expected = {name: expected.get(name) for name in sorted(names)}
        actual = {name: actual.get(name) for name in sorted(names)}
    assert expected == actual, f"{promise}: expected {expected}, found {actual} {about}"


@contextmanager
def small_steps(lanes: int = 1) -> Iterator[None]:
    """Set small pages, flushes and numbers of tries, so that a few users cause every kind of call."""
    with ExitStack() as stack:
        limits = Limits(page_users=3, flush=FLUSH_LIMITS, grant_rounds=2, lanes=lanes)
        stack.enter_context(patch.object(World, "limits_default", limits))
        stack.enter_context(patch.object(wire, "TRIES_MAX", TRIES))
        yield


@contextmanager
def note_circumstances(**circumstances: Any) -> Iterator[None]:
    """Add the circumstances to the message of a failed check."""
    try:
        yield
    except BaseException as exc:
        exc.add_note(f"under: {circumstances}")
        raise


def no_fault(_number: int, _method: str, _request: Any) -> None:
    """The plan of a wire without faults."""


@dataclass
class Day:
    """One day in a small world. Calls may fail and are repeated later. The app spends meanwhile."""

    world: World = field(default_factory=lambda: World(job_size=3, slot_seconds=86_400))
    users: dict[str, dict[str, Any]] = field(default_factory=lambda: population(USERS))
    outcomes: dict[str, str] = field(default_factory=dict)  # outcomes of users who are not refreshed
    spent: Counter[str] = field(default_factory=Counter)
    built: list[BuildReport] = field(default_factory=list)
    worked: list[WorkReport] = field(default_factory=list)
    died: set[str] = field(default_factory=set)  # services of which a call gave no answer
    calls: list[str] = field(default_factory=list)  # methods that the last service call over a faulty wire called

    def __post_init__(self) -> None:
        self.world.users(self.users)

    # Actions

    def attempt(self, service: str, call: Callable[[], R], plan: FaultPlan) -> list[R]:
        """Make one service call over a faulty wire. Returns a list with its report; it is empty if the call died."""
        with self.world.faulty(plan) as faults:
            try:
                return [call()]
            except (ProcessEnded, SystemFailureError):
                self.died.add(service)
                return []
            finally:
                self.calls = faults.calls

    def build(self, *plans: FaultPlan) -> None:
        """Call the builder once with each of these faults, and then without faults until the run is complete."""
        for number, plan in enumerate(plans or [no_fault]):
            now = MIDNIGHT + number * LATER
            self.built += self.attempt("build", partial(self.world.build, now), plan)
            self.spend()
        for number in range(len(plans), CALLS_MAX):
            if self.built and not self.built[-1].has_more:
                return
            self.built.append(self.world.build(MIDNIGHT + number * LATER))

    def work(self, *plans: FaultPlan) -> None:
        """Call the worker once with each of these faults, and then without faults until no job is left."""
        for number, plan in enumerate(plans or [no_fault]):
            now = WORKED_AT + number * LATER
            self.worked += self.attempt("work", partial(self.world.work, now), plan)
            self.spend()
        for number in range(max(1, len(plans)), CALLS_MAX):
            self.worked.append(self.world.work(WORKED_AT + number * LATER))
            if not self.worked[-1].claimed:
                return

    def spend(self) -> None:
        """Let one user spend a credit."""
        assert spend(self.world, SPENDER)
        self.spent[SPENDER] += 1

    def disturb(self) -> None:
        """Delete one user, pause one, and give one a bad balance. This is called between builder and worker."""
        self.world.delete(f"users/{DELETED}")
        self.world.update(f"users/{PAUSED}", creditRefresh={"paused": True})
        self.world.update(f"users/{BAD}", credits="ten")
        self.outcomes = {DELETED: "skipped", PAUSED: "skipped", BAD: "failed"}

    # Checks

    def check(self) -> None:
        """Check every promise at the end of the day, when no job is open."""
        jobs, run, users = self.world.jobs(), self.world.run(), self.world.all("users")
        self._check_users(users)
        assert_promise(AT_REST, set(), {job["status"] for job in jobs.values()} - {"completed", "failed"})
        self._check_run(jobs, run)
        self._check_rollups(jobs)
        self._check_receipts(jobs, users)
        self._check_answers(jobs, run)

    def _check_users(self, users: dict[str, dict[str, Any]]) -> None:
        refreshed = [user_id for user_id in self.users if user_id not in self.outcomes]
        before = {user_id: self.users[user_id]["credits"] - self.spent[user_id] for user_id in refreshed}
        assert_promise(
            BALANCES,
            {user_id: balance + ALLOWANCE for user_id, balance in before.items()},
            {user_id: users[user_id]["credits"] for user_id in refreshed},
        )
        periods = {user_id: user.get("creditRefresh", {}).get("periods") for user_id, user in users.items()}
        assert_promise(
            STAMPS, dict.fromkeys(refreshed, PERIODS), {name: found for name, found in periods.items() if found}
        )

    def _check_receipts(self, jobs: dict[str, dict[str, Any]], users: dict[str, dict[str, Any]]) -> None:
        receipts = [(job, receipt) for job in jobs.values() for receipt in job["receipts"]]
        expected = Counter((user_id, self.outcomes.get(user_id, "refreshed")) for user_id in self.users)
        assert_promise(RECEIPTS, expected, Counter((receipt["userId"], receipt["outcome"]) for _, receipt in receipts))
        for job_id, job in jobs.items():
            outcomes = Counter(receipt["outcome"] for receipt in job["receipts"])
            counted = Counter({name: job[f"{name}Users"] for name in ("refreshed", "skipped", "failed")})
            assert_promise(COUNTS, outcomes, +counted, about=job_id)
            assert_promise(COUNTS, len(job["userIds"]), outcomes.total() + job["retriedUsers"], about=job_id)
        for job, receipt in receipts:
            if receipt["outcome"] == "refreshed":
                stamp = users[receipt["userId"]]["creditRefresh"]
                granted = (stamp["jobId"], stamp["before"], stamp["before"] + stamp["granted"])
                assert_promise(
                    TRUTH, granted, (job["rootId"], receipt["before"], receipt["after"]), about=receipt["userId"]
                )

    def _check_run(self, jobs: dict[str, dict[str, Any]], run: dict[str, Any]) -> None:
        roots = {job_id: job for job_id, job in jobs.items() if job["rootId"] == job_id}
        queued = Counter(user_id for job in roots.values() for user_id in job["userIds"])
        assert_promise(ROOT_JOBS, Counter(dict.fromkeys(self.users, 1)), queued)
        assert_promise(
            RUN, ("completed", len(self.users), len(roots)), (run["status"], run["queuedUsers"], run["jobsCreated"])
        )

    def _check_rollups(self, jobs: dict[str, dict[str, Any]]) -> None:
        names = ("refreshedUsers", "skippedUsers", "failedUsers", "retriedUsers", "conflicts", "reads", "writes")
        scanned = {name: sum(job[name] for job in jobs.values()) for name in names}
        ends = Counter(job["status"] for job in jobs.values())
        scanned |= {"completedJobs": ends["completed"], "failedJobs": ends["failed"]}
        rollup = self.world.rollup()
        assert_promise(ROLLUPS, scanned, {name: rollup.get(name, 0) for name in scanned})

    def _check_answers(self, jobs: dict[str, dict[str, Any]], run: dict[str, Any]) -> None:
        """Check that all reports together have everything once. A call that died gave no report."""
        counts = sum((report.counts for report in self.built), ScanCounts())
        scanned = {name: run[name] for name in ("scannedUsers", "queuedUsers", "skippedUsers", "failedUsers")}
        answered = dict(zip(scanned, (counts.scanned, counts.queued, counts.skipped, counts.failed), strict=True))
        self._check_answers_of(
            "build", {**scanned, "jobs": run["jobsCreated"]}, {**answered, "jobs": counts.jobs_created}
        )
        done = Counter(
            refreshed=sum(job["refreshedUsers"] for job in jobs.values()),
            skipped=sum(job["skippedUsers"] for job in jobs.values()),
            failed=sum(job["failedUsers"] for job in jobs.values()),
            completed_jobs=sum(job["status"] == "completed" for job in jobs.values()),
            failed_jobs=sum(job["status"] == "failed" for job in jobs.values()),
            retry_jobs=sum(job["retryJobId"] is not None for job in jobs.values()),
        )
        answers = Counter(
            refreshed=sum(report.tally.refreshed for report in self.worked),
            skipped=sum(report.tally.skipped for report in self.worked),
            failed=sum(report.tally.failed for report in self.worked),
            completed_jobs=sum(report.completed for report in self.worked),
            failed_jobs=sum(report.failed for report in self.worked),
            retry_jobs=sum(report.retried for report in self.worked),
        )
        self._check_answers_of("work", done, answers)

    def _check_answers_of(self, service: str, done: dict[str, int], answers: dict[str, int]) -> None:
        is_incomplete = service in self.died
        assert_promise(
            ANSWERS, {name: min(done[name], answers[name]) for name in done} if is_incomplete else done, answers
        )


# The checks


def a_quiet_day() -> None:
    """No call fails. Each user is granted once, except users who are deleted, paused or have bad data."""
    day = Day()
    day.build()
    day.disturb()
    day.work()
    day.check()


def what_is_spent_between_builder_and_worker_stays_spent() -> None:
    """The worker's snapshots of users who spent are out of date."""
    day = Day()
    day.build()
    day.spend()
    day.work()
    day.check()


def a_lost_reply_grants_nothing_twice() -> None:
    """The write lands, its reply is lost, and the call is tried again."""
    day = Day()
    day.build()
    day.work(first_write_of("users", Mode.LOST))
    day.check()


def a_worker_killed_before_settling_grants_nothing_twice() -> None:
    """The job's users are granted, but the job is not settled. Another worker does it again."""
    day = Day()
    day.build()
    day.work(nth("Commit", 2, Mode.ENDED))
    day.check()


def calling_everything_again_grants_nothing() -> None:
    """Builder, worker and direct refresh are called again at the end of the day."""
    day = Day()
    day.build()
    day.work()
    day.world.build(WORKED_AT)
    day.world.work(WORKED_AT)
    day.world.refresh(*day.users, now=WORKED_AT)
    day.world.page(now=WORKED_AT)
    day.check()


def an_overtaken_worker_changes_nothing() -> None:
    """A worker is slower than its lease. Meanwhile another worker does the jobs and a user spends."""
    day = Day()
    day.build()
    slow = Worker(day.world.context(WORKED_AT), 1000, 60)
    claims = slow._queue.claim(slow._queue.find_due(10))
    day.worked.append(day.world.work(WORKED_AT + LATER))
    day.spend()
    settled = [slow._attempt(claim, Budget.of(60)).settlement for claim in claims]
    assert_promise(ANSWERS, [None] * len(claims), settled)
    day.check()


def racing_workers_share_the_jobs() -> None:
    """Three workers run at the same time."""
    day = Day()
    day.build()
    workers = [threading.Thread(target=lambda: day.worked.append(day.world.work(WORKED_AT))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    day.check()


def a_job_that_kills_its_workers_becomes_a_dead_letter() -> None:
    """After the last attempt the job waits for a person."""
    world = World(slot_seconds=86_400, max_attempts=2)
    world.users(population(3))
    world.build()
    for number in range(5):
        with world.faulty(on_user("user00001", Mode.ENDED)), suppress(ProcessEnded):
            world.work(WORKED_AT + number * LATER)
    assert_promise(DEAD_LETTER, {"failed"}, {job["status"] for job in world.jobs().values()})
    assert_settled(world)


def a_builder_dying_at_any_commit_loses_and_doubles_nobody() -> None:
    """The process ends before or after every Commit of the builder."""
    for mode, number in at_every_commit(lambda day: day.build(), (Mode.ENDED, Mode.ENDED_AFTER)):
        with note_circumstances(mode=mode, commit=number):
            day = Day()
            day.build(nth("Commit", number, mode))
            day.work()
            day.check()


def a_worker_failing_at_any_commit_loses_and_doubles_nobody() -> None:
    """At each Commit of the worker the process ends or the reply is lost. One user leaves for a retry job."""
    for mode, number in at_every_commit(work_a_day, (Mode.ENDED, Mode.ENDED_AFTER, Mode.LOST)):
        with note_circumstances(mode=mode, commit=number):
            work_a_day(Day(), nth("Commit", number, mode)).check()


def work_a_day(day: Day, plan: FaultPlan = no_fault) -> Day:
    """Call the builder, disturb users, and call the worker with faults. Writes of one user fail in its first call."""
    day.build()
    day.disturb()
    day.work(either(plan, on_user(SPOILED, WireError(grpc.StatusCode.INTERNAL))))
    return day


def at_every_commit(live: Callable[[Day], Any], modes: Sequence[Mode]) -> Iterator[tuple[Mode, int]]:
    """Each Commit of the last service call on such a day, with every mode."""
    day = Day()
    live(day)
    yield from itertools.product(modes, range(1, day.calls.count("Commit") + 1))


CHECKS = (
    a_quiet_day,
    what_is_spent_between_builder_and_worker_stays_spent,
    a_lost_reply_grants_nothing_twice,
    a_worker_killed_before_settling_grants_nothing_twice,
    calling_everything_again_grants_nothing,
    an_overtaken_worker_changes_nothing,
    racing_workers_share_the_jobs,
    a_job_that_kills_its_workers_becomes_a_dead_letter,
    a_builder_dying_at_any_commit_loses_and_doubles_nobody,
    a_worker_failing_at_any_commit_loses_and_doubles_nobody,
)
