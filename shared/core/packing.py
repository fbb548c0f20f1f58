"""Packing due users into jobs, each of one slot and one local date. Limits count users, bytes and documents, not pages.

Users are held until a flush, so a job fills with users of its slot from anywhere in the scan. A flush may need several
commits. Its users go into commits in order of slot and id, so a slot and an id say how far the flush has come.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from shared.core.hour_limit import HourLimit, Window
from shared.core.jobs import Snapshot
from shared.core.mending import Mend
from shared.core.plans import INT64_MAX
from shared.core.service_level import is_on_time

JOB_BYTES_MAX = 450_000  # keeps a job under 500 KB, receipts and errors included
OLDER_FORM_LENGTH = 5  # larger snapshots are left out, and their users are read again
USER_BYTES_SETTLED = 280  # one receipt and one error without the user's id


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """How much a flush and each of its commits may hold. A job that was begun may always be filled."""

    flush_users: int = 60_000  # 208 for each of a day's 288 slots of 300 s, so that no slot needs a second job
    flush_bytes: int = 12_000_000  # ids and snapshots in memory
    flush_jobs: int = 3_500  # eight commits, which a builder can still make when its time is up
    commit_jobs: int = 440  # keeps a commit under 450 writes
    # Keeps a commit under 6 MB. Firestore's limit of 10 MiB includes index entries: one for each user, of the id and
    # about 125 bytes. While a commit is sent, memory holds several copies of it.
    commit_bytes: int = 2_000_000
    flush_mends: int = 10_000  # they fit into one commit, after the users' jobs


FLUSH_LIMITS = FlushLimits()


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A job to be created. `snapshots` is the JSON array stored with it; `due_at` is when its first user was due."""

    scheduled_for: datetime
    due_at: datetime
    user_ids: tuple[str, ...]
    snapshots: str
    mends: str = ""
    local_date: date | None = None
    users_by_plan: Mapping[str, int] = field(default_factory=dict)


class SlotPosition(NamedTuple):
    """A user's position in the order of a flush."""

    slot: datetime
    user_id: str


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """The jobs of one commit of a flush. `last` is the position of its last user, or None without users."""

    drafts: tuple[JobDraft, ...]
    last: SlotPosition | None

    @property
    def users(self) -> int:
        return sum(len(draft.user_ids) for draft in self.drafts)


class JobTerms(NamedTuple):
    """What a user's job has to respect, beside the slot."""

    due_at: datetime | None = None  # since when the user waits, if the slot has passed; None: due at its slot
    local_date: date | None = None  # the user's; None: the run's day
    window: Window | None = None  # where the slot may be moved if its hour is full; None: it stays
    plan: str = ""  # its present name


class PendingUser(NamedTuple):
    """A user who is held until the flush. Sorts by id."""

    user_id: str
    snapshot: str
    terms: JobTerms


ANY_JOB = JobTerms()


