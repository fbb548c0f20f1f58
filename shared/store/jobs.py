"""Jobs: the queue in Firestore.

An open job has `visibleAt`. A claim moves it to the end of the lease. An open job also has `dueAt`, the moment since
which the first of its users waits. Neither claims nor retries move it, so the lag of the queue is the age of the oldest
`dueAt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.core.errors import ConflictError
from shared.core.figures import RequeuePlan, sum_figures
from shared.core.jobs import REQUEUE_MARK, Job, JobStatus, Settlement
from shared.core.packing import pack_mends
from shared.store.job_documents import Claim, DueJob, QueueCursor, encode_job, has_too_many_users
from shared.store.messages import DOCUMENT_ID, add_filters, add_order, new_query, new_write
from shared.store.rollups import RollupStore
from shared.store.stored_jobs import StoredJob
from shared.store.values import (
    Reference,
    WritePb,
    get_fields,
    get_time,
    nanoseconds,
    put,
    put_fields,
    put_nanoseconds,
)
from shared.store.wire import Wire

# What an open job has, and a settled one has not.
OPEN_FIELDS = ("visibleAt", "dueAt", "snapshots", "mends", "remaining", "kept")

ID_END = "\uf8ff"  # sorts behind whatever follows a prefix of an id


class JobStore:
    """The jobs' collection through one call's wire."""

    def __init__(self, wire: Wire, prefix: str, retention: timedelta) -> None:
        self._wire = wire
        self._prefix = prefix
        self._retention = retention
        self._collection_id = f"{prefix}_jobs"

    def due(self, now: datetime, limit: int, after: QueueCursor | None = None) -> list[DueJob]:
        """Jobs that are visible at `now`, longest visible first. `after`: only those behind this position."""
        wanted = new_query(self._collection_id, limit)
        add_filters(wanted, [("visibleAt", "<=", now)])
        add_order(wanted, "visibleAt")
        add_order(wanted, DOCUMENT_ID)
        if after is not None:
            put(wanted.start_at.values.add(), after.visible_at)
            put(wanted.start_at.values.add(), Reference(self._name(after.job_id)))
        return self._wire.run_query(self._wire.documents, wanted, _due_job)

    def users_of_open_jobs(self, id_prefix: str, limit: int) -> frozenset[str]:
        """Users of up to so many open jobs whose ids begin with this. Costs a read for each job, at least one."""
        wanted = new_query(self._collection_id, limit, ["userIds"])
        open_statuses = [JobStatus.PENDING.value, JobStatus.PROCESSING.value]
        within = [(DOCUMENT_ID, ">=", id_prefix), (DOCUMENT_ID, "<", id_prefix + ID_END)]
        ids = [(path, operator, Reference(self._name(job_id))) for path, operator, job_id in within]
        add_filters(wanted, [("status", "in", open_statuses), *ids])
        found = self._wire.run_query(self._wire.documents, wanted, _user_ids)
        return frozenset(user_id for user_ids in found for user_id in user_ids)

    def claim(self, due_jobs: Sequence[DueJob], token: str, now: datetime, lease: timedelta) -> list[Claim]:
        """Claim each of these jobs and count the attempt. Jobs that another worker claimed first are left out."""
        answers = self._wire.batch_write([self._claim_write(due_job, token, now, lease) for due_job in due_jobs])
        claims, lost = [], []
        for due_job, answer in zip(due_jobs, answers, strict=True):
            if answer.code == 0:
                claims.append(Claim(due_job, token, due_job.attempts + 1, now, answer.update_time_ns))
            elif answer.retried:
                lost.append(due_job)
        return claims + self.find_own_claims(lost, token, now)

    def find_own_claims(self, due_jobs: Sequence[DueJob], token: str, now: datetime) -> list[Claim]:
        """The jobs with our token: we claimed them in a try whose reply was lost."""
        if not due_jobs:
            return []
        found = self._wire.batch_get([self._name(due_job.job_id) for due_job in due_jobs], ["leaseToken"])
        claims = []
        for due_job in due_jobs:
            document = found.get(self._name(due_job.job_id))
            if document is not None and document.fields["leaseToken"].string_value == token:
                claims.append(Claim(due_job, token, due_job.attempts + 1, now, nanoseconds(document.update_time)))
        return claims

    def create_claimed(self, job: Job, token: str, now: datetime, lease: timedelta) -> Claim | None:
        """Create a job that is claimed from the start; None if there is one of that id already."""
        due_job, write = DueJob(job.job_id, self.create_write(job).update.fields, 0, now), self.create_write(job)
        claimed = {
            "status": JobStatus.PROCESSING.value,
            "attempts": 1,
            "startedAt": now,
            "visibleAt": now + lease,
            "leaseToken": token,
        }
        put_fields(write.update.fields, claimed)
        try:
            (update_time_ns,) = self._wire.commit([write])
        except ConflictError as exc:
            own = self.find_own_claims([due_job], token, now) if exc.may_be_our_own else []
            return own[0] if own else None
        return Claim(due_job, token, 1, now, update_time_ns)

    def settle(
        self, claim: Claim, settlement: Settlement, figures: Mapping[str, int], increments: Mapping[str, int]
    ) -> None:
        """End the job, create its retry job and count it, in one Commit. Raises ConflictError if the claim is lost.

        `figures` are the job's own. `increments` are added to its run's roll-up, by field path.
        """
        job = settlement.job
        ended = self._settled_fields(settlement, figures)
        if has_too_many_users(claim.due_job.fields):
            ended["userIds"] = job.user_ids
        end = self._update(claim.due_job.job_id, ended, claim.update_time_ns, OPEN_FIELDS)
        writes = [self._delete(claim) if settlement.leaves_nothing else end]
        writes += [self.create_write(new_job) for new_job in settlement.new_jobs]
        if job.kind is None:
            rollups = RollupStore(self._wire, self._prefix)
            writes.append(rollups.write(job.run_id, job.job_id, increments, one_shard=job.is_of_few))
        self._commit_ours(writes, claim, settled=True)

    def receipt_write(self, settlement: Settlement, figures: Mapping[str, int]) -> Any:
        """The write of a job that is settled from the start: the receipt of a grant without the queue."""
        fields = {**encode_job(settlement.job, "[]", ""), **self._settled_fields(settlement, figures)}
        kept = {name: value for name, value in fields.items() if name not in OPEN_FIELDS}
        return new_write(self._name(settlement.job.job_id), kept)

    def _settled_fields(self, settlement: Settlement, figures: Mapping[str, int]) -> dict[str, Any]:
        """The fields that a settled job gets."""
        job, retry = settlement.job, settlement.retry
        ended: dict[str, Any] = {
            "status": job.status.value,
            "runId": job.run_id,  # an unreadable job gets the run that it is counted in
            "completedAt": settlement.ended_at,
            "expireAt": settlement.ended_at + self._retention,
            "receipts": settlement.receipts,
            "errors": settlement.errors,
            "retryJobId": job.earlier.retry_job_id if retry is None else retry.job_id,
            **sum_figures(job.earlier.figures, figures),
        }
        return ended if job.kind is None else {**ended, "userIds": settlement.named_users}

    def release(self, claim: Claim, visible_at: datetime, *, database_failed: bool = False) -> None:
        """Release a claim. The attempt does not count.

        `database_failed`: the job was begun, and the database failed. The job counts these failures.
        """
        fields = {"status": JobStatus.PENDING.value, "attempts": claim.attempts - 1, "visibleAt": visible_at}
        if database_failed:
            fields["databaseFailures"] = claim.due_job.database_failures + 1
        self._commit_ours([self._update(claim.due_job.job_id, fields, claim.update_time_ns)], claim, settled=False)

    def requeue(self, dead: StoredJob, plan: RequeuePlan, run_id: str, now: datetime) -> None:
        """Make a dead letter pending again, only for the users who failed.

        Raises ConflictError if somebody was first.
        """
        number = dead.requeues + 1
        fields = {
            "status": JobStatus.PENDING.value,
            "visibleAt": now,
            "dueAt": now,
            "attempts": 0,
            "requeues": number,
            "chainId": f"{dead.job_id}{REQUEUE_MARK}{number}",
            "kept": list(plan.receipts),
            "failedUsers": 0,
            "lateUsers": dead.late - len(plan.user_ids),
            "errors": [],
            **({"remaining": list(plan.user_ids)} if plan.user_ids else {}),
        }
        write = self._update(
            dead.job_id, fields, dead.update_time_ns, ("completedAt", "expireAt", "receipts", "databaseFailures")
        )
        rollup = RollupStore(self._wire, self._prefix).write(run_id, dead.job_id, plan.taken_back)
        self._wire.commit([write, rollup])

    def create_write(self, job: Job, snapshots: str = "[]", mends: str = "") -> Any:
        """The write that creates a job. It fails if the job exists. `mends`: those of `job`, if they are packed."""
        message = WritePb()
        message.update.name = self._name(job.job_id)
        put_fields(message.update.fields, encode_job(job, snapshots, mends or pack_mends(job.mends)))
        message.current_document.exists = False
        return message

    def _claim_write(self, due_job: DueJob, token: str, now: datetime, lease: timedelta) -> Any:
        fields = {
            "status": JobStatus.PROCESSING.value,
            "attempts": due_job.attempts + 1,
            "startedAt": now,
            "visibleAt": now + lease,
            "leaseToken": token,
        }
        return self._update(due_job.job_id, fields, due_job.update_time_ns)

    def _commit_ours(self, writes: Sequence[Any], claim: Claim, *, settled: bool) -> None:
        try:
            self._wire.commit(writes)
        except ConflictError as exc:
            if not (exc.may_be_our_own and self._has_landed(claim, settled=settled, deleted=bool(writes[0].delete))):
                raise

    def _has_landed(self, claim: Claim, *, settled: bool, deleted: bool = False) -> bool:
        document = self._wire.get(self._name(claim.due_job.job_id))
        if document is None:
            return deleted
        fields = get_fields(document.fields)
        return fields.get("leaseToken") == claim.token and (fields.get("completedAt") is not None) is settled

    def _update(self, job_id: str, fields: dict[str, Any], update_time_ns: int, gone: Sequence[str] = ()) -> Any:
        message = WritePb()
        message.update.name = self._name(job_id)
        put_fields(message.update.fields, fields)
        message.update_mask.field_paths.extend([*fields, *gone])
        put_nanoseconds(message.current_document.update_time, update_time_ns)
        return message

    def _delete(self, claim: Claim) -> Any:
        message = WritePb(delete=self._name(claim.due_job.job_id))
        put_nanoseconds(message.current_document.update_time, claim.update_time_ns)
        return message

    def _name(self, job_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{job_id}"


def _due_job(document: Any) -> DueJob:
    return DueJob(
        document.name.rpartition("/")[2],
        document.fields,
        nanoseconds(document.update_time),
        get_time(document.fields["visibleAt"].timestamp_value),
    )


def _user_ids(document: Any) -> list[str]:
    return [value.string_value for value in document.fields["userIds"].array_value.values]
