"""What the monitor is asked: a query's keys, and an operator's actions."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.core.users import parse_date
from shared.edge.bodies import Body, UserIds, in_reach
from shared.store.job_documents import is_document_id

REASON_CHARACTERS_MAX = 500
HEALTH_SECONDS_MAX = 4.0
VIEW_SECONDS_MAX = 20.0
ACTION_SECONDS_MAX = 40.0  # a requeue or a refresh of a thousand users takes some of it


def _day(value: Any) -> Any:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise ValueError("expected a date like 2026-11-22")
    return in_reach(day)


def _document_id(value: str) -> str:
    if not is_document_id(value):
        raise ValueError("not the id of a document")
    return value


Day = Annotated[date, BeforeValidator(_day)]
DocumentId = Annotated[str, AfterValidator(_document_id)]


class HealthQuery(Body):
    """What a GET of /health asks."""

    @property
    def process_seconds(self) -> float:
        """Short: an uptime check gives up after ten seconds."""
        return HEALTH_SECONDS_MAX


class MonitorQuery(Body):
    """What a GET of the monitor asks: a run's statistics, or with `userId` one user's story."""

    run_id: Day | None = None
    user_id: DocumentId | None = None
    before: Day | None = None

    @property
    def process_seconds(self) -> float:
        """Well below the platform's time-out, and below what the page waits for."""
        return VIEW_SECONDS_MAX

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.before is not None and self.user_id is None:
            raise ValueError("before goes with userId")
        if self.run_id is not None and self.user_id is not None:
            raise ValueError("runId and userId exclude each other")
        return self


class Action(StrEnum):
    """The operator's levers."""

    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue"
    RESCAN = "rescan"
    REFRESH = "refresh"


# What each action is about: any one of these fields; None: of none of them.
_OBJECTS: dict[Action, tuple[str | None, ...]] = {
    Action.PAUSE: (None, "user_id"),
    Action.RESUME: (None, "user_id"),
    Action.REQUEUE: ("job_id", "run_id"),
    Action.RESCAN: ("run_id",),
    Action.REFRESH: ("user_ids",),
}


def _action(value: Any) -> Any:
    if isinstance(value, str) and value in list(Action):
        return Action(value)
    raise ValueError(f"expected one of {', '.join(Action)}")


class ActionBody(Body):
    """One pull of a lever, and what it is about."""

    action: Annotated[Action, BeforeValidator(_action)]
    job_id: DocumentId | None = None
    run_id: Day | None = None
    user_id: DocumentId | None = None
    user_ids: UserIds | None = None
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)] | None = None

    @property
    def process_seconds(self) -> float:
        """Below the platform's time-out: whoever acts is told what came of it."""
        return ACTION_SECONDS_MAX

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> Self:
        wanted = _OBJECTS[self.action]
        given = [name for name in ("job_id", "run_id", "user_id", "user_ids") if getattr(self, name) is not None]
        if (given[0] if given else None) not in wanted or len(given) > 1:
            names = " or ".join("nothing" if name is None else to_camel(name) for name in wanted)
            raise ValueError(f"{self.action} takes {names}")
        return self
