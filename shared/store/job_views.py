"""Jobs for an operator: counted, listed and looked up. Nothing is written."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from shared.core.jobs import JobStatus
from shared.store.messages import DOCUMENT_ID, add_filters, add_order, new_query
from shared.store.stored_jobs import StoredJob, stored_job
from shared.store.values import Reference, put
from shared.store.wire import Wire

INDEXED_BYTES_MAX = 1499  # Firestore's indexes hold no longer text, so a query can't ask for one

# The fields that are read of each job in a list.
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
        wanted = new_query(self._collection_id, 1, ["dueAt"])
        add_filters(wanted, [("dueAt", "<=", now)])
        add_order(wanted, "dueAt")
        found = self._documents(wanted)
        return found[0].due_at if found else None

    def failed(self, run_id: str, limit: int, after: str | None = None) -> list[StoredJob]:
        """The run's dead letters in order of id. `after`: only those with a greater id."""
        wanted = self._of_run(run_id, JobStatus.FAILED, limit)
        add_order(wanted, DOCUMENT_ID)
        if after is not None:
            put(wanted.start_at.values.add(), self._reference(after))
        return self._documents(wanted)

    def recent(self, limit: int) -> list[StoredJob]:
        """The last settled jobs of all runs, newest first. Of each only the fields of `SUMMARY` are read.

        Receipts of grants outside of a run are left out, so there may be fewer than `limit`.
        """
        return self._list_settled(limit, None)

    def settled_between(self, since: datetime, before: datetime, limit: int) -> list[StoredJob]:
        """Like `recent`, of the jobs settled from `since` (inclusive) to `before` (exclusive)."""
        return self._list_settled(limit, (since, before))

    def _list_settled(self, limit: int, between: tuple[datetime, datetime] | None) -> list[StoredJob]:
        wanted = new_query(self._collection_id, limit, SUMMARY)
        add_order(wanted, "completedAt", descending=True)
        if between is not None:
            since, before = between
            put(wanted.start_at.values.add(), before)
            put(wanted.end_at.values.add(), since)
            wanted.start_at.before = False
            wanted.end_at.before = False
        return [job for job in self._documents(wanted) if job.kind is None]

    def about(self, user_id: str, from_day: date, before_day: date, limit: int) -> list[StoredJob]:
        """Jobs of runs in [from_day, before_day) that name the user, oldest first. Their ids begin with the day.

        A user whose id is longer than `INDEXED_BYTES_MAX` is in no index, and so has no jobs here.
        """
        if len(user_id.encode()) > INDEXED_BYTES_MAX:
            return []
        wanted = new_query(self._collection_id, limit, (*SUMMARY, "receipts", "kept", "errors"))
        add_filters(wanted, [("userIds", "contains", user_id)])
        add_order(wanted, DOCUMENT_ID)
        put(wanted.start_at.values.add(), self._reference(from_day.isoformat()))
        wanted.start_at.before = True
        put(wanted.end_at.values.add(), self._reference(before_day.isoformat()))
        wanted.end_at.before = True
        return self._documents(wanted)

    def get(self, job_id: str) -> StoredJob | None:
        document = self._wire.get(self._reference(job_id))
        return None if document is None else stored_job(document)

    def _of_run(self, run_id: str, status: JobStatus, limit: int | None = None) -> Any:
        wanted = new_query(self._collection_id, limit)
        add_filters(wanted, [("runId", "==", run_id), ("status", "==", status.value)])
        return wanted

    def _documents(self, wanted: Any) -> list[StoredJob]:
        return self._wire.run_query(self._wire.documents, wanted, stored_job)

    def _reference(self, job_id: str) -> Reference:
        return Reference(f"{self._wire.documents}/{self._collection_id}/{job_id}")
