"""Figures: what each settled job adds to its run's roll-up. With the roll-up a view of the run need not read jobs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from shared.core.decision import SkipReason
from shared.core.jobs import JobStatus, Settlement
from shared.core.outcomes import Outcome, OutcomeKind
from shared.core.service_level import Served, is_on_time

HOURS_MAX = 60  # hours of a run: its day and the day after, when its jobs are superseded
DURATION_RATIO = 1.25  # ratio of the bounds of two neighbouring classes of durations
DURATION_CLASSES_MAX = 60  # the last one ends after ten minutes
NAMES = (
    "refreshedUsers",
    "skippedUsers",
    "failedUsers",
    "retriedUsers",
    "onTimeUsers",
    "lateUsers",
    "conflicts",
    "processingMs",
    "reads",
    "writes",
)
MAPS = ("doneByHour", "jobsByDuration", "errorsByCode", "failedJobsByCode", "supersededByGeneration")


@dataclass(frozen=True, slots=True)
class Effort:
    """What an attempt cost."""

    processing_ms: int
    conflicts: int
    reads: int
    writes: int


def figures_of(settlement: Settlement, effort: Effort) -> dict[str, int]:
    """The figures of one settlement; the keys are NAMES."""
    tally, served = settlement.tally, served_by(settlement)
    return {
        "refreshedUsers": tally.refreshed,
        "skippedUsers": tally.skipped if settlement.job.kind is None else 0,  # users without a receipt are not counted
        "failedUsers": tally.failed,
        "retriedUsers": sum(len(job.user_ids) for job in settlement.left_to),
        "onTimeUsers": served.on_time,
        "lateUsers": served.late,
        "conflicts": effort.conflicts,
        "processingMs": effort.processing_ms,
        "reads": effort.reads,
        "writes": effort.writes,
    }


def served_by(settlement: Settlement) -> Served:
    """Users refreshed within the promised time, and late ones. Users with nothing to do are in neither count."""
    job = settlement.job
    refreshed = settlement.tally.refreshed
    on_time = refreshed if is_on_time(job.promised_at, settlement.ended_at) else 0
    return Served(on_time, refreshed - on_time + sum(map(_was_missed, settlement.outcomes)))


def _was_missed(outcome: Outcome) -> bool:
    failed = outcome.kind is OutcomeKind.FAILED and bool(outcome.user_id)
    return failed or outcome.reason is SkipReason.SUPERSEDED


def sum_figures(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The sum, name by name."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def rolled_up(settlement: Settlement, figures: Mapping[str, int], day_start: datetime) -> dict[str, int]:
    """The increments of the run's roll-up, by field path."""
    ended = "failedJobs" if settlement.job.status is JobStatus.FAILED else "completedJobs"
    codes = Counter(str(outcome.code) for outcome in settlement.outcomes if outcome.kind is OutcomeKind.FAILED)
    return {
        **figures,
        ended: 1,
        "retryJobs": len(settlement.left_to),
        f"doneByHour.{hour_name(settlement.ended_at, day_start)}": settlement.tally.processed,
        f"jobsByDuration.{duration_class(figures['processingMs'])}": 1,
        **{f"errorsByCode.{code}": users for code, users in codes.items()},
        **{f"failedJobsByCode.{code}": 1 for code in codes},
        **_superseded(settlement),
    }


def _superseded(settlement: Settlement) -> dict[str, int]:
    """Users whom the job left to newer jobs, by the job's generation: a newer scan of the day counts them again."""
    users = sum(outcome.reason is SkipReason.SUPERSEDED for outcome in settlement.outcomes)
    return {f"supersededByGeneration.g{settlement.job.generation}": users} if users else {}


@dataclass(frozen=True, slots=True)
class RequeuePlan:
    """How a failed job is requeued: users tried again, receipts kept, and amounts subtracted from the roll-up."""

    user_ids: tuple[str, ...]
    receipts: tuple[Mapping[str, Any], ...]
    taken_back: Mapping[str, int]  # negative increments of the roll-up, by field path


