"""The failed users of a run, page by page, until all of them have been shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.monitor.overview_answer import failure_answer
from shared.services.context import Context
from shared.store.stored_jobs import StoredJob, UserFailure, failures_of

PAGE_USERS = 100  # a page ends with the job that reaches it, and so may hold a few hundred more
QUERY_JOBS = 10
QUERIES_MAX = 3  # of one page: failures of a rare cause may be far apart


@dataclass(frozen=True, slots=True)
class FailedUser:
    """One failed user; `job_id` is None for one that the builder found. `since`: the day from which on its scans have
    found the user to fail."""

    failure: UserFailure
    job_id: str | None
    at: datetime | None
    since: str | None = None


@dataclass(frozen=True, slots=True)
class FailuresPage:
    """Some failed users. `cursor`: what to ask for the next page with; None at the end. `unnamed`: users of whom the
    run only keeps the number."""

    users: Sequence[FailedUser]
    cursor: str | None
    unnamed: int = 0


def read_failures(context: Context, day: date, code: str | None, cursor: str | None) -> FailuresPage:
    """Read a page of the day's failed users: the builder's first, then those in dead letters. `code`: only these.

    Costs 30 reads at most; the first page one more, and one for each document of the follow-up list.
    """
    found, unnamed = _read_of_builder(context, day, code) if cursor is None else ([], 0)
    for _ in range(QUERIES_MAX):
        jobs = context.job_views().failed(day.isoformat(), QUERY_JOBS, cursor)
        for job in jobs:
            found += _of_job(job, code)
            cursor = job.job_id
            if len(found) >= PAGE_USERS:
                break
        if len(jobs) < QUERY_JOBS and (not jobs or cursor == jobs[-1].job_id):
            return FailuresPage(_in_order(found), None, unnamed)
        if len(found) >= PAGE_USERS:
            break
    return FailuresPage(_in_order(found), cursor, unnamed)


def all_failures(context: Context, day: date, code: str | None, users_max: int) -> Iterator[FailedUser]:
    """Failed users in dead letters, page after page, until `users_max` are found or the end is reached."""
    cursor, found = None, 0
    while found < users_max:
        page = read_failures(context, day, code, cursor)
        in_jobs = [user for user in page.users if user.job_id is not None]
        yield from in_jobs[: users_max - found]
        found += len(in_jobs)
        cursor = page.cursor
        if cursor is None:
            return


def failures_answer(page: FailuresPage) -> dict[str, Any]:
    """The page as JSON."""
    return {
        "users": [failure_answer(user.failure, user.job_id, user.at) | {"since": user.since} for user in page.users],
        "cursor": page.cursor,
        "unnamedUsers": page.unnamed,
    }


def _read_of_builder(context: Context, day: date, code: str | None) -> tuple[list[FailedUser], int]:
    """The users whom the day's scan found to fail, and how many more of them are not kept by name.

    They are in the follow-up list of the scan; a run of before there were such lists keeps the first hundred itself.
    """
    stored = context.runs().get(day.isoformat())
    if stored is None or not stored.run.errors_total:
        return [], 0
    run = stored.run
    entries = context.follow_up().read(run.run_id, run.generation) or run.errors
    users = [
        FailedUser(failure, None, run.built_at, _text(entry.get("since")))
        for failure, entry in zip(failures_of(entries), entries, strict=True)
        if failure.code is not None and code in (None, failure.code)
    ]
    total = run.errors_total if code is None else run.errors_by_code.get(code, 0)
    return users, max(0, total - len(users))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _of_job(job: StoredJob, code: str | None) -> list[FailedUser]:
    return [
        FailedUser(failure, job.job_id, job.completed_at)
        for failure in job.failed_for_good
        if code in (None, failure.code)
    ]


def _in_order(users: list[FailedUser]) -> list[FailedUser]:
    """Newest first, those of one moment by id."""
    by_id = sorted(users, key=lambda user: user.failure.user_id)
    return sorted(by_id, key=lambda user: "" if user.at is None else user.at.isoformat(), reverse=True)
