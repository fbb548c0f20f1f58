"""Users who request a refresh: the app sets `refreshRequested` in a user's stamp, and the next worker call does it.

The worker makes claimed jobs of them, and works on these jobs like on all others. A worker that dies leaves a job
that another worker finds. The id of such a job follows from its users and their documents, so workers that find the
same users at the same time make one job of them.

Users of a request job that is still open are left to it. Otherwise a user who breaks each job would be in a new job at
each call, together with whoever asks next. None of these jobs would fail often enough to be isolated.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from shared.core.jobs import Job, JobKind, new_job_id
from shared.core.packing import in_job_sizes
from shared.services.context import Context
from shared.store.job_documents import Claim
from shared.store.users import UserDocument

OPEN_JOBS_MAX = 500  # open jobs whose users are left out; one user in two jobs is granted once all the same


@dataclass(frozen=True, slots=True)
class RequestJob:
    """A claimed job of users who request a refresh, and their documents as they were found."""

    claim: Claim
    documents: Mapping[str, UserDocument]


class RequestedUsers:
    """Users who request a refresh. One call of the worker meets each of them once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._first: list[UserDocument] = []  # found by `is_empty`, and not claimed yet
        self._after: str | None = None
        self._in_open_jobs: frozenset[str] | None = None
        self.has_more = True

    def is_empty(self) -> bool:
        """True if nobody requests a refresh. Costs one read."""
        self._first = self._next(1)
        return not self._first

    def claim(self, jobs_max: int) -> list[RequestJob]:
        """Create and claim jobs of the next users. Jobs that another worker has made of the same users are left out.

        So are users of open jobs.
        """
        limit = jobs_max * self._context.settings.job_size
        found, self._first = [*self._first, *self._next(limit - len(self._first))], []
        taken = self._users_of_open_jobs()
        documents = {document.user_id: document for document in found if document.user_id not in taken}
        chunks = in_job_sizes(list(documents), self._context.settings.job_size)
        jobs = [self._claim_job_of({user_id: documents[user_id] for user_id in chunk}) for chunk in chunks]
        return [job for job in jobs if job is not None]

    def _next(self, limit: int) -> list[UserDocument]:
        """The next users who request a refresh."""
        if limit <= 0 or not self.has_more:
            return []
        found = self._context.users().requested(limit, self._after)
        self.has_more = len(found) == limit
        self._after = found[-1].user_id if found else self._after
        return found

    def _users_of_open_jobs(self) -> frozenset[str]:
        """Users of the day's request jobs that are not settled yet. They are read once, before this call makes any."""
        if self._in_open_jobs is None:
            first_id = self._job_id("")
            self._in_open_jobs = self._context.jobs().users_of_open_jobs(first_id, OPEN_JOBS_MAX)
        return self._in_open_jobs

    def _claim_job_of(self, documents: Mapping[str, UserDocument]) -> RequestJob | None:
        job = self._job(list(documents.values()))
        now, lease = self._context.clock(), self._context.lease
        claim = self._context.jobs().create_claimed(job, uuid.uuid4().hex, now, lease)
        return None if claim is None else RequestJob(claim, documents)

    def _job(self, documents: Sequence[UserDocument]) -> Job:
        now = self._context.clock()
        day = self._day
        text = "\n".join(f"{document.user_id} {document.update_time_ns}" for document in documents)
        token = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        job_id = self._job_id(token)
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

    def _job_id(self, token: str) -> str:
        return new_job_id(self._day.isoformat(), JobKind.REQUEST.value, token)

    @property
    def _day(self) -> date:
        return self._context.schedule.day_of(self._context.clock())
