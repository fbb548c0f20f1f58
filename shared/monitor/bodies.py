"""What the monitor is asked: a query's keys, and an operator's actions."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.core.users import parse_date
from shared.edge.bodies import AsOf, Body, UserIds, in_reach
from shared.store.job_documents import is_document_id

REASON_CHARACTERS_MAX = 500
HEALTH_SECONDS_MAX = 4.0
VIEW_SECONDS_MAX = 20.0
ACTION_SECONDS_MAX = 40.0  # a requeue or a refresh of a thousand users takes some of it

E = TypeVar("E", bound=StrEnum)


def _day(value: Any) -> Any:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise ValueError("expected a date like 2026-11-22")
    return in_reach(day)


def _document_id(value: str) -> str:
    if not is_document_id(value):
        raise ValueError("not the id of a document")
    return value


def _one_of(kind: type[E]) -> BeforeValidator:
    def read(value: Any) -> Any:
        if isinstance(value, str) and value in list(kind):
            return kind(value)
        raise ValueError(f"expected one of {', '.join(kind)}")

    return BeforeValidator(read)


Day = Annotated[date, BeforeValidator(_day)]
DocumentId = Annotated[str, AfterValidator(_document_id)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]


class ViewName(StrEnum):
    """What a GET can ask for beside the overview, a user and a job."""

    FAILURES = "failures"
    DAYS = "days"
    ACTIVITY = "activity"
    REQUEUE_PREVIEW = "requeue-preview"
    RESCAN_PREVIEW = "rescan-preview"


# The keys that each view takes beside `view`; `None`: a GET without a view.
_KEYS: dict[ViewName | None, frozenset[str]] = {
    None: frozenset({"run_id", "user_id", "before", "job_id"}),
    ViewName.FAILURES: frozenset({"run_id", "code", "cursor"}),
    ViewName.DAYS: frozenset(),
    ViewName.ACTIVITY: frozenset({"cursor", "actor", "action"}),
    ViewName.REQUEUE_PREVIEW: frozenset({"run_id", "job_id", "code"}),
    ViewName.RESCAN_PREVIEW: frozenset({"run_id"}),
}


class HealthQuery(Body):
    """What a GET of /health asks."""

    @property
    def process_seconds(self) -> float:
        """Short: an uptime check gives up after ten seconds."""
        return HEALTH_SECONDS_MAX


class MonitorQuery(Body):
    """What a GET of the monitor asks: a run's overview, with `userId` one user, with `jobId` one job, or a view."""

    view: Annotated[ViewName, _one_of(ViewName)] | None = None
    run_id: Day | None = None
    user_id: DocumentId | None = None
    job_id: DocumentId | None = None
    before: Day | None = None
    code: Code | None = None
    cursor: DocumentId | None = None
    actor: ShortText | None = None
    action: Code | None = None

    @property
    def process_seconds(self) -> float:
        """Well below the platform's time-out, and below what the page waits for."""
        return VIEW_SECONDS_MAX

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        given = {name for name in _ALL_KEYS if getattr(self, name) is not None}
        if foreign := sorted(given - _KEYS[self.view]):
            where = "without a view" if self.view is None else f"with view={self.view}"
            raise ValueError(f"{to_camel(foreign[0])} is not possible {where}")
        if self.before is not None and self.user_id is None:
            raise ValueError("before goes with userId")
        if len(given & {"run_id", "user_id", "job_id"}) > 1:
            raise ValueError("runId, userId and jobId exclude each other")
        return self


_ALL_KEYS = frozenset().union(*_KEYS.values())


class Action(StrEnum):
    """The operator's actions."""

    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue"
    RESCAN = "rescan"
    REFRESH = "refresh"


# What each action is about: exactly one of these fields; None: nothing at all.
OBJECTS: dict[Action, tuple[str | None, ...]] = {
    Action.PAUSE: (None, "user_id"),
    Action.RESUME: (None, "user_id"),
    Action.REQUEUE: ("job_id", "run_id"),
    Action.RESCAN: ("run_id",),
    Action.REFRESH: ("user_ids",),
}


class ActionBody(Body):
    """One action, and what it is about."""

    action: Annotated[Action, _one_of(Action)]
    job_id: DocumentId | None = None
    run_id: Day | None = None
    user_id: DocumentId | None = None
    user_ids: UserIds | None = None
    code: Code | None = None
    until: AsOf | None = None
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)] | None = None

    @property
    def process_seconds(self) -> float:
        """Below the platform's time-out: whoever acts is told what came of it."""
        return ACTION_SECONDS_MAX

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> Self:
        wanted = OBJECTS[self.action]
        given = [name for name in ("job_id", "run_id", "user_id", "user_ids") if getattr(self, name) is not None]
        if (given[0] if given else None) not in wanted or len(given) > 1:
            names = " or ".join("nothing" if name is None else to_camel(name) for name in wanted)
            raise ValueError(f"{self.action} takes {names}")
        if self.until is not None and (self.action is not Action.PAUSE or given):
            raise ValueError("until goes with a pause of the whole refresh")
        if self.code is not None and (self.action is not Action.REQUEUE or self.run_id is None):
            raise ValueError("code goes with a requeue of a run")
        return self
