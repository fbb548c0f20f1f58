"""Statistics of a run: pure sums of what its builder and its roll-up say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.figures import HOURS_MAX, Rollup
from shared.core.runs import Billed, Run
from shared.core.service_level import DAYS, Served

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Users:
    """A run's users by how they stand. `failed` holds those the builder found, too."""

    refreshed: int
    skipped: int
    failed: int
    pending: int

    @property
    def success_rate(self) -> float | None:
        """Of the settled, those who did not fail; None while there are none."""
        settled = self.refreshed + self.skipped + self.failed
        return (self.refreshed + self.skipped) / settled if settled else None


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour since the day began: users planned for it, and users settled in it."""

    number: int
    start: datetime
    planned: int
    done: int


def users_of(run: Run | None, rollup: Rollup) -> Users:
    refreshed, skipped, failed = (rollup[name] for name in ("refreshedUsers", "skippedUsers", "failedUsers"))
    queued, unreadable = (0, 0) if run is None else (run.counts.queued, run.counts.failed)
    return Users(refreshed, skipped, failed + unreadable, max(0, queued - refreshed - skipped - failed))


def pending_jobs(counted: int, counted_max: int, run: Run | None, rollup: Rollup, processing: int) -> int:
    """As counted; where only the first so many were counted, all that were made less those that went on."""
    if counted < counted_max or run is None:
        return counted
    return max(counted, run.counts.jobs_created + rollup["retryJobs"] - rollup.settled_jobs - processing)


def hours_of(run: Run | None, rollup: Rollup, day_start: datetime, day_end: datetime) -> list[Hour]:
    """The hours of the local day, 23 to 25 of them, and as many more as work was done in."""
    planned = {} if run is None else run.planned_by_hour
    hours = max((day_end - day_start) // HOUR, *(number + 1 for number in (*planned, *rollup.done_by_hour)), 0)
    return [
        Hour(number, day_start + number * HOUR, planned.get(number, 0), rollup.done_by_hour.get(number, 0))
        for number in range(min(hours, HOURS_MAX + 1))
    ]


def errors_by_code(run: Run | None, rollup: Rollup) -> dict[str, int]:
    """Failed users by the code of their error, the builder's and the worker's."""
    total = Counter(rollup.errors_by_code)
    total.update({} if run is None else run.errors_by_code)
    return {code: users for code, users in total.most_common() if users > 0}


def served_lately(run: Run | None, rollup: Rollup) -> Served:
    """How the users of the last days, the run's own included, were served."""
    before = [] if run is None else [entry.served for entry in run.history][-(DAYS - 1) :]
    return sum(before, rollup.served)


def billed_of(run: Run | None, rollup: Rollup) -> Billed:
    """What the run has cost so far, builder and workers."""
    return (Billed() if run is None else run.billed) + Billed(rollup["reads"], rollup["writes"])


def dollars(billed: Billed, price_read: float, price_write: float) -> float:
    """Prices are dollars per 100,000."""
    return (billed.reads * price_read + billed.writes * price_write) / 100_000