def plan_requeue(
    receipts: Sequence[Mapping[str, Any]], codes: Mapping[str, str | None], ended_at: datetime, day_start: datetime
) -> RequeuePlan:
    """Plan the requeue of a failed job: users who failed become pending again. `codes`: error codes by user id.

    Where no receipt says who failed, all users of the job are tried again.
    """
    failed = tuple(str(receipt.get("userId")) for receipt in receipts if _has_failed(receipt))
    stand = tuple(receipt for receipt in receipts if not _has_failed(receipt))
    counted = Counter(str(code) for user_id, code in codes.items() if not failed or user_id in failed)
    back = {"failedUsers": len(failed), "lateUsers": len(failed), "failedJobs": 1}
    back[f"doneByHour.{hour_name(ended_at, day_start)}"] = len(failed)
    back |= {f"errorsByCode.{code}": users for code, users in counted.items()}
    back |= {f"failedJobsByCode.{code}": 1 for code in counted}
    return RequeuePlan(failed, stand, {path: -amount for path, amount in back.items()})


def _has_failed(receipt: Mapping[str, Any]) -> bool:
    return receipt.get("outcome") == OutcomeKind.FAILED


def hour_name(instant: datetime, day_start: datetime) -> str:
    """The number of hours since the run's day began, as a field name: h00, h01, …"""
    hours = (instant - day_start) // timedelta(hours=1)
    return f"h{min(max(hours, 0), HOURS_MAX):02d}"


def duration_class(milliseconds: int) -> str:
    """The class of a duration, as a field name: b00 ends at 1 ms; each class ends a quarter later than the last."""
    number = 0 if milliseconds <= 1 else math.ceil(math.log(milliseconds) / math.log(DURATION_RATIO) - 1e-9)
    return f"b{min(number, DURATION_CLASSES_MAX):02d}"


@dataclass(frozen=True, slots=True)
class Rollup:
    """What the settled jobs of a run add up to. Hours since the day began; durations by class; failed users, and jobs
    that hold some, by the code of the error; users left to newer jobs, by the generation of the job that left them."""

    figures: Mapping[str, int] = field(default_factory=dict)
    done_by_hour: Mapping[int, int] = field(default_factory=dict)
    jobs_by_duration: Mapping[int, int] = field(default_factory=dict)
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    failed_jobs_by_code: Mapping[str, int] = field(default_factory=dict)
    superseded_by_generation: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, shards: list[dict[str, Any]]) -> Self:
        """The sum of the shards' documents. Values that are not numbers are ignored."""
        flat: Counter[str] = Counter()
        maps: dict[str, Counter[str]] = {name: Counter() for name in MAPS}
        for shard in shards:
            flat.update({name: value for name, value in shard.items() if isinstance(value, int)})
            for name, total in maps.items():
                total.update({key: value for key, value in shard.get(name, {}).items() if isinstance(value, int)})
        return cls(
            dict(flat),
            {int(name[1:]): users for name, users in maps["doneByHour"].items() if users},
            {int(name[1:]): jobs for name, jobs in maps["jobsByDuration"].items() if jobs},
            {code: users for code, users in maps["errorsByCode"].items() if users},
            {code: jobs for code, jobs in maps["failedJobsByCode"].items() if jobs > 0},
            {int(name[1:]): users for name, users in maps["supersededByGeneration"].items() if users},
        )

    def __getitem__(self, name: str) -> int:
        return max(0, self.figures.get(name, 0))

    @property
    def served(self) -> Served:
        return Served(self["onTimeUsers"], self["lateUsers"])

    @property
    def settled_jobs(self) -> int:
        return self["completedJobs"] + self["failedJobs"]

    @property
    def average_ms(self) -> float | None:
        return self["processingMs"] / self.settled_jobs if self.settled_jobs else None

    def percentile_ms(self, share: float) -> int | None:
        """The duration within which this fraction of jobs ended: the upper bound of a class, exact to a quarter."""
        jobs = sum(self.jobs_by_duration.values())
        seen = 0
        for number in sorted(self.jobs_by_duration):
            seen += self.jobs_by_duration[number]
            if seen >= share * jobs:
                return round(DURATION_RATIO**number)
        return None
