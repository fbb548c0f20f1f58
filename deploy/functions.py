"""`python -m deploy.functions` prints the gcloud commands that deploy the functions as the table and the source say.

The label of a deployed function holds the hash of its source, settings and flags. If the hash is the same, the function
is unchanged and is not deployed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.files import BUNDLE, print_commands, read_items, run_main
from deploy.kind import LABEL, Kind, field_conflicts, kind_of, label_of, name_conflicts, name_of
from deploy.setup import Setup, load
from deploy.table import DeployedFunction
from shared.core.errors import ConfigurationError
from shared.monitor import links

MONITOR = "credit_refresh_monitor"
LINKS = links.VARIABLE
RUNTIME = "python313"
HASH_CHARACTERS = 40  # a label's value has at most 63
TEMPORARY = ("--env-vars-file=", "--source=")  # these paths differ at each run, so the hash covers the content instead


@dataclass(frozen=True, slots=True)
class Target:
    """What is deployed, and where: the setup, the region, the database's location, and the folder of the steps."""

    setup: Setup
    region: str
    database_location: str
    state: Path
    #: The addresses of the monitors of other kinds.
    links: str = ""

    def environment_of(self, function: DeployedFunction) -> Mapping[str, str]:
        if function.entry_point == MONITOR and self.links:
            return {**self.setup.environment, LINKS: self.links}
        return self.setup.environment

    def environment_file(self, function: DeployedFunction) -> Path:
        """Write the environment to a file for gcloud and return its path. The file is JSON, which is valid YAML."""
        path = self.state / f"environment-{function.entry_point}.yaml"
        path.write_text(json.dumps(self.environment_of(function), indent=1, sort_keys=True), encoding="utf-8")
        return path


def links_to_others(kind: Kind, existing: Sequence[Mapping[str, Any]]) -> str:
    """The addresses of the monitors of the other kinds of credit in the project."""
    found = {
        kind_of(each).prefix: each["serviceConfig"]["uri"]
        for each in existing
        if label_of(each) and kind_of(each) != kind and each.get("buildConfig", {}).get("entryPoint") == MONITOR
    }
    return ",".join(f"{prefix}={uri}" for prefix, uri in sorted(found.items()))


def refuse(setup: Setup, existing: Sequence[Mapping[str, Any]]) -> None:
    """Raise ConfigurationError if a function has one of our names, or if another kind of credit uses our fields."""
    found = {name_of(each): each for each in existing}
    problems = name_conflicts(setup.kind, found, setup.names()) + field_conflicts(setup.kind, setup.settings, existing)
    if problems:
        raise ConfigurationError(problems)


def plan(target: Target, existing: Sequence[Mapping[str, Any]], source_hash: str) -> list[list[str]]:
    """The commands for the functions that are missing or not up to date."""
    found = {name_of(each): each for each in existing}
    wanted = [_command_with_labels(target, function, source_hash) for function in target.setup.functions]
    return [words for words in wanted if not _is_current(found.get(words[3]), words)]


def command(target: Target, function: DeployedFunction) -> list[str]:
    """The command that deploys a function, without its labels."""
    setup = target.setup
    build = f"projects/{setup.project}/serviceAccounts/{setup.account('build')}"
    return [
        *("gcloud", "functions", "deploy", setup.kind.function(function.entry_point), "--gen2", "--quiet"),
        f"--project={setup.project}",
        f"--region={target.region}",
        f"--runtime={RUNTIME}",
        f"--source={target.state / 'source'}",
        f"--entry-point={function.entry_point}",
        f"--service-account={setup.account(function.account)}",
        f"--build-service-account={build}",
        f"--env-vars-file={target.environment_file(function)}",
        f"--memory={function.memory}",
        f"--cpu={function.cpu}",
        f"--concurrency={function.concurrency}",
        f"--max-instances={function.max_instances}",
        f"--timeout={function.timeout_seconds}s",
        *_network_and_key(function),
        *_trigger(target, function),
    ]


