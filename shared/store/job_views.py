"""Jobs as an operator looks at them: counted, listed and looked up; and a dead letter sent back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from google.cloud.firestore_v1.types import query

from shared.core.figures import RequeuePlan
from shared.core.jobs import REQUEUE_MARK, JobStatus
from shared.store.rollups import RollupStore
from shared.store.values import WritePb, get_fields, nanoseconds, put_fields, put_nanoseconds, put_time
from shared.store.wire import Wire

StructuredQueryPb = query.StructuredQuery.pb()
ASCENDING = query.StructuredQuery.Direction.ASCENDING.value
DESCENDING = query.StructuredQuery.Direction.DESCENDING.value

INDEXED_BYTES_MAX = 1500  # a longer text, or one of this length, can't be asked for in a query

# What a list of jobs shows of each, in fields of the document.
SUMMARY = (
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


@dataclass(frozen=True, slots=True)
class JobDocument:
    """A job as it is stored, decoded and unchecked."""

    job_id: str
    fields: Mapping[str, Any]
    update_time_ns: int


class JobViews:
    """The jobs' collection through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._prefix = prefix
        self._collection_id = f"{prefix}_jobs"

    def count(self, run_id: str, status: JobStatus, up_to: int) -> int:
        """How many jobs of the run are in that state; no more than `up_to` are counted."""
        return self._wire.count(self._wire.documents, self._of_run(run_id, status), up_to)

    def waiting_since(self, now: datetime) -> datetime | None:
        """Since when the job that has been due longest waits, whoever has it at the moment; None if no job is due."""
        wanted = self._query()
        condition = wanted.where.field_filter
        condition.field.field_path = "dueAt"
        condition.op = query.StructuredQuery.FieldFilter.Operator.LESS_THAN_OR_EQUAL.value
        put_time(condition.value.timestamp_value, now)
        wanted.select.fields.add().field_path = "dueAt"
        _order_by(wanted, "dueAt")
        wanted.limit.value = 1
        found = self._documents(wanted)
        return found[0].fields["dueAt"] if found else None

    def failed(self, run_id: str, limit: int, after: str | None = None) -> list[JobDocument]:
        """The run's dead letters in order of id, after that id."""
        wanted = self._of_run(run_id, JobStatus.FAILED)
        _order_by(wanted, "__name__")
        if after is not None:
            wanted.start_at.values.add().reference_value = self._name(after)
        wanted.limit.value = limit
        return self._documents(wanted)

    def recent(self, limit: int) -> list[JobDocument]:
        """The jobs settled last, of any run, without what they hold of each user."""
        wanted = self._query()
        for name in SUMMARY:
            wanted.select.fields.add().field_path = name
        order = wanted.order_by.add()
        order.field.field_path = "completedAt"
        order.direction = DESCENDING
        wanted.limit.value = limit
        return self._documents(wanted)

    def about(self, user_id: str, from_day: date, before_day: date, limit: int) -> list[JobDocument]:
        """Jobs of runs in [from_day, before_day) that name the user, oldest first. Their ids begin with the day.

        A user whose id is as long as an id can be is not found: Firestore's indexes hold no value of that length.
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

    def get(self, job_id: str) -> JobDocument | None:
        document = self._wire.get(self._name(job_id))
        return None if document is None else _job_document(document)

    def requeue(self, failed: JobDocument, requeued: RequeuePlan, run_id: str, now: datetime) -> None:
        """Send a dead letter back, for those who failed alone. Raises ConflictError if somebody was first."""
        fields = failed.fields
        number = fields.get("requeues", 0) + 1
        back = {
            "status": JobStatus.PENDING.value,
            "visibleAt": now,
            "dueAt": now,
            "attempts": 0,
            "requeues": number,
            "chainId": f"{failed.job_id}{REQUEUE_MARK}{number}",
            "kept": list(requeued.receipts),
            "failedUsers": 0,
            "lateUsers": fields.get("lateUsers", 0) - len(requeued.user_ids),
            "errors": [],
            **({"remaining": list(requeued.user_ids)} if requeued.user_ids else {}),
        }
        gone = ("completedAt", "expireAt", "receipts", "handBacks")
        rollup = RollupStore(self._wire, self._prefix).write(run_id, failed.job_id, requeued.taken_back)
        write = WritePb()
        write.update.name = self._name(failed.job_id)
        put_fields(write.update.fields, back)
        write.update_mask.field_paths.extend([*back, *gone])
        put_nanoseconds(write.current_document.update_time, failed.update_time_ns)
        self._wire.commit([write, rollup])

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

    def _documents(self, wanted: Any) -> list[JobDocument]:
        return self._wire.run_query(self._wire.documents, wanted, _job_document)

    def _name(self, job_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{job_id}"


def _order_by(wanted: Any, path: str) -> None:
    order = wanted.order_by.add()
    order.field.field_path = path
    order.direction = ASCENDING


def _job_document(document: Any) -> JobDocument:
    job_id = document.name.rpartition("/")[2]
    return JobDocument(job_id, get_fields(document.fields), nanoseconds(document.update_time))
