"""Jobs: the queue in Firestore. A job waits as long as it has `visibleAt`; the claim moves that past the lease."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from google.cloud.firestore_v1.types import query

from shared.core.errors import ConflictError, UnreadableJobError
from shared.core.jobs import JOB_VERSION, Job, JobStatus, Settlement, Snapshot
from shared.core.packing import unpack_snapshots
from shared.core.plans import INT64_MAX
from shared.core.users import parse_date
from shared.store.rollups import rollup_write
from shared.store.values import WritePb, get, get_fields, get_time, nanoseconds, put_fields, put_nanoseconds, put_time
from shared.store.wire import Wire

StructuredQueryPb = query.StructuredQuery.pb()
ASCENDING = query.StructuredQuery.Direction.ASCENDING.value
DOCUMENT_ID_BYTES_MAX = 1500

_RESERVED_ID = re.compile(r"__(?!id[0-9]+__).*__", re.DOTALL)  # all but the numbers of Datastore's imports

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A due job as the queue showed it, not parsed yet: just enough to claim it."""

    job_id: str
    fields: Any
    update_time_ns: int
    visible_at: datetime

    @property
    def attempts(self) -> int:
        """How often it was claimed; 0 where that can't be told."""
        value = get(self.fields["attempts"]) if "attempts" in self.fields else 0
        return value if type(value) is int and 0 <= value < INT64_MAX else 0

    @property
    def was_claimed(self) -> bool:
        """True if some worker has begun it before."""
        return "startedAt" in self.fields

    @property
    def is_newer_version(self) -> bool:
        version = get(self.fields["v"]) if "v" in self.fields else None
        return type(version) is int and version > JOB_VERSION


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours until the lease ends; `update_time_ns` guards whatever ends it."""

    ticket: Ticket
    token: str
    attempts: int
    started_at: datetime
    update_time_ns: int


class JobStore:
    """The jobs' collection through one call's wire."""

    def __init__(self, wire: Wire, prefix: str, retention: timedelta) -> None:
        self._wire = wire
        self._prefix = prefix
        self._retention = retention
        self._collection_id = f"{prefix}_jobs"

    def due(self, now: datetime, limit: int, after: Ticket | None = None) -> list[Ticket]:
        """Jobs that are visible at `now`, longest visible first; those after a ticket to look further."""
        wanted = StructuredQueryPb()
        wanted.from_.add().collection_id = self._collection_id
        condition = wanted.where.field_filter
        condition.field.field_path = "visibleAt"
        condition.op = query.StructuredQuery.FieldFilter.Operator.LESS_THAN_OR_EQUAL.value
        put_time(condition.value.timestamp_value, now)
        for path in ("visibleAt", "__name__"):
            order = wanted.order_by.add()
            order.field.field_path = path
            order.direction = ASCENDING
        if after is not None:
            put_time(wanted.start_at.values.add().timestamp_value, after.visible_at)
            wanted.start_at.values.add().reference_value = self._name(after.job_id)
        wanted.limit.value = limit
        return [_ticket(document) for document in self._wire.run_query(self._wire.documents, wanted)]

    def claim(self, tickets: Sequence[Ticket], token: str, now: datetime, lease: timedelta) -> list[Claim]:
        """Claim jobs, each for itself; those lost to another worker are left out. The attempt is counted here."""
        answers = self._wire.batch_write([self._claim_write(ticket, token, now, lease) for ticket in tickets])
        claims, lost = [], []
        for ticket, answer in zip(tickets, answers, strict=True):
            if answer.code == 0:
                claims.append(Claim(ticket, token, ticket.attempts + 1, now, answer.update_time_ns))
            elif answer.retried:
                lost.append(ticket)
        return claims + self.claimed_unheard(lost, token, now)

    def claimed_unheard(self, tickets: Sequence[Ticket], token: str, now: datetime) -> list[Claim]:
        """Those of the jobs that we claimed in a try whose reply was lost: they carry our token."""
        if not tickets:
            return []
        found = self._wire.batch_get([self._name(ticket.job_id) for ticket in tickets], ["leaseToken"])
        claims = []
        for ticket in tickets:
            document = found.get(self._name(ticket.job_id))
            if document is not None and document.fields["leaseToken"].string_value == token:
                claims.append(Claim(ticket, token, ticket.attempts + 1, now, nanoseconds(document.update_time)))
        return claims

    def settle(self, claim: Claim, settlement: Settlement, figures: dict[str, int]) -> None:
        """End the job, create its retry and count it, in one Commit. Raises ConflictError if it is ours no more.

        `figures` are what the job adds to its run's roll-up; its own writes are added to them here.
        """
        job = settlement.job
        figures = {**figures, "writes": figures["writes"] + (2 if settlement.retry is None else 3)}
        ended = {
            "status": job.status.value,
            "completedAt": settlement.ended_at,
            "expireAt": settlement.ended_at + self._retention,
            "receipts": settlement.receipts,
            "errors": settlement.errors,
            "retryJobId": None if settlement.retry is None else settlement.retry.job_id,
            **figures,
        }
        writes = [self._update(claim.ticket.job_id, ended, claim.update_time_ns, gone=("visibleAt", "snapshots"))]
        if settlement.retry is not None:
            writes.append(self.create_write(settlement.retry, "[]"))
        writes.append(rollup_write(self._wire, f"{self._prefix}_runs", job, figures))
        self._commit_ours(writes, claim, settled=True)

    def hand_back(self, claim: Claim, visible_at: datetime) -> None:
        """Give up a claim as if it had not been made: the attempt does not count."""
        fields = {"status": JobStatus.PENDING.value, "attempts": claim.attempts - 1, "visibleAt": visible_at}
        self._commit_ours([self._update(claim.ticket.job_id, fields, claim.update_time_ns)], claim, settled=False)

    def create_write(self, job: Job, snapshots: str) -> Any:
        """The write that creates a job, and fails where it is there already."""
        message = WritePb()
        message.update.name = self._name(job.job_id)
        put_fields(message.update.fields, _encode(job, snapshots))
        message.current_document.exists = False
        return message

    def _claim_write(self, ticket: Ticket, token: str, now: datetime, lease: timedelta) -> Any:
        fields = {
            "status": JobStatus.PROCESSING.value,
            "attempts": ticket.attempts + 1,
            "startedAt": now,
            "visibleAt": now + lease,
            "leaseToken": token,
        }
        return self._update(ticket.job_id, fields, ticket.update_time_ns)

    def _commit_ours(self, writes: Sequence[Any], claim: Claim, *, settled: bool) -> None:
        try:
            self._wire.commit(writes)
        except ConflictError as exc:
            if not (exc.may_be_our_own and self._landed(claim, settled=settled)):
                raise

    def _landed(self, claim: Claim, *, settled: bool) -> bool:
        document = self._wire.get(self._name(claim.ticket.job_id))
        fields = {} if document is None else get_fields(document.fields)
        return fields.get("leaseToken") == claim.token and (fields.get("completedAt") is not None) is settled

    def _update(self, job_id: str, fields: dict[str, Any], update_time_ns: int, gone: Sequence[str] = ()) -> Any:
        message = WritePb()
        message.update.name = self._name(job_id)
        put_fields(message.update.fields, fields)
        message.update_mask.field_paths.extend([*fields, *gone])
        put_nanoseconds(message.current_document.update_time, update_time_ns)
        return message

    def _name(self, job_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{job_id}"


def parse_job(claim: Claim) -> Job:
    """The job of a claim. Raises UnreadableJobError that names the field."""
    fields = get_fields(claim.ticket.fields)
    run_id = _expected(fields, "runId", str)
    day = parse_date(run_id)
    if day is None:
        raise UnreadableJobError(f"runId: {run_id[:40]!r} is not a date like 2026-11-22")
    if fields.get("v") != JOB_VERSION:
        raise UnreadableJobError(f"v: {fields.get('v')!r} is not {JOB_VERSION}")
    user_ids = tuple(_expected(fields, "userIds", list))
    if not all(map(_is_user_id, user_ids)):
        raise UnreadableJobError("userIds: not all of them are document ids")
    return Job(
        job_id=claim.ticket.job_id,
        root_id=_expected(fields, "rootId", str, claim.ticket.job_id),
        run_id=run_id,
        day=day,
        scheduled_for=_expected(fields, "scheduledFor", datetime),
        user_ids=user_ids,
        max_attempts=_expected(fields, "maxAttempts", int),
        created_at=_expected(fields, "createdAt", datetime),
        visible_at=claim.ticket.visible_at,
        status=JobStatus.PROCESSING,
        attempts=claim.attempts,
        started_at=claim.started_at,
        fingerprint=_expected(fields, "fingerprint", str, ""),
        snapshots=_snapshots(_expected(fields, "snapshots", str, "[]"), len(user_ids)),
    )


def unreadable_job(claim: Claim, today: date) -> Job:
    """A stand-in for a job that can't be parsed, good for failing it: of the run and the users it names, as far as
    they can be read, else of today's run and of nobody."""
    fields = get_fields(claim.ticket.fields)
    run_id, user_ids = fields.get("runId"), fields.get("userIds")
    named = isinstance(run_id, str) and parse_date(run_id) is not None
    return Job(
        job_id=claim.ticket.job_id,
        root_id=claim.ticket.job_id,
        run_id=str(run_id) if named else today.isoformat(),
        day=today,
        scheduled_for=claim.ticket.visible_at,
        user_ids=tuple(filter(_is_user_id, user_ids)) if isinstance(user_ids, list) else (),
        max_attempts=claim.attempts,
        created_at=claim.ticket.visible_at,
        visible_at=claim.ticket.visible_at,
        attempts=claim.attempts,
    )


