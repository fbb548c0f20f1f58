"""`python -m deploy.accounts` prints the gcloud commands for the service accounts and for their roles in the project.

No keys are made. If a role allows more than is needed, a condition limits it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.files import print_commands, read_items, run_main
from deploy.setup import Setup, load

ACCOUNTS = {
    "runtime": "the functions",
    "monitor": "the monitor",
    "invoker": "whoever calls the functions",
    "build": "builds of the functions",
}

# In older projects Pub/Sub's own account can make tokens only with the role below.
PUBSUB_MAKES_TOKENS_SINCE = datetime(2021, 4, 9, tzinfo=UTC)
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"  # noqa: S105 (a role's name)

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grant:
    """A role of one of our accounts in the project. An expression limits where the role holds."""

    account: str
    role: str
    title: str = ""
    expression: str = ""

    @property
    def condition(self) -> str:
        return f"expression={self.expression},title={self.title}" if self.expression else "None"


def grants(setup: Setup) -> list[Grant]:
    """The roles of our accounts. deploy/invokers.py has the right to call functions.

    The monitor asks Firebase whether a token was revoked. That needs firebaseauth.users.get. The functions that write
    balances don't need it.
    """
    database = f"projects/{setup.project}/databases/{setup.settings.database}"
    documents = ("credit-refresh-database", f'resource.name == "{database}"')
    buckets = [f'resource.name.startsWith("projects/_/buckets/gcf-v2-{kind}-")' for kind in ("sources", "uploads")]
    return [
        Grant("runtime", "roles/datastore.user", *documents),
        Grant("monitor", "roles/datastore.user", *documents),
        Grant("monitor", "roles/firebaseauth.viewer"),
        Grant("invoker", "roles/eventarc.eventReceiver"),
        Grant("build", "roles/artifactregistry.writer"),
        Grant("build", "roles/logging.logWriter"),
        Grant("build", "roles/storage.objectViewer", "credit-refresh-sources", " || ".join(buckets)),
    ]


def plan(setup: Setup, there: Sequence[str], policy: Policy) -> list[list[str]]:
    """The commands that make missing accounts and grants. A role without condition is removed if its grant has one."""
    commands = [
        [
            *("gcloud", "iam", "service-accounts", "create", f"{setup.kind.slug}-{name}"),
            f"--display-name={setup.kind.title}, {purpose}",
            f"--project={setup.project}",
        ]
        for name, purpose in ACCOUNTS.items()
        if setup.account(name) not in there
    ]
    wanted = grants(setup)
    missing = [grant for grant in wanted if not _is_held(setup, grant, policy)]
    commands += [_binding(setup, "add", grant) for grant in missing]
    wider = [Grant(grant.account, grant.role) for grant in wanted if grant.expression]
    return commands + [_binding(setup, "remove", grant) for grant in wider if _is_held(setup, grant, policy)]


def removals(setup: Setup, there: Sequence[str], policy: Policy) -> list[list[str]]:
    """The commands that remove every role of our accounts in the project, and then the accounts."""
    commands = [
        _binding(setup, "remove", Grant(name, role, *condition))
        for name in ACCOUNTS
        for role, condition in _roles_of(policy, f"serviceAccount:{setup.account(name)}")
    ]
    return commands + [
        ["gcloud", "iam", "service-accounts", "delete", setup.account(name), f"--project={setup.project}", "--quiet"]
        for name in ACCOUNTS
        if setup.account(name) in there
    ]


def agent_bindings(setup: Setup, project: Mapping[str, Any], invoker: Policy) -> list[list[str]]:
    """The command that lets Pub/Sub's account make tokens of the invoker's account. Only old projects need it."""
    agent = f"serviceAccount:service-{project.get('projectNumber')}@gcp-sa-pubsub.iam.gserviceaccount.com"
    if not _is_old(project) or any(role == TOKEN_CREATOR for role, _ in _roles_of(invoker, agent)):
        return []
    command = [
        *("gcloud", "iam", "service-accounts", "add-iam-policy-binding", setup.account("invoker")),
        *(f"--member={agent}", f"--role={TOKEN_CREATOR}"),
        *(f"--project={setup.project}", "--condition=None", "--format=none"),
    ]
    return [command]


def _is_old(project: Mapping[str, Any]) -> bool:
    created = project.get("createTime")
    return bool(created) and datetime.fromisoformat(str(created)) < PUBSUB_MAKES_TOKENS_SINCE


def _binding(setup: Setup, verb: str, grant: Grant) -> list[str]:
    return [
        *("gcloud", "projects", f"{verb}-iam-policy-binding", setup.project),
        *(f"--member=serviceAccount:{setup.account(grant.account)}", f"--role={grant.role}"),
        *(f"--condition={grant.condition}", "--format=none"),
    ]


def _is_held(setup: Setup, grant: Grant, policy: Policy) -> bool:
    member = f"serviceAccount:{setup.account(grant.account)}"
    held = [(role, expression) for role, (_, expression) in _roles_of(policy, member)]
    return (grant.role, grant.expression) in held


def _roles_of(policy: Policy, member: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """The roles of a member, each with the title and the expression of its condition. Both may be empty."""
    for binding in policy.get("bindings", ()):
        condition = binding.get("condition", {})
        if member in binding.get("members", ()):
            yield binding["role"], (condition.get("title", ""), condition.get("expression", ""))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["plan", "remove"])
    options.add_argument("--state", type=Path, required=True)
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    there = [str(each["email"]) for each in read_items(chosen.state / "accounts.json")]
    policy = next(iter(read_items(chosen.state / "policy.json")), {})
    project = next(iter(read_items(chosen.state / "project.json")), {})
    if chosen.step == "remove":
        print_commands(removals(setup, there, policy))
        return
    invoker = next(iter(read_items(chosen.state / "invoker.json")), {})
    print_commands([*plan(setup, there, policy), *agent_bindings(setup, project, invoker)])


if __name__ == "__main__":
    sys.exit(run_main(main))
