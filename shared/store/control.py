"""Control: the operator's switch over builder and worker, the worker's sign of life, and what operators did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.core.errors import ConflictError
from shared.store.values import WritePb, get, get_fields, nanoseconds, put_fields, put_nanoseconds
from shared.store.wire import Wire

ACTIVITY_KEPT_MAX = 50
ROUNDS_MAX = 5  # of operators who act at the same moment


@dataclass(frozen=True, slots=True)
class Control:
    """What the control documents say. `activity`: what operators did, newest first."""

    paused: bool
    worker_seen_at: datetime | None
    activity: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Look:
    """The pause switch at one moment (ns, by the database's clock)."""

    paused: bool
    read_time_ns: int


class ControlStore:
    """The documents `control/state`, `…/worker` and `…/activity` through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._collection = f"{wire.documents}/{prefix}_control"

    def is_paused(self) -> bool:
        """Anything set there but false or null pauses: a slip of the operator's hand stops rather than starts."""
        return self.look().paused

    def look(self) -> Look:
        """The pause switch, and the moment at which it was read: the database's own time comes with it."""
        name = f"{self._collection}/state"
        found, read_time_ns = self._wire.batch_get_timed([name], ["paused"])
        return Look(_is_paused(found.get(name)), read_time_ns)

    def read(self) -> Control:
        """All of it. Costs three reads."""
        names = [f"{self._collection}/{part}" for part in ("state", "worker", "activity")]
        state, worker, activity = map(self._wire.batch_get(names, ()).get, names)
        seen_at = {} if worker is None else get_fields(worker.fields)
        return Control(_is_paused(state), _time(seen_at.get("lastRunAt")), _entries(activity))

    def worker_seen_at(self) -> datetime | None:
        """The last heartbeat of any worker."""
        document = self._wire.get(f"{self._collection}/worker")
        return None if document is None else _time(get_fields(document.fields).get("lastRunAt"))

    def record_heartbeat(self, now: datetime) -> None:
        """The worker's heartbeat: a blind write, any worker's will do."""
        self._wire.commit([self._write("worker", {"lastRunAt": now})])

    def pause(self, *, paused: bool, entry: Mapping[str, Any]) -> bool:
        """Throw the switch and note who did, in one Commit. False: it stood there already, and nothing is noted."""
        if self.is_paused() is paused:
            return False
        self.note(entry, [self._write("state", {"paused": paused})])
        return True

    def note(self, entry: Mapping[str, Any], beside: Sequence[Any] = ()) -> None:
        """Add an entry to the activity, in one Commit with what goes beside it."""
        name = f"{self._collection}/activity"
        for tries_left in reversed(range(ROUNDS_MAX)):
            document = self._wire.get(name)
            entries = _entries(document)
            if entries and entries[0].get("id") == entry.get("id"):
                return  # a try of ours whose reply was lost
            write = self._write("activity", {"entries": [entry, *entries][:ACTIVITY_KEPT_MAX]})
            if document is None:
                write.current_document.exists = False
            else:
                put_nanoseconds(write.current_document.update_time, nanoseconds(document.update_time))
            try:
                self._wire.commit([write, *beside])
            except ConflictError:
                if not tries_left:
                    raise
            else:
                return

    def _write(self, part: str, fields: Mapping[str, Any]) -> Any:
        message = WritePb()
        message.update.name = f"{self._collection}/{part}"
        put_fields(message.update.fields, fields)
        message.update_mask.field_paths.extend(fields)
        return message


def _is_paused(document: Any) -> bool:
    if document is None or "paused" not in document.fields:
        return False
    return get(document.fields["paused"]) not in (False, None)


def _entries(document: Any) -> list[Mapping[str, Any]]:
    entries = None if document is None else get_fields(document.fields).get("entries")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
