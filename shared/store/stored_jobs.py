"""A job as an operator sees it: its stored document, read field by field, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from shared.core.jobs import JobStatus
from shared.store.values import get_fields, nanoseconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UserFailure:
    """One user that failed, with the code and the words of the error."""

    user_id: str
    code: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A stored job. A field that is missing or of another type than expected is None, 0 or empty.

    `kind`: None for a job of a run; `direct`, `request` or `signup` for the receipt of a grant outside of the run.
    `update_time_ns` guards the next write.
    """

    job_id: str
    update_time_ns: int
    status: str | None
    kind: str | None
    run_id: str | None
    root_id: str | None
    chain_id: str | None
    retry_job_id: str | None
    scheduled_for: datetime | None
    due_at: datetime | None
    visible_at: datetime | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    attempts: int
    max_attempts: int
    requeues: int
    user_ids: tuple[str, ...]
    remaining: tuple[str, ...]
    receipts: tuple[Mapping[str, Any], ...]
    kept: tuple[Mapping[str, Any], ...]
    failures: tuple[UserFailure, ...]
    refreshed: int
    skipped: int
    failed: int
    retried: int
    late: int
    processing_ms: int
    reads: int
    writes: int

    @property
    def is_dead_letter(self) -> bool:
        return self.status == JobStatus.FAILED

    @property
    def settled_users(self) -> int:
        """Users that have left the job, for good or for a retry."""
        return self.refreshed + self.skipped + self.failed + self.retried

    @property
    def failed_for_good(self) -> list[UserFailure]:
        """The failures of users that this job settled. `failures` also names those who left for a retry."""
        failed = {receipt.get("userId") for receipt in self.receipts if receipt.get("outcome") == "failed"}
        return [each for each in self.failures if each.user_id in failed or not each.user_id]

    def receipt_of(self, user_id: str) -> Mapping[str, Any] | None:
        """What this job did to the user; None if it has not settled that user."""
        return next((each for each in (*self.receipts, *self.kept) if each.get("userId") == user_id), None)

    def failure_of(self, user_id: str) -> UserFailure | None:
        return next((each for each in self.failures if each.user_id == user_id), None)


def stored_job(document: Any) -> StoredJob:
    """The job of a Document message."""
    fields = get_fields(document.fields)
    text, time, number = _reader(fields, str), _reader(fields, datetime), _reader(fields, int)
    return StoredJob(
        job_id=document.name.rpartition("/")[2],
        update_time_ns=nanoseconds(document.update_time),
        status=text("status"),
        kind=text("kind"),
        run_id=text("runId"),
        root_id=text("rootId"),
        chain_id=text("chainId"),
        retry_job_id=text("retryJobId"),
        scheduled_for=time("scheduledFor"),
        due_at=time("dueAt"),
        visible_at=time("visibleAt"),
        created_at=time("createdAt"),
        started_at=time("startedAt"),
        completed_at=time("completedAt"),
        attempts=number("attempts") or 0,
        max_attempts=number("maxAttempts") or 0,
        requeues=number("requeues") or 0,
        user_ids=_texts(fields.get("userIds")),
        remaining=_texts(fields.get("remaining")),
        receipts=_maps(fields.get("receipts")),
        kept=_maps(fields.get("kept")),
        failures=tuple(map(_failure, _maps(fields.get("errors")))),
        refreshed=number("refreshedUsers") or 0,
        skipped=number("skippedUsers") or 0,
        failed=number("failedUsers") or 0,
        retried=number("retriedUsers") or 0,
        late=number("lateUsers") or 0,
        processing_ms=number("processingMs") or 0,
        reads=number("reads") or 0,
        writes=number("writes") or 0,
    )


def _reader(fields: Mapping[str, Any], kind: type[T]) -> Callable[[str], T | None]:
    """A reader for fields of one type. A value of any other type counts as absent."""

    def read(name: str) -> T | None:
        value = fields.get(name)
        return value if isinstance(value, kind) and not isinstance(value, bool) else None

    return read


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _maps(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def _failure(error: Mapping[str, Any]) -> UserFailure:
    code, message = error.get("code"), error.get("error")
    return UserFailure(
        str(error.get("userId") or ""),
        code if isinstance(code, str) else None,
        message if isinstance(message, str) else None,
    )


def failures_of(errors: Sequence[Mapping[str, Any]]) -> list[UserFailure]:
    """The failures that a run's builder noted."""
    return [_failure(error) for error in errors]
