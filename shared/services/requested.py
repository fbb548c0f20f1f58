"""Users who request a refresh: the app sets `refreshRequested` in a user's stamp, and the next worker call does it.

The worker makes claimed jobs of them, and works on these jobs like on all others. A worker that dies leaves a job
that another worker finds. The id of such a job follows from its users and their documents, so workers that find the
same users at the same time make one job of them.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.core.jobs import Job, JobKind, new_job_id
from shared.core.packing import in_job_sizes
from shared.services.context import Context
from shared.store.job_documents import Claim
from shared.store.users import UserDocument


@dataclass(frozen=True, slots=True)
class RequestJob:
    """A claimed job of users who request a refresh, and their documents as they were found."""

    claim: Claim
    documents: Mapping[str, UserDocument]


class RequestedUsers:
    """Users who request a refresh. One call of the worker meets each of them once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._after: str | None = None
        self.has_more = True

    def is_empty(self) -> bool:
        """True if nobody requests a refresh. Costs one read."""
        return not self._context.users().requested(1)

    def claim(self, jobs_max: int) -> list[RequestJob]:
        """Create and claim jobs of the next users. Jobs that another worker has made of the same users are left out."""
        limit = jobs_max * self._context.settings.job_size
        found = self._context.users().requested(limit, self._after)
        self.has_more = len(found) == limit
        self._after = found[-1].user_id if found else self._after
        documents = {document.user_id: document for document in found}
        chunks = in_job_sizes(list(documents), self._context.settings.job_size)
        jobs = [self._claim_job_of({user_id: documents[user_id] for user_id in chunk}) for chunk in chunks]
        return [job for job in jobs if job is not None]

    def _claim_job_of(self, documents: Mapping[str, UserDocument]) -> RequestJob | None:
        job = self._job(list(documents.values()))
        now, lease = self._context.clock(), self._context.lease
        claim = self._context.jobs().create_claimed(job, uuid.uuid4().hex, now, lease)
        return None if claim is None else RequestJob(claim, documents)

    def _job(self, documents: Sequence[UserDocument]) -> Job:
        now = self._context.clock()
        day = self._context.schedule.day_of(now)
        text = "\n".join(f"{document.user_id} {document.update_time_ns}" for document in documents)
        token = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        job_id = new_job_id(day.isoformat(), JobKind.REQUEST.value, token)
        return Job(
            job_id=job_id,
            root_id=job_id,
            run_id=day.isoformat(),
            day=day,
            scheduled_for=now,
            visible_at=now,
            user_ids=tuple(document.user_id for document in documents),
            max_attempts=self._context.settings.max_attempts,
            created_at=now,
            kind=JobKind.REQUEST,
        )
