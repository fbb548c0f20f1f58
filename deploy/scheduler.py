"""`python -m deploy.scheduler`: brings Cloud Scheduler's jobs to what `shared/schedule.toml` says.

Prints its plan first. A job that left the table is removed only with --prune. Jobs that are not ours are never
touched: ours are told by their description.
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

from deploy.files import read_items, told
from deploy.google_api import API_OFF, credentials, endpoints
from deploy.kind import Kind, name_of
from deploy.setup import load
from shared.core.errors import ConfigurationError
from shared.monitor.timetable import ScheduledJob

SOURCE = ", from shared/schedule.toml"  # after the kind's title, in the description of every job of ours
CALL_SECONDS_MAX = 30
PAUSE_TRIES = 3
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the jobs are, whose they are, who they call as, and the functions' addresses by name."""

    parent: str  # projects/P/locations/R
    kind: Kind
    account: str
    zone: str
    urls: Mapping[str, str]

    @property
    def mark(self) -> str:
        return self.kind.title + SOURCE

    @property
    def project(self) -> str:
        return self.parent.split("/")[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be created, updated (with the fields that differ) and removed, and what is left that could be."""

    create: Sequence[Job]
    update: Sequence[tuple[Job, Sequence[str]]]
    remove: Sequence[Job]
    left: Sequence[Job]

    def lines(self) -> list[str]:
        return [
            *(f"create  {_told(job)}" for job in self.create),
            *(f"update  {_told(job)}  ({', '.join(fields)})" for job, fields in self.update),
            *(f"remove  {_name(job)}" for job in self.remove),
            *(f"keep    {_name(job)}, which the table has no more: --prune removes it" for job in self.left),
        ]


def wanted_jobs(table: Sequence[ScheduledJob], place: Place) -> list[Job]:
    """The table as Cloud Scheduler's jobs; a row of several workers is as many jobs, numbered from the second on."""
    return [_job(row, number, place) for row in table for number in range(1, row.workers + 1)]


def _job(row: ScheduledJob, number: int, place: Place) -> Job:
    function = place.kind.function(row.function)
    url = place.urls.get(function, f"(the address of {function})")
    return Job(
        name=f"{place.parent}/jobs/{place.kind.job(row.name)}{'' if number == 1 else f'-{number}'}",
        description=place.mark,
        schedule=row.cron,
        time_zone=row.time_zone or place.zone,
        attempt_deadline=timedelta(seconds=row.deadline_seconds),
        retry_config=RetryConfig(retry_count=row.retries),
        http_target=HttpTarget(
            uri=url,
            http_method=HttpMethod.POST,
            headers=HEADERS,
            body=json.dumps(row.body, sort_keys=True).encode(),
            oidc_token=OidcToken(service_account_email=place.account, audience=url),
        ),
    )


def plan(wanted: Sequence[Job], existing: Sequence[Job], mark: str, *, prune: bool) -> Plan:
    """Compare. Raises ConfigurationError for a job of one of our names that is not ours, which its mark tells."""
    found = {job.name: job for job in existing}
    strangers = [job for job in wanted if job.name in found and found[job.name].description != mark]
    if strangers:
        raise ConfigurationError(
            [
                f"scheduler job {_name(job)} exists and is not ours, but {found[job.name].description!r}: "
                "rename it, or the row of schedule.toml"
                for job in strangers
            ]
        )
    names = {job.name for job in wanted}
    gone = [job for job in existing if job.description == mark and job.name not in names]
    pairs = [(job, _differences(job, found[job.name])) for job in wanted if job.name in found]
    return Plan(
        create=[job for job in wanted if job.name not in found],
        update=[(job, fields) for job, fields in pairs if fields],
        remove=gone if prune else [],
        left=[] if prune else gone,
    )


def _differences(wanted: Job, found: Job) -> list[str]:
    """The fields in which a job differs; of those the service fills in by itself, only ours are looked at."""
    return [name for name, value in _compared(wanted).items() if value != _compared(found)[name]]


def _compared(job: Job) -> dict[str, Any]:
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


def _told(job: Job) -> str:
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
    """A paused job may be refused its update: then it is resumed for it, and paused again whatever comes of it."""
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
    """Once more if it fails: a later deployment could not know that the job was paused before."""
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
    """With gcloud's own credentials, and its endpoint where that is overridden."""
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
    options.add_argument("--remove-all", action="store_true", help="every job of ours, whatever the table says")
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    urls = addresses(read_items(chosen.state / "functions.json"))
    parent = f"projects/{setup.project}/locations/{chosen.region}"
    place = Place(parent, setup.kind, setup.account("invoker"), setup.settings.timezone, urls)
    table = () if chosen.remove_all else setup.jobs
    names = {setup.kind.function(row.function) for row in table}
    if missing := names - urls.keys() if not chosen.dry_run else set():
        raise ConfigurationError(
            [f"function {name} is not deployed, so no job can call it" for name in sorted(missing)]
        )
    _bring_about(place, wanted_jobs(table, place), prune=chosen.prune or chosen.remove_all, dry_run=chosen.dry_run)


def _bring_about(place: Place, wanted: Sequence[Job], *, prune: bool, dry_run: bool) -> None:
    client = open_client(place.project)
    try:
        planned = plan(wanted, _existing(client, place.parent, dry_run=dry_run), place.mark, prune=prune)
        sys.stdout.write("".join(f"+ {line}\n" for line in planned.lines()) or "the jobs are as the table says\n")
        sys.stdout.flush()
        if not dry_run:
            apply(client, place.parent, planned)
    except GoogleAPICallError as exc:
        raise ConfigurationError([f"Cloud Scheduler: {exc.message}"]) from exc


def _existing(client: CloudSchedulerClient, parent: str, *, dry_run: bool) -> list[Job]:
    """A dry run finds no job where the API is not enabled yet; where it was just enabled, that is waited for."""
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
    sys.exit(told(main))