def is_document_id(text: str) -> bool:
    """True for what Firestore takes as the id of a document."""
    if not text or "/" in text or text in (".", "..") or _RESERVED_ID.fullmatch(text):
        return False
    return len(text.encode("utf-8", "surrogatepass")) <= DOCUMENT_ID_BYTES_MAX


def _is_user_id(value: object) -> bool:
    return isinstance(value, str) and is_document_id(value)


def _expected(fields: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = fields.get(name, default)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise UnreadableJobError(f"{name}: a {kind.__name__} is expected, not {type(value).__name__}")


def _snapshots(text: str, users: int) -> tuple[Snapshot, ...]:
    try:
        snapshots = unpack_snapshots(text)
    except (ValueError, TypeError, KeyError) as exc:
        raise UnreadableJobError("snapshots: not the array a builder writes") from exc
    if len(snapshots) not in (0, users):
        raise UnreadableJobError(f"snapshots: {len(snapshots)} of them for {users} users")
    return snapshots


def _encode(job: Job, snapshots: str) -> dict[str, Any]:
    return {
        "v": JOB_VERSION,
        "status": job.status.value,
        "runId": job.run_id,
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
    }


def _ticket(document: Any) -> Ticket:
    return Ticket(
        document.name.rpartition("/")[2],
        document.fields,
        nanoseconds(document.update_time),
        get_time(document.fields["visibleAt"].timestamp_value),
    )
