"""The services' reports. The edge turns them into answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.core.outcomes import Outcome, Tally
from shared.core.ranges import Cursor
from shared.core.runs import Scan, ScanCounts

ERRORS_SHOWN_MAX = 100


@dataclass(slots=True)
class Errors:
    """Users who failed: the first hundred in detail, and the number of all."""

    shown: list[Mapping[str, Any]] = field(default_factory=list)
    total: int = 0

    def add(self, errors: Sequence[Mapping[str, Any]]) -> None:
        self.shown += errors[: max(0, ERRORS_SHOWN_MAX - len(self.shown))]
        self.total += len(errors)

    def merge(self, other: Errors) -> None:
        self.shown += other.shown[: max(0, ERRORS_SHOWN_MAX - len(self.shown))]
        self.total += other.total


class BuildStatus(StrEnum):
    """The state of the day's run."""

    COMPLETED = "completed"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """One call of the builder. `counts` and `errors` are this call's own; `scan` is None if no run is known."""

    run_id: str
    status: BuildStatus
    scan: Scan | None = None
    scan_reason: str = ""
    counts: ScanCounts = field(default_factory=ScanCounts)
    cursor: Cursor | None = None
    errors: Errors = field(default_factory=Errors)

    @property
    def has_more(self) -> bool:
        return self.status is not BuildStatus.COMPLETED


@dataclass(slots=True)
class WorkReport:
    """One call of the worker. It counts what the worker settled, not what it only tried."""

    requested: int = 0  # users who asked for a refresh and were handled, whatever came of it
    claimed: int = 0
    completed: int = 0
    retried: int = 0
    failed: int = 0
    tally: Tally = field(default_factory=Tally)
    conflicts: int = 0
    has_more: bool = False
    errors: Errors = field(default_factory=Errors)


@dataclass(frozen=True, slots=True)
class PageReport:
    """One direct refresh. `after`: the last user of the page. `has_more`: there may be users after it."""

    total: int
    tally: Tally
    errors: Errors
    after: str | None
    has_more: bool

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], after: str | None, *, has_more: bool) -> PageReport:
        errors = Errors()
        errors.add([outcome.as_error() for outcome in outcomes if outcome.code is not None])
        return cls(len(outcomes), Tally.of(outcomes), errors, after, has_more)
