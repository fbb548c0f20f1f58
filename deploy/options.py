"""The options of `deploy.toml`. They are for the deployment only; the functions don't see them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.core.errors import ConfigurationError

LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
EMAIL = r"[^@\s,/]+@[^@\s,/]+"
AlertTarget = Annotated[str, Field(pattern=rf"^({EMAIL}|projects/[^/\s]+/notificationChannels/[^/\s]+)$")]
ServiceAccount = Annotated[str, Field(pattern=r"^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$")]


class Options(BaseModel):
    """The keys of the file. Each may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    region: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")] | None = None
    labels: dict[LabelKey, LabelValue] = {}
    notify: list[AlertTarget] = []
    callers: list[ServiceAccount] = []
    user_trigger: Literal["created", "written"] = "created"
    uptime_minutes: Literal[1, 5, 10, 15] | None = None
    budget_usd_per_day: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)] | None = None


def read_options(path: Path) -> Options:
    """The options of a file. Raises ConfigurationError that names every problem."""
    try:
        return Options.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError([f"{path.name} can't be read: {exc}"]) from exc
    except ValidationError as exc:
        problems = [f"{path.name}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors()]
        raise ConfigurationError(problems) from exc
