"""The schedule table (`schedule.toml`): what Cloud Scheduler calls, when, and with what."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from croniter import croniter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.core.errors import ConfigurationError
from shared.settings import zone_name

SCHEDULE_FILE = Path(__file__).resolve().parent.parent / "schedule.toml"
PROCESS_MS_DEFAULT = 60_000  # of a body without processTime
GAPS_LOOKED_AT = 50


def _cron(expression: str) -> str:
    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise ValueError(f"{expression!r} is not a cron expression of five fields such as */5 * * * *")
    return expression


class ScheduledJob(BaseModel):
    """One row: a function called by the clock. `workers`: so many calls side by side."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,60}$")]
    cron: Annotated[str, AfterValidator(_cron)]
    function: Annotated[str, Field(pattern=r"^credit_refresh[a-z_]*$")]
    body: dict[str, Any] = {}
    time_zone: Annotated[str, AfterValidator(zone_name)] | None = None
    deadline_seconds: Annotated[int, Field(ge=15, le=1800)]
    retries: Annotated[int, Field(ge=0, le=5)] = 0
    workers: Annotated[int, Field(ge=1, le=20)] = 1

    @model_validator(mode="after")
    def _leaves_time_to_answer(self) -> Self:
        process_ms = self.body.get("processTime", PROCESS_MS_DEFAULT)
        if type(process_ms) is int and process_ms >= self.deadline_seconds * 1000:
            raise ValueError(
                f"deadline_seconds {self.deadline_seconds} must be longer than processTime {process_ms} ms"
            )
        return self

    def next_run(self, now: datetime, zone: str) -> datetime:
        """The first moment after `now` at which it is due, in UTC. `zone`: of a row that names none."""
        return self._runs(now, zone, 1)[0]

    def interval(self, now: datetime, zone: str) -> timedelta:
        """The longest gap between the next so many runs."""
        runs = self._runs(now, zone, GAPS_LOOKED_AT)
        return max(later - earlier for earlier, later in pairwise(runs))

    def _runs(self, now: datetime, zone: str, number: int) -> list[datetime]:
        runs = croniter(self.cron, now.astimezone(ZoneInfo(self.time_zone or zone)), ret_type=datetime)
        return [runs.get_next().astimezone(UTC) for _ in range(number)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    job: Annotated[list[ScheduledJob], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [job.name for job in self.job]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two jobs are named {', '.join(sorted(twice))}")
        return self


@lru_cache(maxsize=8)
def read_timetable(path: Path = SCHEDULE_FILE) -> Sequence[ScheduledJob]:
    """The rows of the table. Raises ConfigurationError naming every problem."""
    try:
        return tuple(_Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).job)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError([f"{path.name} can't be read: {exc.__class__.__name__}"]) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([f"{path.name} is not TOML: {exc}"]) from exc
    except ValidationError as exc:
        raise ConfigurationError([_message(path.name, problem) for problem in exc.errors()]) from exc


def _message(file: str, problem: Any) -> str:
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
    return f"{file}: {where + ': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
