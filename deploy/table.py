"""The table of functions (`functions.toml`). It must match the schedule and main.py."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deploy.files import BUNDLE, DEPLOYED
from shared.core.errors import ConfigurationError
from shared.monitor.timetable import ScheduledJob

FUNCTIONS_FILE = DEPLOYED / "functions.toml"
EVENT_SECONDS_MAX = 540  # Google's limit for a function with an event trigger

Text = Annotated[str, Field(pattern=r"^[^\s,]+$")]


class DeployedFunction(BaseModel):
    """One row: a Cloud Function."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entry_point: Annotated[str, Field(pattern=r"^credit_refresh[a-z_]*$")]
    account: Literal["runtime", "monitor"]
    public: bool = False
    trigger: Literal["http", "firestore"] = "http"
    memory: Annotated[str, Field(pattern=r"^[0-9]+(Mi|Gi)$")]
    cpu: Annotated[int, Field(ge=1, le=8)]
    concurrency: Annotated[int, Field(ge=1, le=1000)]
    max_instances: Annotated[int, Field(ge=1, le=1000)]
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)]
    ingress: Literal["all", "internal-only", "internal-and-gclb"] | None = None
    vpc_connector: Text | None = None
    egress: Literal["private-ranges-only", "all"] | None = None
    kms_key: Text | None = None
    docker_repository: Text | None = None

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        if self.trigger != "http" and self.timeout_seconds > EVENT_SECONDS_MAX:
            raise ValueError(
                f"timeout_seconds {self.timeout_seconds}: an event function has {EVENT_SECONDS_MAX} at most"
            )
        if self.egress and not self.vpc_connector:
            raise ValueError("egress: which traffic goes through the vpc_connector; there is none")
        if bool(self.kms_key) != bool(self.docker_repository):
            raise ValueError("kms_key and docker_repository go together: images are kept in a repository with that key")
        return self

    @property
    def requests_at_once(self) -> int:
        """How many requests the function takes at a time."""
        return self.concurrency * self.max_instances


class _Table(BaseModel):
    """The file: its rows, and defaults for all rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    defaults: dict[str, Any] = {}
    function: Annotated[list[DeployedFunction], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _fill_up(cls, table: Any) -> Any:
        rows = table.get("function")
        if not isinstance(rows, list):
            return table
        return {**table, "function": [{**table.get("defaults", {}), **row} for row in rows]}


def read_functions(path: Path = FUNCTIONS_FILE) -> Sequence[DeployedFunction]:
    """The rows. Raises ConfigurationError that names every problem."""
    try:
        return tuple(_Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).function)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError([f"{path.name} can't be read: {exc}"]) from exc
    except ValidationError as exc:
        problems = [f"{path.name}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors()]
        raise ConfigurationError(problems) from exc


def check(functions: Sequence[DeployedFunction], jobs: Sequence[ScheduledJob]) -> None:
    """Check that the tables match each other and main.py. Raises ConfigurationError that names every problem."""
    by_name = {function.entry_point: function for function in functions}
    problems = [f"functions.toml: main.py has no {name}" for name in sorted(by_name.keys() - entry_points())]
    problems += [f"functions.toml: no row for main.py's {name}" for name in sorted(entry_points() - by_name.keys())]
    for job in jobs:
        problems += _problems(job, by_name.get(job.function))
    if problems:
        raise ConfigurationError(problems)


def entry_points() -> set[str]:
    """The entry points of main.py. The file is parsed and not run."""
    body = ast.parse((BUNDLE / "main.py").read_text(encoding="utf-8")).body
    assigned = [node for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return set(ast.literal_eval(assigned[0].value)) if assigned else set()


def _problems(job: ScheduledJob, function: DeployedFunction | None) -> list[str]:
    row = f"schedule.toml, {job.name}"
    if function is None:
        return [f"{row}: functions.toml has no {job.function}"]
    problems = []
    if function.trigger != "http" or function.public:
        problems.append(f"{row}: {job.function} is not a private HTTP function")
    if job.deadline_seconds > function.timeout_seconds:
        problems.append(
            f"{row}: deadline_seconds {job.deadline_seconds} is longer than {job.function}'s timeout_seconds "
            f"{function.timeout_seconds} in functions.toml"
        )
    if job.workers > function.requests_at_once:
        problems.append(
            f"{row}: {job.workers} workers are more than the {function.requests_at_once} {job.function} takes at once; "
            "raise its max_instances in functions.toml, within the region's CPU quota (often 20 vCPU for the project)"
        )
    return problems
