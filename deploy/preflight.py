"""`python -m deploy.preflight` prints everything that would stop a deployment. It changes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.files import read_items, run_main
from deploy.google_api import API_OFF, GoogleApi, RefusedError
from deploy.kind import field_conflicts, name_conflicts, name_of
from deploy.setup import Setup, load
from shared.core.errors import ConfigurationError

PERMISSIONS = {
    "cloudfunctions.functions.create": "roles/cloudfunctions.admin",
    "cloudfunctions.functions.update": "roles/cloudfunctions.admin",
    "cloudscheduler.jobs.create": "roles/cloudscheduler.admin",
    "datastore.indexes.update": "roles/datastore.indexAdmin",
    "eventarc.triggers.create": "roles/eventarc.admin",
    "iam.serviceAccounts.actAs": "roles/iam.serviceAccountUser, in the project or on each of our accounts",
    "iam.serviceAccounts.create": "roles/iam.serviceAccountAdmin",
    "logging.logMetrics.create": "roles/logging.configWriter",
    "monitoring.alertPolicies.create": "roles/monitoring.editor",
    "resourcemanager.projects.setIamPolicy": "roles/resourcemanager.projectIamAdmin",
    "run.services.setIamPolicy": "roles/run.admin",
    "serviceusage.services.enable": "roles/serviceusage.serviceUsageAdmin",
}

# A deployer may have these only on our accounts. The project's policy does not show that.
PER_ACCOUNT = {"iam.serviceAccounts.actAs"}

CPU_METRIC = "cpu_allocation"
MILLI = 1000


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    grade: Grade
    message: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """An organisation policy that can stop a deployment, and what to do about it."""

    name: str
    grade: Grade
    remedy: str


CONSTRAINTS = [
    Constraint(
        "iam.allowedPolicyMemberDomains",
        Grade.WARNING,
        "the monitor can't be opened to allUsers; step 60 turns the invoker check of its service off instead",
    ),
    Constraint("iam.disableServiceAccountCreation", Grade.FAILED, "step 20 makes four service accounts; allow it here"),
    Constraint("cloudfunctions.requireVPCConnector", Grade.FAILED, "set vpc_connector in [defaults] of functions.toml"),
    Constraint("cloudfunctions.allowedIngressSettings", Grade.FAILED, "set ingress in [defaults] of functions.toml"),
    Constraint("run.allowedIngress", Grade.FAILED, "set ingress in [defaults] of functions.toml"),
    Constraint("gcp.restrictNonCmekServices", Grade.FAILED, "set kms_key and docker_repository in functions.toml"),
    Constraint("gcp.resourceLocations", Grade.WARNING, "check that it allows the region"),
]


def findings(api: GoogleApi, setup: Setup, region: str, functions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The findings of all checks. A request that fails is a finding too."""
    yield from _names(setup, functions)
    yield from _permissions(api, setup.project)
    for constraint in CONSTRAINTS:
        yield from _constraint(api, setup, constraint)
    yield from _region(api, setup.project, region)
    yield from _quota(api, setup, region)


