"""Job documents: reads and checks their fields, and encodes new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate, islice, takewhile
from typing import Any, NamedTuple, TypeVar

from shared.core.errors import UnreadableJobError
from shared.core.figures import NAMES
from shared.core.jobs import (
    DATABASE_FAILURES_MAX,
    JOB_VERSION,
    RUN_ID_LENGTH,
    Job,
    JobKind,
    JobStatus,
    RequeueCarryover,
    Snapshot,
)
from shared.core.mending import Mend
from shared.core.packing import unpack_mends, unpack_snapshots
from shared.core.plans import INT64_MAX
from shared.core.users import parse_date
from shared.store.values import get, get_fields

DOCUMENT_ID_BYTES_MAX = 1500
JOB_USERS_MAX = 500  # the largest JOB_SIZE, and the largest number of writes in one request
NAMED_BYTES_MAX = 100_000  # for the user ids of an unreadable job, whose document has to stay small with its receipts

_RESERVED_ID = re.compile(r"__.+__", re.DOTALL)
_NUMERIC_ID = re.compile(r"__id(-?[1-9][0-9]{0,18})__")  # of Datastore's imports, and not reserved

T = TypeVar("T")


class QueueCursor(NamedTuple):
    """A position in the queue: at a job, or between two jobs."""

    visible_at: datetime
    job_id: str


@dataclass(frozen=True, slots=True)
class DueJob:
    """A due job as the queue showed it, not parsed yet. It is enough to claim the job."""

    job_id: str
    fields: Any
    update_time_ns: int
    visible_at: datetime

    @property
    def cursor(self) -> QueueCursor:
        return QueueCursor(self.visible_at, self.job_id)

    @property
    def attempts(self) -> int:
        """How often it was claimed; 0 if the field can't be read."""
        return self._count("attempts")

    @property
    def database_failures(self) -> int:
        """How often it was released because the database failed; 0 if the field can't be read."""
        return self._count("databaseFailures")

    @property
    def was_claimed(self) -> bool:
        """True if a worker has claimed it before."""
        return "startedAt" in self.fields

    @property
    def is_suspect(self) -> bool:
        """True if this job may harm the jobs beside it.

        Either the worker that began it has neither settled nor released it, so the job may have ended that worker. Or
        the database has failed several times during the job. Of a request job one failure is enough, because each call
        may have another one.
        """
        failures_max = 1 if self._is_request else DATABASE_FAILURES_MAX
        return self.database_failures >= failures_max or (self.was_claimed and self.attempts > 0)

    @property
    def _is_request(self) -> bool:
        return "kind" in self.fields and get(self.fields["kind"]) == JobKind.REQUEST.value

    @property
    def is_newer_version(self) -> bool:
        version = get(self.fields["v"]) if "v" in self.fields else None
        return type(version) is int and version > JOB_VERSION

    def _count(self, name: str) -> int:
        value = get(self.fields[name]) if name in self.fields else 0
        return value if type(value) is int and 0 <= value < INT64_MAX else 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that belongs to this worker until the lease ends. The write that ends it is guarded by `update_time_ns`."""

    due_job: DueJob
    token: str
    attempts: int
    started_at: datetime
    update_time_ns: int


def parse_job(claim: Claim) -> Job:
    """Parse the job of a claim. Raises UnreadableJobError that names the field."""
    fields = get_fields(claim.due_job.fields)
    kind = _kind(fields)
    run_id = claim.due_job.job_id[:RUN_ID_LENGTH] if kind else _expected(fields, "runId", str)
    day = parse_date(run_id)
    if day is None:
        raise UnreadableJobError(f"runId: {run_id[:40]!r} is not a date like 2026-11-22")
    if fields.get("v") != JOB_VERSION:
        raise UnreadableJobError(f"v: {fields.get('v')!r} is not {JOB_VERSION}")
    user_ids = _users_of(fields)
    return Job(
        job_id=claim.due_job.job_id,
        root_id=_expected(fields, "rootId", str, claim.due_job.job_id),
        run_id=run_id,
        day=day,
        scheduled_for=_expected(fields, "scheduledFor", datetime),
        user_ids=user_ids,
        max_attempts=_expected(fields, "maxAttempts", int),
        created_at=_expected(fields, "createdAt", datetime),
        visible_at=claim.due_job.visible_at,
        status=JobStatus.PROCESSING,
        attempts=claim.attempts,
        started_at=claim.started_at,
        fingerprint=_expected(fields, "fingerprint", str, ""),
        snapshots=_snapshots(_expected(fields, "snapshots", str, "[]"), len(user_ids)),
        due_at=_expected(fields, "dueAt", datetime, _expected(fields, "scheduledFor", datetime)),
        chain_id=_expected(fields, "chainId", str, ""),
        database_failures=claim.due_job.database_failures,
        kind=kind,
        earlier=_earlier(fields),
        generation=_expected(fields, "generation", int, 0),
        is_of_few=fields.get("ofFew") is True,
        mends=_mends(_expected(fields, "mends", str, "[]")),
        local_date=_local_date(fields),
    )


def _local_date(fields: Mapping[str, Any]) -> date | None:
    if "localDate" not in fields:
        return None
    text = _expected(fields, "localDate", str)
    day = parse_date(text)
    if day is None:
        raise UnreadableJobError(f"localDate: {text[:40]!r} is not a date like 2026-11-22")
    return day


def _kind(fields: Mapping[str, Any]) -> JobKind | None:
    name = _expected(fields, "kind", str, "")
    if name and name not in set(JobKind):
        raise UnreadableJobError(f"kind: {name[:40]!r} is not one of {', '.join(JobKind)}")
    return JobKind(name) if name else None


def unreadable_job(claim: Claim, today: date) -> Job:
    """A substitute for a job that can't be parsed, so that the job can fail.

    It has the run and the users of the document if they can be read; otherwise today's run and no users.
    """
    fields = get_fields(claim.due_job.fields)
    run_id, user_ids = fields.get("runId"), fields.get("remaining", fields.get("userIds"))
    day = (parse_date(run_id) if isinstance(run_id, str) else None) or today
    return Job(
        job_id=claim.due_job.job_id,
        root_id=claim.due_job.job_id,
        run_id=day.isoformat(),
        day=day,
        scheduled_for=claim.due_job.visible_at,
        user_ids=_first_user_ids(user_ids) if isinstance(user_ids, list) else (),
        max_attempts=claim.attempts,
        created_at=claim.due_job.visible_at,
        visible_at=claim.due_job.visible_at,
        attempts=claim.attempts,
        earlier=_earlier(fields),
    )


def is_document_id(text: str) -> bool:
    """True for a text that Firestore accepts as a document's id. It refuses a request that names any other."""
    is_reserved = _RESERVED_ID.fullmatch(text) is not None and not _is_numeric_id(text)
    return _may_be_stored(text) and text not in (".", "..") and not is_reserved


