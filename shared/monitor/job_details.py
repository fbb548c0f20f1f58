"""The monitor's answer about one job: its attempts, what became of its users, and a filter for the log.

It costs one read.
"""

from __future__ import annotations

from typing import Any

from shared.core.errors import NotFoundError
from shared.monitor.json_values import iso
from shared.monitor.overview_answer import job_summary
from shared.monitor.user_history import receipt_answer
from shared.services.context import Context
from shared.store.stored_jobs import StoredJob, UserFailure


def read_job(context: Context, job_id: str) -> StoredJob:
    """Read the job. Raises NotFoundError."""
    job = context.job_views().get(job_id)
    if job is None:
        raise NotFoundError("job_not_found", "there is no such job; it may be past its retention", "jobId")
    return job


def job_answer(job: StoredJob) -> dict[str, Any]:
    """The job as JSON. `users` holds every user of the job; as long as a user is not settled, `outcome` is null."""
    return {
        **job_summary(job),
        "users": [_user(job, user_id) for user_id in _users_of(job)],
        "settledUsers": job.settled_users,
        "kind": job.kind,
        "maxAttempts": job.max_attempts,
        "requeues": job.requeues,
        "rootId": job.root_id,
        "retryJobId": job.retry_job_id,
        "createdAt": iso(job.created_at),
        "startedAt": iso(job.started_at),
        "dueAt": iso(job.due_at),
        "visibleAt": iso(job.visible_at),
        "cost": {"reads": job.reads, "writes": job.writes},
        "logFilter": f'jsonPayload.jobId="{job.job_id}"',
    }


def _users_of(job: StoredJob) -> list[str]:
    """All users of the job, each once and failed ones first. `kept` are receipts from before a requeue."""
    failed = {failure.user_id for failure in job.failed_for_good}
    with_receipt = [str(receipt.get("userId")) for receipt in (*job.receipts, *job.kept)]
    return sorted(dict.fromkeys([*job.user_ids, *with_receipt]), key=lambda user_id: user_id not in failed)


def _user(job: StoredJob, user_id: str) -> dict[str, Any]:
    failure = job.failure_of(user_id) or UserFailure(user_id, None, None)
    return {
        "userId": user_id,
        **receipt_answer(job.receipt_of(user_id) or {}),
        "code": failure.code,
        "error": failure.error,
    }