class Packer:
    """Holds users by slot until a flush is due. It holds a bounded number, for any population.

    Users whose slot has passed share jobs that are scheduled for `now`. `put_off`: how far users of a thinly
    filled slot may be put off, so that they share a job with users of later slots. `hour_limit`: how many users an hour
    may hold; the others are moved to another hour when the flush begins.
    """

    def __init__(
        self,
        job_size: int,
        now: datetime,
        bounds: FlushLimits = FLUSH_LIMITS,
        put_off: timedelta = timedelta(),
        hour_limit: HourLimit | None = None,
    ) -> None:
        self._job_size = job_size
        self._put_off = put_off
        self._hour_limit = hour_limit
        self._moved: dict[SlotPosition, datetime] = {}  # users of this flush whose slot is another one today
        self._times: dict[datetime, datetime] = {}  # of the slots of this flush: when their jobs are due
        self._now = now
        self._bounds = bounds
        self._slots: defaultdict[datetime, list[PendingUser]] = defaultdict(list)
        self._sizes: Counter[tuple[datetime, date | None]] = Counter()  # users by slot and local date
        self._users = self._jobs = self._bytes = 0
        self._mends: list[str] = []

    @property
    def is_full(self) -> bool:
        """True when a flush is needed before the next user is added."""
        bounds = self._bounds
        too_big = self._users >= bounds.flush_users or self._bytes >= bounds.flush_bytes
        return too_big or self._jobs >= bounds.flush_jobs or len(self._mends) >= bounds.flush_mends

    @property
    def is_empty(self) -> bool:
        return not self._slots and not self._mends

    def add_mend(self, mend: Mend) -> None:
        """Hold a correction of a stamp. The last commit of the flush puts it into a job that has only corrections."""
        self._mends.append(pack_mend(mend))

    def add(self, position: SlotPosition, snapshot: Snapshot | None, terms: JobTerms = ANY_JOB) -> None:
        """Hold a user. `snapshot` None: the worker has to read the document."""
        users, packed = self._slots[position.slot], pack_snapshot(snapshot)
        self._jobs += self._sizes[position.slot, terms.local_date] % self._job_size == 0
        self._sizes[position.slot, terms.local_date] += 1
        self._users += 1
        self._bytes += len(position.user_id.encode()) + len(packed)
        users.append(PendingUser(position.user_id, packed, terms))

    def take(self, planned_by_hour: Mapping[int, int] | None = None) -> CommitBatch:
        """Take out the jobs of the next commit, earliest slot first. Their users are no longer held.

        `planned_by_hour`: users of the run that are in jobs already, by hour of its day.
        """
        commit, last = _Commit(self._job_size, self._bounds), None
        if not self._times:
            self._plan_times(planned_by_hour or {})
        for slot in sorted(self._slots):
            users = self._slots[slot]
            users.sort(reverse=True)
            while users and self._fits(commit, slot, users[-1]):
                last = SlotPosition(slot, users.pop().user_id)
            if users:
                break
            del self._slots[slot]
        if not self._slots:
            commit.add_mends(self._mends, self._now)
        if self.is_empty:
            self._users = self._jobs = self._bytes = 0
            self._sizes.clear()
            self._times, self._moved = {}, {}
        return CommitBatch(commit.drafts(), last)

    def _fits(self, commit: _Commit, slot: datetime, user: PendingUser) -> bool:
        """Put a user into the commit, at the time that this flush has planned. False if the commit is full."""
        due_slot = self._moved.get(SlotPosition(slot, user.user_id), slot) if self._moved else slot
        due_at = self._times[due_slot]
        return commit.add(user, due_at, max(due_at, self._now))

    def _plan_times(self, planned_by_hour: Mapping[int, int]) -> None:
        """Decide for all users of the flush when their jobs are due."""
        sizes = Counter({slot: len(users) for slot, users in self._slots.items()})
        if self._hour_limit is not None:
            slots = {
                slot: [(user.user_id, user.terms.window) for user in sorted(users)]
                for slot, users in self._slots.items()
            }
            moved = self._hour_limit.move_overflow(slots, planned_by_hour, self._now)
            self._moved = {SlotPosition(*position): slot for position, slot in moved.items()}
            sizes.subtract(position.slot for position in self._moved)
            sizes.update(self._moved.values())
        self._times = merge_slots(dict(sorted((+sizes).items())), self._job_size, self._put_off)


def merge_slots(users: Mapping[datetime, int], job_size: int, put_off: timedelta) -> dict[datetime, datetime]:
    """When each slot's jobs are due: at the slot, or up to `put_off` later, together with the slots that follow it.

    `users`: how many each slot holds, in order of time. Nobody is due before their slot. Slots are put together until
    they fill a job.
    """
    times: dict[datetime, datetime] = {}
    group: list[datetime] = []
    held = 0
    for slot, number in users.items():
        if group and (held >= job_size or slot - group[0] > put_off):
            times |= dict.fromkeys(group, group[-1])
            group, held = [], 0
        group.append(slot)
        held += number
    return times | (dict.fromkeys(group, group[-1]) if group else {})


# When a job is due, whether its users are late already, and their local date. Late users must not share a job with
# users on time.
_Key = tuple[datetime, bool, date | None]


