"""What is deployed, and where: the project, its kind of credit, and the files that say how.

A folder of a project may hold its own settings.env, deploy.toml, functions.toml, schedule.toml and plans.toml. A file
that the folder lacks is the bundle's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.files import BUNDLE, DEPLOYED, read_environment, read_json, settings_of
from deploy.kind import Kind
from deploy.options import Options, read_options
from deploy.table import DeployedFunction, check, read_functions
from shared.core.errors import ConfigurationError
from shared.monitor.timetable import ScheduledJob, read_timetable
from shared.settings import Settings

SCHEDULE = "shared/schedule.toml"  # in the bundle, and in what is uploaded
PLANS = "plans.toml"


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that the command line and the files say."""

    project: str
    environment: Mapping[str, str]
    options: Options
    functions: Sequence[DeployedFunction]
    jobs: Sequence[ScheduledJob]
    replaced: Mapping[str, Path]  # files of the bundle, and the folder's own in place of them

    @property
    def settings(self) -> Settings:
        return settings_of(self.environment)

    @property
    def kind(self) -> Kind:
        return Kind(self.settings.collection_prefix)

    def account(self, short_name: str) -> str:
        return self.kind.account(short_name, self.project)

    def names(self, *, private: bool = False) -> list[str]:
        """The functions' names; with `private`, of those that want a token."""
        return [self.kind.function(each.entry_point) for each in self.functions if not (private and each.public)]


def read_setup(project: str, folder: Path | None, env_file: Path, notify: Sequence[str] = ()) -> Setup:
    """Reads all files and checks that they fit together. Raises ConfigurationError naming what does not fit."""

    def own(name: str, otherwise: Path) -> Path:
        return folder / name if folder is not None and (folder / name).is_file() else otherwise

    schedule, plans = own("schedule.toml", BUNDLE / SCHEDULE), own(PLANS, BUNDLE / PLANS)
    environment = read_environment(env_file, project, plans)
    told = read_options(own("deploy.toml", DEPLOYED / "deploy.toml"))
    options = Options.model_validate({**told.model_dump(), "notify": [*told.notify, *notify]})
    functions = read_functions(own("functions.toml", DEPLOYED / "functions.toml"))
    jobs = read_timetable(schedule)
    check(functions, jobs)
    setup = Setup(project, environment, options, functions, jobs, {SCHEDULE: schedule, PLANS: plans})
    if problems := setup.kind.problems() + _names_of_jobs(setup):
        raise ConfigurationError(problems)
    return setup


def _names_of_jobs(setup: Setup) -> list[str]:
    names = [setup.kind.job(job.name) for job in setup.jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"schedule.toml: two rows become the scheduler job {name}; rename one" for name in twice]


def save(path: Path, project: str, folder: Path | None, env_file: Path, notify: Sequence[str]) -> None:
    """Writes the file from which `load` reads the same setup."""
    told = {"project": project, "folder": str(folder or ""), "env_file": str(env_file), "notify": list(notify)}
    path.write_text(json.dumps(told), encoding="utf-8")


def load(path: Path) -> Setup:
    told = read_json(path)
    return read_setup(
        told["project"], Path(told["folder"]) if told["folder"] else None, Path(told["env_file"]), told["notify"]
    )
