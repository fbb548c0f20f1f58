"""`python -m deploy.functions`: the gcloud commands that bring the functions to what the table and the source say.

A function whose label holds the hash of its source, settings and flags is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.files import BUNDLE, print_commands, read_items, read_json, settings_of, told
from deploy.table import DeployedFunction, read_functions
from shared.core.errors import ConfigurationError

RUNTIME = "python313"
LABEL = "credit-refresh-hash"
HASH_CHARACTERS = 40  # a label's value has at most 63


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: project, region, the database's location, and the file with the functions' environment."""

    project: str
    region: str
    database_location: str
    environment_file: Path
    environment: Mapping[str, str]

    def account(self, short_name: str) -> str:
        return f"credit-refresh-{short_name}@{self.project}.iam.gserviceaccount.com"


def plan(
    target: Target, functions: Sequence[DeployedFunction], existing: Sequence[Mapping[str, Any]], files: str
) -> list[list[str]]:
    """The commands for the functions that are missing or differ. Raises ConfigurationError for one that is not ours."""
    found = {str(each["name"]).rpartition("/")[2]: each for each in existing}
    strangers = [function.name for function in functions if function.name in found and not _label(found[function.name])]
    if strangers:
        raise ConfigurationError(
            [
                f"function {name} exists and has no label {LABEL}: it is not ours; rename or remove it"
                for name in strangers
            ]
        )
    wanted = [_labelled(command(target, function), target.environment, files) for function in functions]
    return [
        words
        for function, words in zip(functions, wanted, strict=True)
        if not _is_current(found.get(function.name), words)
    ]


def command(target: Target, function: DeployedFunction) -> list[str]:
    """How a function is deployed, but for its label."""
    return [
        *("gcloud", "functions", "deploy", function.name, "--gen2", "--quiet"),
        f"--project={target.project}",
        f"--region={target.region}",
        f"--runtime={RUNTIME}",
        f"--source={BUNDLE}",
        f"--entry-point={function.entry_point}",
        f"--service-account={target.account(function.account)}",
        f"--build-service-account=projects/{target.project}/serviceAccounts/{target.account('build')}",
        f"--env-vars-file={target.environment_file}",
        f"--memory={function.memory}",
        f"--cpu={function.cpu}",
        f"--concurrency={function.concurrency}",
        f"--max-instances={function.max_instances}",
        f"--timeout={function.timeout_seconds}s",
        *_trigger(target, function),
    ]


def _trigger(target: Target, function: DeployedFunction) -> list[str]:
    if function.trigger == "http":
        return ["--trigger-http", "--allow-unauthenticated" if function.public else "--no-allow-unauthenticated"]
    settings = settings_of(target.environment)
    return [
        f"--trigger-event-filters=type=google.cloud.firestore.document.v1.created,database={settings.database}",
        f"--trigger-event-filters-path-pattern=document={settings.users_collection}/{{userId}}",
        f"--trigger-location={target.database_location}",
        f"--trigger-service-account={target.account('invoker')}",
        "--retry",
    ]


def hash_of_files(root: Path, names: Sequence[str]) -> str:
    """Of the names and contents of what would be uploaded."""
    digest = hashlib.sha256()
    for name in sorted(names):
        content = (root / name).read_bytes()
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _labelled(words: list[str], environment: Mapping[str, str], files: str) -> list[str]:
    """With the hash of all that matters; of the environment's file and the bundle's folder what is in them does."""
    stable = [word for word in words if not word.startswith(("--env-vars-file=", "--source="))]
    from_event = repr((stable, sorted(environment.items()), files))
    return [*words, f"--update-labels={LABEL}={hashlib.sha256(from_event.encode()).hexdigest()[:HASH_CHARACTERS]}"]


def _is_current(function: Mapping[str, Any] | None, words: Sequence[str]) -> bool:
    return (
        function is not None
        and function.get("state") == "ACTIVE"
        and words[-1] == f"--update-labels={LABEL}={_label(function)}"
    )


def _label(function: Mapping[str, Any]) -> str:
    return str(function.get("labels", {}).get(LABEL, ""))


def removals(existing: Sequence[Mapping[str, Any]], project: str, region: str) -> list[list[str]]:
    """The commands that delete all that are ours."""
    names = [str(each["name"]).rpartition("/")[2] for each in existing if _label(each)]
    where = [f"--project={project}", f"--region={region}", "--gen2", "--quiet"]
    return [["gcloud", "functions", "delete", name, *where] for name in names]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["plan", "remove"])
    for name in ("project", "region", "existing"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--database-location")
    options.add_argument("--environment", type=Path)
    options.add_argument("--upload-list", type=Path)
    chosen = options.parse_args()
    existing = read_items(chosen.existing)
    if chosen.step == "remove":
        print_commands(removals(existing, chosen.project, chosen.region))
        return
    environment = read_json(chosen.environment)
    target = Target(chosen.project, chosen.region, chosen.database_location, chosen.environment, environment)
    uploaded = hash_of_files(BUNDLE, chosen.upload_list.read_text(encoding="utf-8").splitlines())
    functions = read_functions()
    commands = plan(target, functions, existing, uploaded)
    unchanged = {function.name for function in functions} - {words[3] for words in commands}
    sys.stderr.write("".join(f"{name}: unchanged\n" for name in sorted(unchanged)))
    print_commands(commands)


if __name__ == "__main__":
    sys.exit(told(main))
