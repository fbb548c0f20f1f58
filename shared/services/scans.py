"""The runs of some days, as one call of the worker needs them. Each run is read once in a call.

These rules hold for a job whose day is over:

1. A job that a newer scan of the same day has replaced is closed unread.
2. A job of yesterday is worked for its own day, because a slot of 23:55 may be settled at 00:01. If today's scan by
   date did not see a user, the user also gets a job of today, at the usual slot (see `passed_by`). Without that job
   the user would lose today: at the scan the `dueOn` had not come, and the grant writes a new one only afterwards.
3. An older job is closed unread if a later day's scan is complete, because that scan found everybody who was due. If no
   later scan is complete, the job is worked for the present day.
4. A requeued job, and a job that no scan made, is worked for the present day.

Nobody is granted twice for a period by this: each grant is stamped with the start of its period.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from shared import logs
from shared.core.errors import UnreadableRunError
from shared.core.jobs import Job
from shared.core.late import OWN_DAY_ENDS_AFTER, is_met, is_outdated, is_scanned, was_passed_by
from shared.core.periods import days_of_longest_period
from shared.core.ranges import ScanRange, due
from shared.core.runs import Run, Scan
from shared.core.users import User
from shared.services.context import Context


class Scans:
    """The runs of some days, through one call's context. Safe under threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._runs: dict[date, Run | None] = {}

    def day_to_work_for(self, job: Job, today: date) -> date | None:
        """The day whose period the job's users are granted. None: the job must be closed unread."""
        if job.is_requeued or job.kind is not None:
            return max(today, job.day)
        if is_outdated(job, self._run(job.day)):
            return None
        if today - self._day_of_slot(job) <= OWN_DAY_ENDS_AFTER:
            return job.day
        yesterday = today - timedelta(days=1)
        return None if is_scanned(self._run(today)) or is_scanned(self._run(yesterday)) else today

    def _day_of_slot(self, job: Job) -> date:
        """The day in which the job was due. A slot may lie past the end of the job's day."""
        schedule = self._context.schedule
        due = min(job.scheduled_for, self._context.clock())
        return job.day if due <= schedule.day_start(job.day) else schedule.day_of(due)

    def passed_by(self, job: Job, granted: Sequence[str], users: Mapping[str, User | None], today: date) -> list[str]:
        """The users that the job granted and today's scan passed by. Call it only after the grants.

        A scan of everybody passes nobody by, and a scan that begins after the grants sees the `dueOn` they wrote.
        `users`: as they were before the grant.
        """
        plans, ranges = self._context.plans, self._ranges(today)
        missed = [user_id for user_id in granted if was_passed_by(users.get(user_id), plans, job, today, ranges)]
        return missed if missed and self._has_due_scan(today) else []

    def missed(self, users: Mapping[str, User], today: date, *, were_mended: bool) -> list[str]:
        """The users, all due today, whom today's scan did not meet, because their stamps were wrong until now.

        Call it only after their stamps were mended. `were_mended`: an earlier try may have mended them after the scan.
        """
        plans, ranges = self._context.plans, self._ranges(today)
        missed = [user_id for user_id, user in users.items() if were_mended or not is_met(user, plans, ranges)]
        return missed if missed and self._has_due_scan(today) else []

    def _ranges(self, today: date) -> Sequence[ScanRange]:
        plans = self._context.plans
        return due(today, days_of_longest_period(plans), plans.low_below)

    def _has_due_scan(self, day: date) -> bool:
        run = self._run(day, must_exist=True)
        return run is not None and run.scan is Scan.DUE

    def generation(self, day: date) -> int:
        """The number of the day's present scan."""
        run = self._run(day)
        return 0 if run is None else run.generation

    def _run(self, day: date, *, must_exist: bool = False) -> Run | None:
        """The day's run. `must_exist`: read it again if there was none before."""
        with self._lock:
            known = self._runs.get(day)
            if day not in self._runs or (must_exist and known is None):
                known = self._runs[day] = self._read(day)
            return known

    def _read(self, day: date) -> Run | None:
        try:
            stored = self._context.runs().get(day.isoformat())
        except UnreadableRunError as exc:
            logs.error("run_unreadable", str(exc))
            return None
        return None if stored is None else stored.run