class _Bucket:
    """A job that is being filled."""

    __slots__ = ("bytes", "due_at", "plans", "snapshots", "user_ids")

    def __init__(self, due_at: datetime) -> None:
        self.due_at = due_at
        self.user_ids: list[str] = []
        self.snapshots: list[str] = []
        self.plans: list[str] = []
        self.bytes = 0


class _Commit:
    """Fills jobs until a commit holds no more of them."""

    def __init__(self, job_size: int, bounds: FlushLimits) -> None:
        self._job_size = job_size
        self._bounds = bounds
        self._open: dict[_Key, _Bucket] = {}
        self._full: list[JobDraft] = []
        self._bytes = 0

    def add(self, user: PendingUser, slot: datetime, scheduled_for: datetime) -> bool:
        """Put a user into a job. False if that needs another job and the commit has no room for one."""
        due_at = user.terms.due_at or slot
        key = (scheduled_for, not is_on_time(due_at, scheduled_for), user.terms.local_date)
        id_bytes = len(user.user_id.encode())
        settled_bytes = 3 * id_bytes + max(USER_BYTES_SETTLED, len(user.snapshot))
        bucket = self._open.get(key)
        if bucket is not None and bucket.bytes + settled_bytes > JOB_BYTES_MAX:
            self._close(key)
            bucket = None
        if bucket is None:
            if self._is_full:
                return False
            bucket = self._open[key] = _Bucket(due_at)
        bucket.due_at = min(bucket.due_at, due_at)
        bucket.user_ids.append(user.user_id)
        bucket.snapshots.append(user.snapshot)
        bucket.plans.append(user.terms.plan)
        bucket.bytes += settled_bytes
        self._bytes += id_bytes + len(user.snapshot) + 8
        if len(bucket.user_ids) >= self._job_size:
            self._close(key)
        return True

    @property
    def _is_full(self) -> bool:
        jobs = len(self._full) + len(self._open)
        return self._bytes >= self._bounds.commit_bytes or jobs >= self._bounds.commit_jobs

    def add_mends(self, mends: list[str], now: datetime) -> None:
        """Move mends into jobs of their own that are due now, as many as the commit has room for."""
        while mends and not self._is_full:
            some = mends[: self._job_size]
            del mends[: self._job_size]
            packed = f"[{','.join(some)}]"
            self._full.append(JobDraft(now, now, (), "[]", packed))
            self._bytes += len(packed)

    def drafts(self) -> tuple[JobDraft, ...]:
        """The jobs, earliest first."""
        for key in list(self._open):
            self._close(key)
        return tuple(sorted(self._full, key=lambda draft: draft.scheduled_for))

    def _close(self, key: _Key) -> None:
        bucket = self._open.pop(key)
        snapshots = f"[{','.join(bucket.snapshots)}]"
        self._full.append(
            JobDraft(
                key[0],
                bucket.due_at,
                tuple(bucket.user_ids),
                snapshots,
                local_date=key[2],
                users_by_plan=Counter(bucket.plans),
            )
        )


def pack_mend(mend: Mend) -> str:
    """One mend as a JSON array."""
    return json.dumps([mend.user_id, mend.update_time_ns, dict(mend.corrections)], separators=(",", ":"))


def pack_mends(mends: Sequence[Mend]) -> str:
    """The mends of a job as a JSON array; empty if there are none."""
    return f"[{','.join(map(pack_mend, mends))}]" if mends else ""


def unpack_mends(text: str) -> tuple[Mend, ...]:
    """Read the array of mends in a job. Raises ValueError if it is not one."""
    try:
        return tuple(_mend(*packed) for packed in json.loads(text))
    except (TypeError, RecursionError) as exc:
        raise ValueError("not an array of mends") from exc


def _mend(user_id: Any, update_time_ns: Any, corrections: Any) -> Mend:
    if not isinstance(user_id, str) or type(update_time_ns) is not int or not 0 <= update_time_ns <= INT64_MAX:
        raise ValueError("a mend has a user and an update time in whole nanoseconds")
    if not isinstance(corrections, dict) or not all(isinstance(value, str | None) for value in corrections.values()):
        raise ValueError("corrections are texts or null by field")
    return Mend(user_id, update_time_ns, corrections)