def _names(setup: Setup, functions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    found = {name_of(each): each for each in functions}
    problems = name_conflicts(setup.kind, found, setup.names()) + field_conflicts(setup.kind, setup.settings, functions)
    yield from (Finding(Grade.FAILED, problem) for problem in problems)
    if not problems:
        yield Finding(Grade.OK, "our names are free, or ours already")


def _permissions(api: GoogleApi, project: str) -> Iterator[Finding]:
    try:
        answer = api.ask(
            "cloudresourcemanager", f"v1/projects/{project}:testIamPermissions", {"permissions": [*PERMISSIONS]}
        )
    except RefusedError as exc:
        yield _unread("your permissions", exc)
        return
    missing = [each for each in PERMISSIONS if each not in answer.get("permissions", ())]
    for each in missing:
        grade = Grade.WARNING if each in PER_ACCOUNT else Grade.FAILED
        yield Finding(grade, f"you have no {each}, which is in {PERMISSIONS[each]}")
    if not missing:
        yield Finding(Grade.OK, "you have every permission that a deployment needs")


def _constraint(api: GoogleApi, setup: Setup, constraint: Constraint) -> Iterator[Finding]:
    body = {"constraint": f"constraints/{constraint.name}"}
    try:
        policy = api.ask("cloudresourcemanager", f"v1/projects/{setup.project}:getEffectiveOrgPolicy", body)
    except RefusedError as exc:
        yield _unread(f"the organisation policy {constraint.name}", exc)
        return
    if _is_in_force(policy) and not _is_met(setup, constraint.name):
        yield Finding(constraint.grade, f"organisation policy {constraint.name} is in force: {constraint.remedy}")
    else:
        yield Finding(Grade.OK, f"organisation policy {constraint.name}")


def _is_in_force(policy: Mapping[str, Any]) -> bool:
    if "booleanPolicy" in policy:
        return bool(policy["booleanPolicy"].get("enforced"))
    listed = policy.get("listPolicy", {})
    return bool(listed) and listed.get("allValues") != "ALLOW"


def _is_met(setup: Setup, constraint: str) -> bool:
    """True if the functions' table already has what the policy demands."""
    wanted = {
        "cloudfunctions.requireVPCConnector": "vpc_connector",
        "cloudfunctions.allowedIngressSettings": "ingress",
        "run.allowedIngress": "ingress",
        "gcp.restrictNonCmekServices": "kms_key",
    }.get(constraint)
    return wanted is not None and all(getattr(function, wanted) for function in setup.functions)


def _region(api: GoogleApi, project: str, region: str) -> Iterator[Finding]:
    try:
        answer = api.get("cloudfunctions", f"v2/projects/{project}/locations")
    except RefusedError as exc:
        yield _unread("the regions of Cloud Functions", exc)
        return
    if region in {each["locationId"] for each in answer.get("locations", ())}:
        yield Finding(Grade.OK, f"Cloud Functions are available in {region}")
    else:
        yield Finding(Grade.FAILED, f"Cloud Functions are not available in {region}; name another region with --region")


def _quota(api: GoogleApi, setup: Setup, region: str) -> Iterator[Finding]:
    path = f"v1beta1/projects/{setup.project}/services/run.googleapis.com/consumerQuotaMetrics"
    try:
        answer = api.get("serviceusage", path)
    except RefusedError as exc:
        yield _unread("the CPU quota of Cloud Run", exc)
        return
    limit = _cpu_limit(answer, region)
    if limit is None:
        yield Finding(Grade.WARNING, f"the CPU quota of Cloud Run in {region} was not found; it is often 20 vCPU")
        return
    for function in setup.functions:
        wanted = function.max_instances * function.cpu * MILLI
        if wanted > limit:
            yield Finding(
                Grade.FAILED,
                f"{setup.kind.function(function.entry_point)}: max_instances {function.max_instances}, at "
                f"{function.cpu} vCPU each, is more than the quota of {limit // MILLI} vCPU in {region}; lower it in "
                "functions.toml, or ask Google for more",
            )
    total = sum(function.max_instances * function.cpu * MILLI for function in setup.functions)
    grade = Grade.WARNING if total > limit else Grade.OK
    yield Finding(
        grade, f"CPU quota in {region}: {limit // MILLI} vCPU; all our functions together can use {total // MILLI}"
    )


def _cpu_limit(answer: Mapping[str, Any], region: str) -> int | None:
    """The region's limit in thousandths of a vCPU. A region without its own limit has that of all regions."""
    found: dict[str, int] = {}
    for metric in answer.get("metrics", ()):
        for limit in metric.get("consumerQuotaLimits", ()) if CPU_METRIC in metric.get("metric", "") else ():
            for bucket in limit.get("quotaBuckets", ()):
                found[bucket.get("dimensions", {}).get("region", "")] = int(bucket["effectiveLimit"])
    limit = found.get(region, found.get(""))
    return None if limit is None or limit < 0 else limit


def _unread(what: str, exc: RefusedError) -> Finding:
    why = "its API is not enabled yet" if API_OFF in str(exc) else str(exc)
    return Finding(Grade.WARNING, f"{what} could not be read: {why}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--region", required=True)
    chosen = options.parse_args()
    functions = read_items(chosen.state / "functions.json")
    failed = 0
    for finding in findings(GoogleApi(), load(chosen.state / "setup.json"), chosen.region, functions):
        sys.stdout.write(f"{finding.grade.value:<8}{finding.message}\n")
        failed += finding.grade is Grade.FAILED
    if failed:
        raise ConfigurationError([f"{failed} things stand in the way; nothing was changed"])


if __name__ == "__main__":
    sys.exit(run_main(main))
