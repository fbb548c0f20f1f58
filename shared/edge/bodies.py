"""The request bodies of the contract: strict types, known keys, ranges."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.core.runs import ScanRequest
from shared.core.users import parse_date
from shared.store.job_documents import is_document_id

NAMED_USERS_MAX = 1000
REASON_CHARACTERS_MAX = 500
CURSOR_CHARACTERS_MAX = 13_000  # the longest user id, escaped and encoded, makes 12,012
AS_OF_EXPECTED = "expected a time like 2026-11-22T10:00:00Z"


def _as_of(value: Any) -> Any:
    if not isinstance(value, str) or "T" not in value:
        raise ValueError(AS_OF_EXPECTED)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(AS_OF_EXPECTED) from None


def _in_reach(value: datetime) -> datetime:
    if not 1970 <= value.year <= 2999:
        raise ValueError("expected a year from 1970 to 2999")
    return value


def _user_ids(values: list[str]) -> list[str]:
    for position, value in enumerate(values):
        if not is_document_id(value):
            raise ValueError(f"entry {position} is not the id of a document")
    return list(dict.fromkeys(values))


def _scan(value: Any) -> Any:
    if isinstance(value, str) and value in list(ScanRequest):
        return ScanRequest(value)
    raise ValueError(f"expected one of {', '.join(ScanRequest)}")


AsOf = Annotated[AwareDatetime, BeforeValidator(_as_of), AfterValidator(_in_reach)]
UserIds = Annotated[list[str], Field(min_length=1, max_length=NAMED_USERS_MAX), AfterValidator(_user_ids)]
Milliseconds = Annotated[int, Field(ge=1000, le=1_800_000)]


class Body(BaseModel):
    """What every POST takes. `as_of` is the clock of the call, on the emulator only."""

    # Built at first use: an instance serves one function, and starts without what the others take.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True)

    as_of: AsOf | None = None

    @property
    def process_seconds(self) -> float:
        """The time budget."""
        return 60.0


class TimedBody(Body):
    """… and of those with a time budget."""

    process_time: Milliseconds = 60_000

    @property
    def process_seconds(self) -> float:
        return self.process_time / 1000


class DirectBody(Body):
    """One page of users, or the users named."""

    batch_size: Annotated[int, Field(ge=1, le=1000)] = 300
    cursor: Annotated[str, Field(min_length=1, max_length=CURSOR_CHARACTERS_MAX)] | None = None
    user_ids: UserIds | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.user_ids is not None and self.cursor is not None:
            raise ValueError("userIds and cursor exclude each other")
        return self


class QueueBody(TimedBody):
    """One call of the queue builder."""

    scan: Annotated[ScanRequest, BeforeValidator(_scan)] = ScanRequest.ALL
    create_jobs: bool = True


def _day(value: Any) -> Any:
    if isinstance(value, str) and (day := parse_date(value)) is not None:
        return day
    raise ValueError("expected a date like 2026-11-22")


def _document_id(value: str) -> str:
    if not is_document_id(value):
        raise ValueError("not the id of a document")
    return value


Day = Annotated[date, BeforeValidator(_day)]
DocumentId = Annotated[str, AfterValidator(_document_id)]


class MonitorQuery(Body):
    """What a GET of the monitor asks: a run's statistics, or with `userId` one user's story."""

    run_id: Day | None = None
    user_id: DocumentId | None = None
    before: Day | None = None

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

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> Self:
        wanted = _OBJECTS[self.action]
        given = [name for name in ("job_id", "run_id", "user_id", "user_ids") if getattr(self, name) is not None]
        if (given[0] if given else None) not in wanted or len(given) > 1:
            names = " or ".join("nothing" if name is None else to_camel(name) for name in wanted)
            raise ValueError(f"{self.action} takes {names}")
        return self


class WorkerBody(TimedBody):
    """One call of the worker."""

    max_jobs: Annotated[int, Field(ge=1, le=1000)] = 1000
