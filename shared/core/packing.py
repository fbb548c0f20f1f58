"""Packing due users into jobs: one job, one slot. Bounded in users, bytes and documents, never by pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.core.jobs import Snapshot
from shared.core.plans import INT64_MAX
from shared.core.service_level import is_on_time

FLUSH_JOBS_MAX = 440  # a commit stays under 450 writes
FLUSH_BYTES_MAX = 5_500_000  # … and under 6 MB
# Firestore counts the index entries that a commit makes towards its 10 MiB: one a user, as jobs are found by user.
TRANSACTION_BYTES_MAX = 9_600_000
INDEX_ENTRY_BYTES = 125  # beside the user's id: the job's path, the field's name and what each entry takes
JOB_BYTES_MAX = 450_000  # a job stays under 500 KB, receipts and errors included
USER_BYTES_SETTLED = 280  # field names and numbers of one receipt and one error, beside the ids


@dataclass(frozen=True, slots=True)
class Batch:
    """The users of one job to be; `snapshots` is the JSON array stored with it. `due_at`: the first of them was."""

    scheduled_for: datetime
    due_at: datetime
    user_ids: tuple[str, ...]
    snapshots: str


# The slot, and whether its users are late already: who is not should not be counted with who is.
_Key = tuple[datetime, bool]


class _Bucket:
    __slots__ = ("bytes", "due_at", "snapshots", "user_ids")

    def __init__(self, due_at: datetime) -> None:
        self.due_at = due_at
        self.user_ids: list[str] = []
        self.snapshots: list[str] = []
        self.bytes = 0


class Packer:
    """Collects users by slot until a flush is due. What it holds is bounded by the flush, whatever the population."""

    def __init__(
        self, job_size: int, flush_jobs_max: int = FLUSH_JOBS_MAX, flush_bytes_max: int = FLUSH_BYTES_MAX
    ) -> None:
        self._job_size = job_size
        self._flush_jobs_max = flush_jobs_max
        self._flush_bytes_max = flush_bytes_max
        self._open: dict[_Key, _Bucket] = {}
        self._full: list[Batch] = []
        self._bytes = 0
        self._index_bytes = 0

    @property
    def is_full(self) -> bool:
        """True when the next flush must come before the next user."""
        too_big = self._bytes >= self._flush_bytes_max or self._bytes + self._index_bytes >= TRANSACTION_BYTES_MAX
        return too_big or len(self._full) + len(self._open) >= self._flush_jobs_max

    def add(self, scheduled_for: datetime, user_id: str, snapshot: Snapshot, due_at: datetime | None = None) -> None:
        """Hold a user. `due_at`: since when it waits, if its slot has passed."""
        due_at = due_at or scheduled_for
        key = (scheduled_for, not is_on_time(due_at, scheduled_for))
        packed = pack_snapshot(snapshot)
        id_bytes = len(user_id.encode())
        settled_bytes = 3 * id_bytes + max(USER_BYTES_SETTLED, len(packed))
        bucket = self._open.get(key)
        if bucket is not None and bucket.bytes + settled_bytes > JOB_BYTES_MAX:
            self._close(key)
            bucket = None
        if bucket is None:
            bucket = self._open[key] = _Bucket(due_at)
        bucket.due_at = min(bucket.due_at, due_at)
        bucket.user_ids.append(user_id)
        bucket.snapshots.append(packed)
        bucket.bytes += settled_bytes
        self._bytes += id_bytes + len(packed) + 8
        self._index_bytes += id_bytes + INDEX_ENTRY_BYTES
        if len(bucket.user_ids) >= self._job_size:
            self._close(key)

    def drain(self) -> list[Batch]:
        """Every user held, in jobs; earliest slot first. The packer is empty afterwards."""
        for key in list(self._open):
            self._close(key)
        batches = sorted(self._full, key=lambda batch: batch.scheduled_for)
        self._full, self._bytes, self._index_bytes = [], 0, 0
        return batches

    def _close(self, key: _Key) -> None:
        bucket = self._open.pop(key)
        snapshots = f"[{','.join(bucket.snapshots)}]"
        self._full.append(Batch(key[0], bucket.due_at, tuple(bucket.user_ids), snapshots))


def pack_snapshot(snapshot: Snapshot) -> str:
    """One snapshot as a JSON array. Whole and fractional balances stay apart: 5 and 5.0."""
    granted_on = None if snapshot.granted_on is None else snapshot.granted_on.isoformat()
    return json.dumps(
        [snapshot.update_time_ns, snapshot.balance, snapshot.plan, granted_on, snapshot.anchor.isoformat()],
        separators=(",", ":"),
    )


def unpack_snapshots(text: str) -> tuple[Snapshot, ...]:
    """Read the array a job carries. Raises ValueError if it is not one."""
    try:
        return tuple(_snapshot(*packed) for packed in json.loads(text))
    except (TypeError, RecursionError) as exc:
        raise ValueError("not an array of snapshots") from exc


def _snapshot(update_time_ns: Any, balance: Any, plan: Any, granted_on: Any, anchor: Any) -> Snapshot:
    if type(update_time_ns) is not int or not 0 <= update_time_ns <= INT64_MAX:
        raise ValueError("an update time is a whole number of nanoseconds")
    if type(balance) not in (int, float) or not isinstance(plan, str | None):
        raise ValueError("a balance is a number, a plan a text or null")
    return Snapshot(
        update_time_ns,
        balance,
        plan,
        None if granted_on is None else date.fromisoformat(granted_on),
        date.fromisoformat(anchor),
    )
