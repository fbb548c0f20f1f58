"""The control documents: the pause switch, the worker's heartbeat, and the last actions of operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import logs
from shared.core.errors import ConflictError
from shared.core.pauses import Pause, is_paused, pause_ended_at, pause_of
from shared.store.activity import ActivityStore
from shared.store.values import WritePb, get_fields, nanoseconds, put_fields, put_nanoseconds
from shared.store.wire import Wire

ACTIVITY_KEPT_MAX = 50
ROUNDS_MAX = 5  # tries, when several operators act at the same moment
PAUSE_FIELDS = ("paused", "pausedBy", "pausedAt", "pauseReason", "pausedUntil")


@dataclass(frozen=True, slots=True)
class Rescan:
    """The last rescan that an operator requested: the run, and when."""

    run_id: str
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The content of the control documents. `activity`: the last actions of operators, newest first."""

    pause: Pause | None
    pause_ended_at: datetime | None
    rescan: Rescan | None
    worker_seen_at: datetime | None
    activity: Sequence[Mapping[str, Any]] = ()

    @property
    def paused(self) -> bool:
        return self.pause is not None


@dataclass(frozen=True, slots=True)
class Look:
    """The pause switch at one moment (ns, by the database's clock)."""

    paused: bool
    read_time_ns: int


class ControlStore:
    """The documents `control/state`, `control/worker` and `control/activity`."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._collection = f"{wire.documents}/{prefix}_control"
        self._log = ActivityStore(wire, prefix)

    def is_paused(self, now: datetime) -> bool:
        """True if builder and worker must not begin anything at `now`. Costs one read."""
        return self.look(now).paused

    def look(self, now: datetime) -> Look:
        """The pause switch, and the moment at which it was read, by the database's clock.

        A pause is logged, so that an alert can be sent after a long one.
        """
        name = f"{self._collection}/state"
        found, read_time_ns = self._wire.batch_get_timed([name], ["paused", "pausedUntil"])
        paused = is_paused(_fields(found.get(name)), now)
        if paused:
            logs.info("refresh_paused", "nothing is begun while the refresh is paused")
        return Look(paused, read_time_ns)

    def read(self, now: datetime) -> Control:
        """All three documents. Costs three reads."""
        state, worker, activity = self._documents("state", "worker", "activity")
        return _control(state, worker, activity, now)

    def read_vitals(self, now: datetime) -> Control:
        """The documents without the activity. Costs two reads."""
        state, worker = self._documents("state", "worker")
        return _control(state, worker, None, now)

    def record_heartbeat(self, now: datetime) -> None:
        """Write the worker's heartbeat. It has no precondition, because the heartbeat of any worker counts."""
        self._wire.commit([self._write("worker", {"lastRunAt": now})])

    def pause(self, pause: Pause, entry: Mapping[str, Any], now: datetime) -> bool:
        """Pause, and note the action, in one Commit. False if it is already paused until that moment."""
        (state,) = self._documents("state")
        present = pause_of(_fields(state), now)
        if present is not None and present.until == pause.until:
            return False
        fields = {
            "paused": True,
            "pausedBy": pause.by,
            "pausedAt": pause.since if present is None else present.since or pause.since,
            "pauseReason": pause.reason,
            "pausedUntil": pause.until,
        }
        self.note(entry, [self._write("state", fields, removed=["resumedAt"])])
        return True

    def resume(self, entry: Mapping[str, Any], now: datetime) -> bool:
        """End the pause, and note the action, in one Commit. False if there is no pause."""
        (state,) = self._documents("state")
        if not is_paused(_fields(state), now):
            return False
        self.note(entry, [self._write("state", {"paused": False, "resumedAt": now}, removed=PAUSE_FIELDS[1:])])
        return True

    def rescan_write(self, run_id: str, now: datetime) -> Any:
        """The write that records a rescan requested by an operator."""
        return self._write("state", {"rescan": {"runId": run_id, "askedAt": now}})

    def note(self, entry: Mapping[str, Any], beside: Sequence[Any] = ()) -> None:
        """Add an entry to the recent activity and to the activity log, in one Commit with the writes `beside` it."""
        name = f"{self._collection}/activity"
        for tries_left in reversed(range(ROUNDS_MAX)):
            document = self._wire.get(name)
            entries = _entries(document)
            if entries and entries[0].get("id") == entry.get("id"):
                return  # an earlier try of this call landed, and its reply was lost
            write = self._write("activity", {"entries": [entry, *entries][:ACTIVITY_KEPT_MAX]})
            if document is None:
                write.current_document.exists = False
            else:
                put_nanoseconds(write.current_document.update_time, nanoseconds(document.update_time))
            try:
                self._wire.commit([write, self._log.create_write(entry), *beside])
            except ConflictError:
                if not tries_left:
                    raise
            else:
                return

    def _documents(self, *parts: str) -> list[Any]:
        names = [f"{self._collection}/{part}" for part in parts]
        return list(map(self._wire.batch_get(names, ()).get, names))

    def _write(self, part: str, fields: Mapping[str, Any], removed: Sequence[str] = ()) -> Any:
        message = WritePb()
        message.update.name = f"{self._collection}/{part}"
        put_fields(message.update.fields, fields)
        message.update_mask.field_paths.extend([*fields, *removed])
        return message


def _control(state: Any, worker: Any, activity: Any, now: datetime) -> Control:
    fields, seen_at = _fields(state), _fields(worker).get("lastRunAt")
    return Control(
        pause=pause_of(fields, now),
        pause_ended_at=pause_ended_at(fields, now),
        rescan=_rescan(fields.get("rescan")),
        worker_seen_at=seen_at if isinstance(seen_at, datetime) else None,
        activity=_entries(activity),
    )


def _rescan(value: object) -> Rescan | None:
    run_id, asked_at = (value.get("runId"), value.get("askedAt")) if isinstance(value, dict) else (None, None)
    return Rescan(run_id, asked_at) if isinstance(run_id, str) and isinstance(asked_at, datetime) else None


def _fields(document: Any) -> dict[str, Any]:
    return {} if document is None else get_fields(document.fields)


def _entries(document: Any) -> list[Mapping[str, Any]]:
    entries = _fields(document).get("entries")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
