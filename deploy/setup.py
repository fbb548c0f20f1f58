"""The setup of a deployment: the project, its kind of credit, and the files that describe it.

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
    """Everything from the command line and the files."""

    project: str
    environment: Mapping[str, str]
    options: Options
    functions: Sequence[DeployedFunction]
    jobs: Sequence[ScheduledJob]
    #: Names in the upload, with the files that are uploaded under these names.
    replaced: Mapping[str, Path]

    @property
    def settings(self) -> Settings:
        return settings_of(self.environment)

    @property
    def kind(self) -> Kind:
        return Kind(self.settings.collection_prefix)

    def account(self, short_name: str) -> str:
        return self.kind.account(short_name, self.project)

    def names(self, *, private: bool = False) -> list[str]:
        """The functions' names; with `private`, only those that need a token."""
        return [self.kind.function(each.entry_point) for each in self.functions if not (private and each.public)]


def read_setup(project: str, folder: Path | None, env_file: Path, notify: Sequence[str] = ()) -> Setup:
    """Read all files and check that they fit together. Raises ConfigurationError that names what does not fit."""

    def own(name: str, otherwise: Path) -> Path:
        return folder / name if folder is not None and (folder / name).is_file() else otherwise

    schedule, plans = own("schedule.toml", BUNDLE / SCHEDULE), own(PLANS, BUNDLE / PLANS)
    environment = read_environment(env_file, project, plans)
    file_options = read_options(own("deploy.toml", DEPLOYED / "deploy.toml"))
    options = Options.model_validate({**file_options.model_dump(), "notify": [*file_options.notify, *notify]})
    functions = read_functions(own("functions.toml", DEPLOYED / "functions.toml"))
    jobs = read_timetable(schedule)
    check(functions, jobs)
    setup = Setup(project, environment, options, functions, jobs, {SCHEDULE: schedule, PLANS: plans})
    if problems := setup.kind.problems() + _job_name_conflicts(setup):
        raise ConfigurationError(problems)
    return setup


def _job_name_conflicts(setup: Setup) -> list[str]:
    names = [setup.kind.job(job.name) for job in setup.jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"schedule.toml: two rows become the scheduler job {name}; rename one" for name in twice]


def save(path: Path, project: str, folder: Path | None, env_file: Path, notify: Sequence[str]) -> None:
    """Write the file from which `load` reads the same setup."""
    fields = {"project": project, "folder": str(folder or ""), "env_file": str(env_file), "notify": list(notify)}
    path.write_text(json.dumps(fields), encoding="utf-8")


def load(path: Path) -> Setup:
    fields = read_json(path)
    folder = Path(fields["folder"]) if fields["folder"] else None
    return read_setup(fields["project"], folder, Path(fields["env_file"]), fields["notify"])