def in_job_sizes(user_ids: Sequence[str], job_size: int) -> Iterator[Sequence[str]]:
    """The users in chunks that fit into a job, by number and by bytes."""
    start = size = 0
    for end, user_id in enumerate(user_ids):
        settled_bytes = 3 * len(user_id.encode()) + USER_BYTES_SETTLED
        if end > start and (end - start >= job_size or size + settled_bytes > JOB_BYTES_MAX):
            yield user_ids[start:end]
            start, size = end, 0
        size += settled_bytes
    if start < len(user_ids):
        yield user_ids[start:]


def pack_snapshot(snapshot: Snapshot | None) -> str:
    """One snapshot as a JSON array: five values that every user has, and an object of those that few have.

    Whole and fractional balances stay apart: 5 and 5.0.
    """
    if snapshot is None:
        return "null"
    fixed = [
        snapshot.update_time_ns,
        snapshot.balance,
        snapshot.plan,
        _text(snapshot.granted_on),
        _text(snapshot.anchor),
    ]
    return json.dumps([*fixed, _rare(snapshot)], separators=(",", ":"))


def _rare(snapshot: Snapshot) -> dict[str, Any]:
    values = (
        ("bought", snapshot.purchased),
        ("allowance", snapshot.own_allowance),
        ("cap", snapshot.own_cap),
        ("difference", snapshot.difference),
        ("given", _text(snapshot.given_on)),
        ("paused", snapshot.paused or None),
        ("adopt", snapshot.adopt or None),
        ("zone", snapshot.zone),
        ("activity", snapshot.activity),
    )
    return {name: value for name, value in values if value is not None}


def unpack_snapshots(text: str) -> tuple[Snapshot | None, ...]:
    """Read the array of snapshots in a job. None: the worker must read the user; so it is for all of an older form.

    Raises ValueError if it is not such an array.
    """
    try:
        return tuple(None if _must_be_read(packed) else _snapshot(packed) for packed in json.loads(text))
    except (TypeError, RecursionError) as exc:
        raise ValueError("not an array of snapshots") from exc


def _must_be_read(packed: Any) -> bool:
    return packed is None or (isinstance(packed, list) and len(packed) == OLDER_FORM_LENGTH)


def _snapshot(packed: Any) -> Snapshot:
    update_time_ns, balance, plan, granted_on, anchor, rare = packed
    if not _is_whole(update_time_ns):
        raise ValueError("an update time is a whole number of nanoseconds")
    if not _is_number(balance) or not isinstance(plan, str | None):
        raise ValueError("a balance is a finite number, a plan a text or null")
    if rare == {}:
        return Snapshot(update_time_ns, balance, plan, _date(granted_on), _date(anchor))
    if not isinstance(rare, dict) or any(name not in _RARE or not _RARE[name](value) for name, value in rare.items()):
        raise ValueError("not what a user may have beside")
    return Snapshot(
        update_time_ns,
        balance,
        plan,
        _date(granted_on),
        _date(anchor),
        purchased=rare.get("bought"),
        own_allowance=rare.get("allowance"),
        own_cap=rare.get("cap"),
        difference=rare.get("difference"),
        given_on=_date(rare.get("given")),
        paused="paused" in rare,
        adopt="adopt" in rare,
        zone=rare.get("zone"),
        activity=rare.get("activity"),
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value <= INT64_MAX


def _is_true(value: object) -> bool:
    return value is True


_RARE: Mapping[str, Callable[[Any], bool]] = {
    "bought": lambda value: _is_number(value) and value >= 0,
    "allowance": _is_whole,
    "cap": _is_whole,
    "difference": _is_whole,
    "given": lambda value: isinstance(value, str),
    "paused": _is_true,
    "adopt": _is_true,
    "zone": lambda value: isinstance(value, str),
    "activity": lambda value: isinstance(value, str),
}


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: Any) -> date | None:
    return None if text is None else date.fromisoformat(text)
