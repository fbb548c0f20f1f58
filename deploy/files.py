"""Reads the files of a deployment: the settings that the functions will get, and JSON that gcloud prints."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from shared.core.errors import ConfigurationError, CreditRefreshError
from shared.settings import PREFIX, Settings, read_plans, read_settings

DEPLOYED = Path(__file__).resolve().parent
BUNDLE = DEPLOYED.parent
UPLOADED_PLANS = "plans*.toml"  # the same pattern as in .gcloudignore
OTHER_NAMES = ("OTEL_",)  # the functions also read settings with these names, which are not ours

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def read_environment(path: Path, project: str, plans: Path = BUNDLE / "plans.toml") -> dict[str, str]:
    """The environment of the functions: the file's settings, the project, and sign-in on. Raises ConfigurationError.

    `plans`: the file that is uploaded as plans.toml."""
    environment = _parse_environment(path)
    refused = [
        f"{path.name}: {name} can't be set for deployed functions; remove it"
        for name, value in environment.items()
        if name in ("GOOGLE_CLOUD_PROJECT", "FIRESTORE_EMULATOR_HOST") or (name, value) == (f"{PREFIX}AUTH", "off")
    ]
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    refused += [
        f"{path.name}: {name} is no setting; docs/settings.md lists them"
        for name in environment
        if name not in known and not name.startswith(OTHER_NAMES) and name not in str(refused)
    ]
    plans_file = environment.get(f"{PREFIX}PLANS_FILE") or "plans.toml"
    if not fnmatch(plans_file, UPLOADED_PLANS) or "/" in plans_file:
        refused.append(
            f"{path.name}: {PREFIX}PLANS_FILE={plans_file}: only {UPLOADED_PLANS} of the bundle are uploaded"
        )
    if refused:
        raise ConfigurationError(refused)
    complete = {**environment, "GOOGLE_CLOUD_PROJECT": project, f"{PREFIX}AUTH": "on"}
    read_plans(read_settings({**complete, f"{PREFIX}PLANS_FILE": str(_plans_path(plans_file, plans))}))
    return complete


def _plans_path(name: str, plans: Path) -> Path:
    """The path of a plans file on this machine. Its name is relative to the bundle's folder, as for the functions."""
    return plans if name == "plans.toml" else BUNDLE / name


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings without the plans file, whose path is another one here than in the cloud."""
    return read_settings({name: value for name, value in environment.items() if name != f"{PREFIX}PLANS_FILE"})


def read_items(path: str | Path) -> list[dict[str, Any]]:
    """The objects that `gcloud … --format=json` printed. No output and no file count as an empty list."""
    file = Path(path)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    items = json.loads(text) if text.strip() else []
    if isinstance(items, dict):
        return [items]
    return [item for item in items if isinstance(item, dict)]


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object. Raises ConfigurationError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationError([f"{path.name} can't be read as JSON: {exc}"]) from exc
    if not isinstance(found, dict):
        raise ConfigurationError([f"{path.name} is not a JSON object"])
    return found


def print_commands(commands: Sequence[Sequence[str]]) -> None:
    """Print the commands for `run_plan` of lib.sh: one a line, with tabs between the words."""
    for words in commands:
        if any(not word or "\t" in word or "\n" in word for word in words):
            raise ConfigurationError([f"a command can't be passed to the shell: {list(words)}"])
        sys.stdout.write("\t".join(words) + "\n")


def run_main(main: Callable[[], None]) -> int:
    """Run the main part of a command and return the exit code. Expected errors are printed without a traceback."""
    try:
        main()
    except ConfigurationError as exc:
        sys.stderr.write("".join(f"ERROR: {problem}\n" for problem in exc.problems))
        return 1
    except (CreditRefreshError, OSError, ValueError) as exc:
        sys.stderr.write(f"ERROR: {exc}\n")
        return 1
    return 0


def _parse_environment(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError([f"{path} can't be read: {type(exc).__name__}; name one with --env-file"]) from exc
    environment: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            problems.append(f"{path.name}, line {number}: expected NAME=value")
        elif found[1] in environment:
            problems.append(f"{path.name}, line {number}: {found[1]} is set twice")
        else:
            environment[found[1]] = found[2].strip().strip("\"'")
    if problems:
        raise ConfigurationError(problems)
    return environment
