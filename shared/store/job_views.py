"""Reads jobs for operators: counts them, lists them and looks them up."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from google.cloud.firestore_v1.types import query

from shared.core.jobs import JobStatus
from shared.store.stored_jobs import StoredJob, stored_job
from shared.store.values import put_time
from shared.store.wire import Wire

StructuredQueryPb = query.StructuredQuery.pb()
ASCENDING = query.StructuredQuery.Direction.ASCENDING.value
DESCENDING = query.StructuredQuery.Direction.DESCENDING.value

INDEXED_BYTES_MAX = 1500  # queries can't ask for a text of this length or longer

# The fields of each job that a list needs.
SUMMARY = (
    "kind",
    "runId",
    "status",
    "attempts",
    "scheduledFor",
    "completedAt",
    "refreshedUsers",
    "skippedUsers",
    "failedUsers",
    "retriedUsers",
    "processingMs",
)


class JobViews:
    """The jobs' collection through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix
        self._collection_id = f"{prefix}_jobs"

    def count(self, run_id: str, status: JobStatus, up_to: int) -> int:
        """The number of the run's jobs in that state. Counts no further than `up_to`."""
        return self._wire.count(self._wire.documents, self._of_run(run_id, status), up_to)

    def waiting_since(self, now: datetime) -> datetime | None:
        """Since when the oldest due job has waited, also if a worker has it now; None if no job is due."""
        wanted = self._query()
        condition = wanted.where.field_filter
        condition.field.field_path = "dueAt"
        condition.op = query.StructuredQuery.FieldFilter.Operator.LESS_THAN_OR_EQUAL.value
        put_time(condition.value.timestamp_value, now)
        wanted.select.fields.add().field_path = "dueAt"
        _order_by(wanted, "dueAt")
        wanted.limit.value = 1
        found = self._documents(wanted)
        return found[0].due_at if found else None

    def failed(self, run_id: str, limit: int, after: str | None = None) -> list[StoredJob]:
        """The run's dead letters in order of id, those after the given id."""
        wanted = self._of_run(run_id, JobStatus.FAILED)
        _order_by(wanted, "__name__")
        if after is not None:
            wanted.start_at.values.add().reference_value = self._name(after)
        wanted.limit.value = limit
        return self._documents(wanted)

    def recent(self, limit: int) -> list[StoredJob]:
        """The jobs that were settled last, of any run, newest first, without their users.

        Receipts of grants outside of a run are left out, so there may be fewer than `limit`.
        """
        return self._list_settled(limit, None)

    def settled_between(self, since: datetime, before: datetime, limit: int) -> list[StoredJob]:
        """Like `recent`, of the jobs settled from `since` (inclusive) to `before` (exclusive)."""
        return self._list_settled(limit, (since, before))

    def _list_settled(self, limit: int, between: tuple[datetime, datetime] | None) -> list[StoredJob]:
        wanted = self._query()
        for name in SUMMARY:
            wanted.select.fields.add().field_path = name
        order = wanted.order_by.add()
        order.field.field_path = "completedAt"
        order.direction = DESCENDING
        if between is not None:
            since, before = between
            put_time(wanted.start_at.values.add().timestamp_value, before)
            put_time(wanted.end_at.values.add().timestamp_value, since)
            wanted.start_at.before = False
            wanted.end_at.before = False
        wanted.limit.value = limit
        return [job for job in self._documents(wanted) if job.kind is None]

    def about(self, user_id: str, from_day: date, before_day: date, limit: int) -> list[StoredJob]:
        """Jobs of runs in [from_day, before_day) that name the user, oldest first. Their ids begin with the day.

        A user whose id has the greatest possible length is not found, because Firestore's indexes hold no such value.
        """
        if len(user_id.encode()) >= INDEXED_BYTES_MAX:
            return []
        wanted = self._query()
        condition = wanted.where.field_filter
        condition.field.field_path = "userIds"
        condition.op = query.StructuredQuery.FieldFilter.Operator.ARRAY_CONTAINS.value
        condition.value.string_value = user_id
        for name in (*SUMMARY, "receipts", "kept", "errors"):
            wanted.select.fields.add().field_path = name
        _order_by(wanted, "__name__")
        wanted.start_at.values.add().reference_value = self._name(from_day.isoformat())
        wanted.start_at.before = True
        wanted.end_at.values.add().reference_value = self._name(before_day.isoformat())
        wanted.end_at.before = True
        wanted.limit.value = limit
        return self._documents(wanted)

    def get(self, job_id: str) -> StoredJob | None:
        document = self._wire.get(self._name(job_id))
        return None if document is None else stored_job(document)

    def _of_run(self, run_id: str, status: JobStatus) -> Any:
        wanted = self._query()
        both = wanted.where.composite_filter
        both.op = query.StructuredQuery.CompositeFilter.Operator.AND.value
        for name, value in (("runId", run_id), ("status", status.value)):
            condition = both.filters.add().field_filter
            condition.field.field_path = name
            condition.op = query.StructuredQuery.FieldFilter.Operator.EQUAL.value
            condition.value.string_value = value
        return wanted

    def _query(self) -> Any:
        wanted = StructuredQueryPb()
        wanted.from_.add().collection_id = self._collection_id
        return wanted

    def _documents(self, wanted: Any) -> list[StoredJob]:
        return self._wire.run_query(self._wire.documents, wanted, stored_job)

    def _name(self, job_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{job_id}"


def _order_by(wanted: Any, path: str) -> None:
    order = wanted.order_by.add()
    order.field.field_path = path
    order.direction = ASCENDING
