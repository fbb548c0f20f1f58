"""Statistics of a run: sums of what its builder and its roll-up say. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.core.figures import HOURS_MAX, Rollup
from shared.core.runs import Billed, Run, Scan
from shared.core.service_level import DAYS, ON_TIME_WITHIN, Served

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Users:
    """A run's users by outcome. `failed` includes those that the builder found."""

    refreshed: int
    skipped: int
    failed: int
    pending: int

    @property
    def success_rate(self) -> float | None:
        """The share (0 to 1) of settled users that did not fail; None while nobody is settled."""
        settled = self.refreshed + self.skipped + self.failed
        return (self.refreshed + self.skipped) / settled if settled else None


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day: `number` counts from the beginning of the day; users planned for it and settled in it."""

    number: int
    start: datetime
    planned: int
    done: int


def users_of(run: Run | None, rollup: Rollup) -> Users:
    """The run's users. Each counts once, as what the newest scan found: a rescan meets users again who failed, who were
    refreshed, or whose jobs it replaced."""
    refreshed, skipped, failed = (rollup[name] for name in ("refreshedUsers", "skippedUsers", "failedUsers"))
    if run is None:
        return Users(refreshed, skipped, failed, 0)
    queued = max(0, run.counts.queued - run.refreshed_before)
    refreshed = max(0, refreshed - run.refreshed_before)
    if run.generation:
        failed = max(0, failed - run.failed_before)
        replaced = sum(n for generation, n in rollup.superseded_by_generation.items() if generation < run.generation)
        skipped = min(skipped - replaced, max(0, queued - refreshed - failed))
    users = Users(refreshed, skipped, failed + run.counts.failed, max(0, queued - refreshed - skipped - failed))
    has_met_all = run.generation and run.scan is Scan.ALL and run.is_completed
    return _at_most(users, run.counts.scanned) if has_met_all else users


def _at_most(users: Users, scanned: int) -> Users:
    """The users, at most as many as a complete rescan met.

    If there are more, some users are in two jobs of the day. Either one of the jobs skipped the user, or both refreshed
    the user, because the app wiped the stamp or the plans changed in between.
    """
    beyond = max(0, users.refreshed + users.skipped + users.failed + users.pending - scanned)
    skipped = max(0, users.skipped - beyond)
    beyond -= users.skipped - skipped
    return replace(users, skipped=skipped, refreshed=max(0, users.refreshed - beyond))


def pending_jobs(counted: int, counted_max: int, run: Run | None, rollup: Rollup, processing: int) -> int:
    """The number of pending jobs. Counting stops at `counted_max`; above it, jobs made less jobs that went on."""
    if counted < counted_max or run is None:
        return counted
    return max(counted, run.counts.jobs_created + rollup["retryJobs"] - rollup.settled_jobs - processing)


def hours_of(run: Run | None, rollup: Rollup, day_start: datetime, day_end: datetime) -> list[Hour]:
    """The 23 to 25 hours of the local day, and further hours in which some of its users were settled."""
    planned = {} if run is None else run.planned_by_hour
    hours = max((day_end - day_start) // HOUR, *(number + 1 for number in (*planned, *rollup.done_by_hour)), 0)
    return [
        Hour(number, day_start + number * HOUR, planned.get(number, 0), rollup.done_by_hour.get(number, 0))
        for number in range(min(hours, HOURS_MAX + 1))
    ]


def errors_by_code(run: Run | None, rollup: Rollup) -> dict[str, int]:
    """Failed users by the code of their error, of builder and workers, most users first."""
    total = Counter(rollup.errors_by_code)
    total.update({} if run is None else run.errors_by_code)
    return {code: users for code, users in total.most_common() if users > 0}


def served_lately(run: Run | None, rollup: Rollup) -> Served:
    """How the users of the last 30 days were served, this run's included."""
    before = [] if run is None else [entry.served for entry in run.history][-(DAYS - 1) :]
    return sum(before, rollup.served)


def billed_of(run: Run | None, rollup: Rollup) -> Billed:
    """What the run has cost so far: builder and workers."""
    return (Billed() if run is None else run.billed) + Billed(rollup["reads"], rollup["writes"])


@dataclass(frozen=True, slots=True)
class PlanUsers:
    """The users of one plan whom the day's scans queued, and their share (0 to 1) of all whom they queued."""

    plan: str
    users: int
    share: float


def plans_of(run: Run | None) -> list[PlanUsers]:
    """The users queued by plan, most users first. Users who are not counted by plan are part of the whole."""
    if run is None or not run.counts.queued:
        return []
    by_plan = Counter(run.users_by_plan).most_common()
    return [PlanUsers(plan, users, users / run.counts.queued) for plan, users in by_plan if users]


@dataclass(frozen=True, slots=True)
class Cause:
    """One error code of a run: users that failed with it, jobs that hold some of them, and how many of the users the
    builder found (they are in no job)."""

    code: str
    users: int
    jobs: int
    found_by_builder: int


def causes_of(run: Run | None, rollup: Rollup) -> list[Cause]:
    """Failures by cause, most users first."""
    built = {} if run is None else run.errors_by_code
    return [
        Cause(code, users, rollup.failed_jobs_by_code.get(code, 0), built.get(code, 0))
        for code, users in errors_by_code(run, rollup).items()
    ]


def users_late(run: Run | None, rollup: Rollup, day_start: datetime, now: datetime) -> int:
    """How many users at least are late: planned for hours that ended more than half an hour ago, and not settled."""
    if run is None:
        return 0
    hours_over = (now - ON_TIME_WITHIN - day_start) // HOUR
    planned = sum(users for number, users in run.planned_by_hour.items() if number < hours_over)
    return max(0, planned - sum(rollup.done_by_hour.values()))
