"""`python -m deploy.scheduler` makes Cloud Scheduler's jobs as `shared/schedule.toml` says.

It prints its plan first. A job that is not in the table any more is removed only with --prune. Our jobs are recognised
by their description. Other jobs are never changed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError
from google.cloud.scheduler_v1 import CloudSchedulerClient, HttpMethod, HttpTarget, Job, OidcToken, RetryConfig
from google.protobuf.field_mask_pb2 import FieldMask

from deploy.files import read_items, run_main
from deploy.google_api import API_OFF, credentials, endpoints
from deploy.kind import Kind, name_of
from deploy.setup import load
from shared.core.errors import ConfigurationError
from shared.monitor.timetable import ScheduledJob

SOURCE = ", from shared/schedule.toml"  # our jobs' descriptions are the kind's title and this
CALL_SECONDS_MAX = 30
PAUSE_TRIES = 3
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where the jobs are and to which kind they belong. `account`: they call as this. `urls`: functions' addresses."""

    parent: str  # projects/P/locations/R
    kind: Kind
    account: str
    zone: str
    urls: Mapping[str, str]

    @property
    def description(self) -> str:
        """The description of all our jobs of this kind."""
        return self.kind.title + SOURCE

    @property
    def project(self) -> str:
        return self.parent.split("/")[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs to create, to update (with the fields that differ) and to remove.

    `kept`: jobs that are not in the table any more and that --prune would remove.
    """

    create: Sequence[Job]
    update: Sequence[tuple[Job, Sequence[str]]]
    remove: Sequence[Job]
    kept: Sequence[Job]

    def lines(self) -> list[str]:
        return [
            *(f"create  {_summary(job)}" for job in self.create),
            *(f"update  {_summary(job)}  ({', '.join(fields)})" for job, fields in self.update),
            *(f"remove  {_name(job)}" for job in self.remove),
            *(f"keep    {_name(job)}, which the table has no more: --prune removes it" for job in self.kept),
        ]


def wanted_jobs(table: Sequence[ScheduledJob], target: Target) -> list[Job]:
    """The jobs of the table. A row with several workers gives several jobs; from the second on they have numbers."""
    return [_job(row, number, target) for row in table for number in range(1, row.workers + 1)]


def _job(row: ScheduledJob, number: int, target: Target) -> Job:
    function = target.kind.function(row.function)
    url = target.urls.get(function, f"(the address of {function})")
    return Job(
        name=f"{target.parent}/jobs/{target.kind.job(row.name)}{'' if number == 1 else f'-{number}'}",
        description=target.description,
        schedule=row.cron,
        time_zone=row.time_zone or target.zone,
        attempt_deadline=timedelta(seconds=row.deadline_seconds),
        retry_config=RetryConfig(retry_count=row.retries),
        http_target=HttpTarget(
            uri=url,
            http_method=HttpMethod.POST,
            headers=HEADERS,
            body=json.dumps(row.body, sort_keys=True).encode(),
            oidc_token=OidcToken(service_account_email=target.account, audience=url),
        ),
    )


def plan(wanted: Sequence[Job], existing: Sequence[Job], description: str, *, prune: bool) -> Plan:
    """Compare wanted and existing jobs. Raises ConfigurationError for a job with one of our names that is not ours."""
    found = {job.name: job for job in existing}
    foreign = [job for job in wanted if job.name in found and found[job.name].description != description]
    if foreign:
        raise ConfigurationError(
            [
                f"scheduler job {_name(job)} exists and is not ours, but {found[job.name].description!r}: "
                "rename it, or the row of schedule.toml"
                for job in foreign
            ]
        )
    names = {job.name for job in wanted}
    gone = [job for job in existing if job.description == description and job.name not in names]
    pairs = [(job, _differences(job, found[job.name])) for job in wanted if job.name in found]
    return Plan(
        create=[job for job in wanted if job.name not in found],
        update=[(job, fields) for job, fields in pairs if fields],
        remove=gone if prune else [],
        kept=[] if prune else gone,
    )


def _differences(wanted: Job, found: Job) -> list[str]:
    """The fields in which a job differs. Values that the service adds by itself are not compared."""
    return [name for name, value in _comparable_fields(wanted).items() if value != _comparable_fields(found)[name]]


def _comparable_fields(job: Job) -> dict[str, Any]:
    target = job.http_target
    return {
        "schedule": job.schedule,
        "time_zone": job.time_zone,
        "attempt_deadline": job.attempt_deadline,
        "retry_config": job.retry_config.retry_count,
        "http_target": (
            target.uri,
            target.http_method,
            target.body,
            {name: value for name, value in target.headers.items() if name in HEADERS},
            (target.oidc_token.service_account_email, target.oidc_token.audience),
        ),
    }


def _name(job: Job) -> str:
    return str(job.name).rpartition("/")[2]


def _summary(job: Job) -> str:
    seconds = round(job.attempt_deadline.total_seconds())
    target = job.http_target
    return (
        f"{_name(job)}  '{job.schedule}' {job.time_zone}  POST {target.uri} {target.body.decode()}  "
        f"as {target.oidc_token.service_account_email}  deadline {seconds} s, retries {job.retry_config.retry_count}"
    )


def apply(client: CloudSchedulerClient, parent: str, planned: Plan) -> None:
    for job in planned.create:
        client.create_job(parent=parent, job=job, timeout=CALL_SECONDS_MAX)
    for job, fields in planned.update:
        _update(client, job, FieldMask(paths=fields))
    for job in planned.remove:
        client.delete_job(name=job.name, timeout=CALL_SECONDS_MAX)


def _update(client: CloudSchedulerClient, job: Job, mask: FieldMask) -> None:
    """Update a job. If the service refuses because the job is paused, resume it, update it and pause it again."""
    try:
        client.update_job(job=job, update_mask=mask, timeout=CALL_SECONDS_MAX)
    except BadRequest:
        now = client.get_job(name=job.name, timeout=CALL_SECONDS_MAX)
        if now.state != Job.State.PAUSED:
            raise
        client.resume_job(name=job.name, timeout=CALL_SECONDS_MAX)
        try:
            client.update_job(job=job, update_mask=mask, timeout=CALL_SECONDS_MAX)
        finally:
            _pause(client, job.name)


def _pause(client: CloudSchedulerClient, name: str) -> None:
    """Pause a job, with several tries, because a later deployment can't know that the job was paused before."""
    for tries_left in range(PAUSE_TRIES - 1, -1, -1):
        try:
            client.pause_job(name=name, timeout=CALL_SECONDS_MAX)
        except GoogleAPICallError as exc:
            if not tries_left:
                raise ConfigurationError(
                    [f"{name} was paused, and is not paused again ({exc.message}); pause it in Cloud Scheduler"]
                ) from exc
        else:
            return


def open_client(project: str) -> CloudSchedulerClient:
    """A client with gcloud's credentials and endpoint override."""
    endpoint = endpoints().get("cloudscheduler", "").rstrip("/")
    return CloudSchedulerClient(
        transport="rest",
        credentials=credentials(),
        client_options=ClientOptions(api_endpoint=endpoint or None, quota_project_id=project),
    )


def addresses(functions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The functions' addresses by name."""
    return {
        name_of(each): str(each["serviceConfig"]["uri"])
        for each in functions
        if each.get("serviceConfig", {}).get("uri")
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--region", required=True)
    options.add_argument("--dry-run", action="store_true")
    options.add_argument("--prune", action="store_true")
    options.add_argument("--remove-all", action="store_true", help="remove every job of ours")
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    urls = addresses(read_items(chosen.state / "functions.json"))
    parent = f"projects/{setup.project}/locations/{chosen.region}"
    target = Target(parent, setup.kind, setup.account("invoker"), setup.settings.timezone, urls)
    table = () if chosen.remove_all else setup.jobs
    names = {setup.kind.function(row.function) for row in table}
    if missing := names - urls.keys() if not chosen.dry_run else set():
        raise ConfigurationError(
            [f"function {name} is not deployed, so no job can call it" for name in sorted(missing)]
        )
    _update_jobs(target, wanted_jobs(table, target), prune=chosen.prune or chosen.remove_all, dry_run=chosen.dry_run)


def _update_jobs(target: Target, wanted: Sequence[Job], *, prune: bool, dry_run: bool) -> None:
    client = open_client(target.project)
    try:
        existing = _list_jobs(client, target.parent, dry_run=dry_run)
        planned = plan(wanted, existing, target.description, prune=prune)
        sys.stdout.write("".join(f"+ {line}\n" for line in planned.lines()) or "the jobs are as the table says\n")
        sys.stdout.flush()
        if not dry_run:
            apply(client, target.parent, planned)
    except GoogleAPICallError as exc:
        raise ConfigurationError([f"Cloud Scheduler: {exc.message}"]) from exc


def _list_jobs(client: CloudSchedulerClient, parent: str, *, dry_run: bool) -> list[Job]:
    """The jobs of the region. While the API is off, a dry run gives none; otherwise wait until it is on."""
    every_seconds = float(os.environ.get("PATIENCE_SECONDS", "10"))
    tries = max(1, int(float(os.environ.get("PATIENCE_SECONDS_MAX", "600")) / every_seconds))
    for tries_left in range(tries - 1, -1, -1):
        try:
            return list(client.list_jobs(parent=parent, timeout=CALL_SECONDS_MAX))
        except Forbidden as exc:
            if API_OFF not in exc.message or not tries_left:
                raise
        if dry_run:
            break
        time.sleep(every_seconds)
    return []


if __name__ == "__main__":
    sys.exit(run_main(main))
