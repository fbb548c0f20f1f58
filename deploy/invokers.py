"""`python -m deploy.invokers` prints the gcloud commands that let callers call the functions.

The invoker's account may call the private functions. The callers of deploy.toml may call the direct one. Everybody may
call the monitor, which checks tokens itself. A binding made by hand stays. A private function that is open to everybody
is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.files import print_commands, read_items, run_main
from deploy.setup import Setup, load
from deploy.table import DeployedFunction
from shared.core.errors import ConfigurationError

ROLE = "roles/run.invoker"
EVERYBODY = "allUsers"
OPEN = (EVERYBODY, "allAuthenticatedUsers")
DIRECT = "credit_refresh"  # the entry point that callers may call
UNCHECKED = "run.googleapis.com/invoker-iam-disabled"  # the annotation of a service that does not check callers

Policy = Mapping[str, Any]


def plan(setup: Setup, region: str, policies: Mapping[str, Policy], unchecked: frozenset[str]) -> list[list[str]]:
    """The commands for missing bindings. Raises ConfigurationError for a private function that is open.

    `unchecked`: services whose invoker check is off."""
    commands: list[list[str]] = []
    problems: list[str] = []
    for function in setup.functions:
        name = setup.kind.function(function.entry_point)
        held = _members(policies.get(name, {}))
        if not function.public and (name in unchecked or held & set(OPEN)):
            problems.append(_how_to_close(name, setup.project, region, held))
        missing = (
            [] if function.public and name in unchecked else [m for m in _callers(setup, function) if m not in held]
        )
        commands += [_binding(name, member, setup.project, region) for member in missing]
    if problems:
        raise ConfigurationError(problems)
    return commands


def _callers(setup: Setup, function: DeployedFunction) -> list[str]:
    if function.public:
        return [EVERYBODY]
    callers = setup.options.callers if function.entry_point == DIRECT else []
    return [f"serviceAccount:{email}" for email in [setup.account("invoker"), *callers]]


def _members(policy: Policy) -> set[str]:
    bindings = [each for each in policy.get("bindings", ()) if each["role"] == ROLE and "condition" not in each]
    return {member for each in bindings for member in each["members"]}


def _binding(name: str, member: str, project: str, region: str) -> list[str]:
    return [
        *("gcloud", "run", "services", "add-iam-policy-binding", name, f"--region={region}", f"--project={project}"),
        *(f"--member={member}", f"--role={ROLE}", "--format=none"),
    ]


def _how_to_close(name: str, project: str, region: str, held: set[str]) -> str:
    where = f"{name} --region={region} --project={project}"
    members = sorted(held & set(OPEN))
    how = (
        f"gcloud run services remove-iam-policy-binding {where} --member={members[0]} --role={ROLE}"
        if members
        else f"gcloud run services update {where} --invoker-iam-check"
    )
    return f"{name} is open to everybody; close it: {how}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--region", required=True)
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    policies = {
        name: next(iter(read_items(chosen.state / f"policy.{name}")), {})
        for name in setup.names()
        if (chosen.state / f"policy.{name}").exists()
    }
    services = [each["metadata"] for each in read_items(chosen.state / "services.json")]
    # gcloud writes True with a capital.
    unchecked = {each["name"] for each in services if each.get("annotations", {}).get(UNCHECKED, "").lower() == "true"}
    print_commands(plan(setup, chosen.region, policies, frozenset(unchecked)))


if __name__ == "__main__":
    sys.exit(run_main(main))
