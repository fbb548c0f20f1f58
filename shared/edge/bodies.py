"""The request bodies: strict types, known keys, ranges. The monitor's bodies are in `shared/monitor/bodies.py`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from shared.core.runs import ScanRequest
from shared.store.job_documents import is_document_id

D = TypeVar("D", bound=date)  # a datetime is one too

NAMED_USERS_MAX = 1000
CURSOR_CHARACTERS_MAX = 13_000  # the cursor of the longest user id has 12,012
AS_OF_EXPECTED = "expected a time like 2026-11-22T10:00:00Z"


def _as_of(value: Any) -> Any:
    if not isinstance(value, str) or "T" not in value:
        raise ValueError(AS_OF_EXPECTED)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(AS_OF_EXPECTED) from None


def in_reach(value: D) -> D:
    """A day or time for which periods and runs can be computed. Raises ValueError for any other."""
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


AsOf = Annotated[AwareDatetime, BeforeValidator(_as_of), AfterValidator(in_reach)]
UserIds = Annotated[list[str], Field(min_length=1, max_length=NAMED_USERS_MAX), AfterValidator(_user_ids)]
Milliseconds = Annotated[int, Field(ge=1000, le=1_800_000)]


class Body(BaseModel):
    """What every POST accepts. `as_of` is the clock of the call, on the emulator only."""

    # Validators are built at first use: an instance serves one function and does not need the others' validators.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True)

    as_of: AsOf | None = None

    @property
    def process_seconds(self) -> float:
        """The time budget in seconds."""
        return 60.0


class TimedBody(Body):
    """What a POST with a time budget accepts."""

    process_time: Milliseconds = 60_000

    @property
    def process_seconds(self) -> float:
        return self.process_time / 1000


class DirectBody(Body):
    """One page of users, or named users. One of the three fields says which."""

    batch_size: Annotated[int, Field(ge=1, le=1000)] = 300
    cursor: Annotated[str, Field(min_length=1, max_length=CURSOR_CHARACTERS_MAX)] | None = None
    user_ids: UserIds | None = None

    @model_validator(mode="after")
    def _check_exclusive_fields(self) -> Self:
        if self.user_ids is not None and self.cursor is not None:
            raise ValueError("userIds and cursor exclude each other")
        return self

    @property
    def says_whom(self) -> bool:
        """True if the body says which users. JavaScript sends `{"userIds": undefined}` as {}: that is not all users."""
        return self.user_ids is not None or not self.model_fields_set.isdisjoint({"batch_size", "cursor"})


class QueueBody(TimedBody):
    """One call of the queue builder."""

    scan: Annotated[ScanRequest, BeforeValidator(_scan)] = ScanRequest.ALL
    create_jobs: bool = True


class WorkerBody(TimedBody):
    """One call of the worker."""

    max_jobs: Annotated[int, Field(ge=1, le=1000)] = 1000