def _is_numeric_id(text: str) -> bool:
    found = _NUMERIC_ID.fullmatch(text)
    return found is not None and -INT64_MAX - 1 <= int(found[1]) <= INT64_MAX


def _may_be_stored(value: object) -> bool:
    """True for an id that a builder may have read. Which ids are reserved is left to Firestore.

    A job with an id that Firestore refuses after all is worked: that user fails alone.
    """
    if not isinstance(value, str) or not value or "/" in value:
        return False
    return len(value.encode("utf-8", "surrogatepass")) <= DOCUMENT_ID_BYTES_MAX


def _first_user_ids(values: list[Any]) -> tuple[str, ...]:
    """As many user ids as fit into the document of a settled job."""
    sizes = accumulate(len(user_id.encode()) for user_id in filter(_may_be_stored, values))
    named = takewhile(lambda pair: pair[1] <= NAMED_BYTES_MAX, zip(filter(_may_be_stored, values), sizes, strict=True))
    return tuple(user_id for user_id, _ in islice(named, JOB_USERS_MAX))


def has_too_many_users(document_fields: Any) -> bool:
    """True for a job document that would be too large with the receipts of all its users."""
    return "userIds" in document_fields and len(document_fields["userIds"].array_value.values) > JOB_USERS_MAX


def _users_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The users of the job; of a requeued job, the users still to be done."""
    name = "remaining" if "remaining" in fields else "userIds"
    user_ids = tuple(_expected(fields, name, list))
    if len(user_ids) > JOB_USERS_MAX:
        rest = "the next scan finds those that are not named here"
        raise UnreadableJobError(f"{name}: {len(user_ids)} users; a job has at most {JOB_USERS_MAX}; {rest}")
    if not all(map(_may_be_stored, user_ids)):
        raise UnreadableJobError(f"{name}: not all of them are document ids")
    return user_ids


def _earlier(fields: Mapping[str, Any]) -> RequeueCarryover:
    """What a requeued job keeps from before; empty for any other job."""
    if "requeues" not in fields:
        return RequeueCarryover()
    kept, retry_job_id = fields.get("kept"), fields.get("retryJobId")
    return RequeueCarryover(
        receipts=tuple(receipt for receipt in kept if isinstance(receipt, dict)) if isinstance(kept, list) else (),
        figures={name: value for name in NAMES if type(value := fields.get(name)) is int},
        retry_job_id=retry_job_id if isinstance(retry_job_id, str) else None,
    )


def _expected(fields: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = fields.get(name, default)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise UnreadableJobError(f"{name}: a {kind.__name__} is expected, not {type(value).__name__}")


def _snapshots(text: str, users: int) -> tuple[Snapshot | None, ...]:
    try:
        snapshots = unpack_snapshots(text)
    except (ValueError, TypeError, KeyError) as exc:
        raise UnreadableJobError("snapshots: not the array a builder writes") from exc
    if len(snapshots) not in (0, users):
        raise UnreadableJobError(f"snapshots: {len(snapshots)} of them for {users} users")
    return snapshots


def _mends(text: str) -> tuple[Mend, ...]:
    try:
        return unpack_mends(text)
    except ValueError as exc:
        raise UnreadableJobError("mends: not the array a builder writes") from exc


def encode_job(job: Job, snapshots: str, mends: str) -> dict[str, Any]:
    """The fields of a new job's document. `snapshots`, `mends`: as JSON; empty: there are none."""
    return {
        "v": JOB_VERSION,
        "status": job.status.value,
        # An open job that no scan made names no run, so no count of a run's jobs meets it.
        **({"runId": job.run_id} if job.kind is None else {"kind": job.kind.value}),
        "rootId": job.root_id,
        "scheduledFor": job.scheduled_for,
        "visibleAt": job.visible_at,
        "userIds": job.user_ids,
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "createdAt": job.created_at,
        "fingerprint": job.fingerprint,
        "snapshots": snapshots,
        "errors": [],
        **({"generation": job.generation} if job.generation else {}),
        **({"ofFew": True} if job.is_of_few else {}),
        **({"mends": mends} if mends else {}),
        "dueAt": job.due_at or job.scheduled_for,
        **({"chainId": job.chain_id} if job.chain_id else {}),
        **({"databaseFailures": job.database_failures} if job.database_failures else {}),
        **({} if job.local_date is None else {"localDate": job.local_date.isoformat()}),
    }