def _network_and_key(function: DeployedFunction) -> list[str]:
    given = {
        "ingress-settings": function.ingress,
        "vpc-connector": function.vpc_connector,
        "egress-settings": function.egress,
        "kms-key": function.kms_key,
        "docker-repository": function.docker_repository,
    }
    return [f"--{flag}={value}" for flag, value in given.items() if value]


def _trigger(target: Target, function: DeployedFunction) -> list[str]:
    """The flags of the trigger. Nobody may call a new function yet, not even the monitor: step 60 adds the callers."""
    if function.trigger == "http":
        return ["--trigger-http"]
    setup = target.setup
    settings = setup.settings
    event = f"google.cloud.firestore.document.v1.{setup.options.user_trigger}"
    return [
        f"--trigger-event-filters=type={event},database={settings.database}",
        f"--trigger-event-filters-path-pattern=document={settings.users_collection}/{{userId}}",
        f"--trigger-location={target.database_location}",
        f"--trigger-service-account={setup.account('invoker')}",
        "--retry",
    ]


def stage(setup: Setup, names: Sequence[str], target: Path) -> str:
    """Copy what is uploaded. The setup's own files replace those of the bundle. Returns the hash of all files."""
    digest = hashlib.sha256()
    for name in sorted(names):
        content = setup.replaced.get(name, BUNDLE / name).read_bytes()
        digest.update(f"{len(name)} {name} {len(content)} ".encode() + content)
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.copy(BUNDLE / ".gcloudignore", target)
    return digest.hexdigest()


def _command_with_labels(target: Target, function: DeployedFunction, source_hash: str) -> list[str]:
    """The command with the setup's labels and the label that holds the hash."""
    words = command(target, function)
    labels = ",".join(f"{key}={value}" for key, value in sorted(target.setup.options.labels.items()))
    stable = [word for word in words if not word.startswith(TEMPORARY)]
    content = repr((stable, labels, sorted(target.environment_of(function).items()), source_hash))
    own = f"{LABEL}={hashlib.sha256(content.encode()).hexdigest()[:HASH_CHARACTERS]}"
    return [*words, f"--update-labels={labels},{own}" if labels else f"--update-labels={own}"]


def _is_current(function: Mapping[str, Any] | None, words: Sequence[str]) -> bool:
    """True if the function is up to date. A failed update leaves its label, so the function's state counts too."""
    return (
        function is not None
        and function.get("state") == "ACTIVE"
        and not any(message.get("severity") == "ERROR" for message in function.get("stateMessages", ()))
        and words[-1].endswith(f"{LABEL}={label_of(function)}")
    )


def removals(setup: Setup, existing: Sequence[Mapping[str, Any]], region: str) -> list[list[str]]:
    """The commands that delete our functions of this kind."""
    names = [name_of(each) for each in existing if label_of(each) and kind_of(each) == setup.kind]
    where = [f"--project={setup.project}", f"--region={region}", "--gen2", "--quiet"]
    return [["gcloud", "functions", "delete", name, *where] for name in names]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["refuse", "plan", "remove"])
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--region", required=True)
    options.add_argument("--database-location")
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    existing = read_items(chosen.state / "functions.json")
    if chosen.step == "refuse":
        refuse(setup, existing)
        return
    if chosen.step == "remove":
        print_commands(removals(setup, existing, chosen.region))
        return
    if not any(map(label_of, existing)):
        (chosen.state / "fresh").touch()  # for steps/50-functions.sh
    others = links_to_others(setup.kind, existing)
    target = Target(setup, chosen.region, chosen.database_location, chosen.state, others)
    names = (chosen.state / "upload").read_text(encoding="utf-8").splitlines()
    commands = plan(target, existing, stage(setup, names, chosen.state / "source"))
    unchanged = set(setup.names()) - {words[3] for words in commands}
    sys.stderr.write("".join(f"{name}: unchanged\n" for name in sorted(unchanged)))
    if others and setup.kind.function(MONITOR) not in {name_of(each) for each in existing}:
        sys.stderr.write(f"deploy the other kinds once more, so that their monitors link this one's: {others}\n")
    print_commands(commands)


if __name__ == "__main__":
    sys.exit(run_main(main))
