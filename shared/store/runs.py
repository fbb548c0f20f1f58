"""Runs and their checkpoints. Each change is one Commit, guarded by the run document's last update time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared import logs
from shared.core.errors import ConflictError, UnreadableRunError
from shared.core.packing import SlotPosition
from shared.core.proof import Proof
from shared.core.ranges import Cursor, RangeName
from shared.core.runs import Billed, FlushCheckpoint, LastFull, Run, RunStatus, Scan, ScanCounts
from shared.core.service_level import DayServed, Served
from shared.store.messages import add_filters, add_order, guard, new_query, new_write
from shared.store.values import get_fields, nanoseconds
from shared.store.wire import Wire


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run, and the update time that guards its next change (None: not stored yet)."""

    run: Run
    update_time_ns: int | None


class RunStore:
    """The runs' collection through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._collection_id = f"{prefix}_runs"

    def get(self, run_id: str) -> StoredRun | None:
        document = self._wire.get(self._name(run_id))
        return None if document is None else _parse_run(document)

    def get_many(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Runs by id in one call; one that is missing or can't be read is left out. Costs a read for each id."""
        found = self._wire.batch_get([self._name(run_id) for run_id in run_ids], ())
        runs = (_readable(document) for document in found.values())
        return {run.run_id: run for run in runs if run is not None}

    def latest_before(self, run_id: str) -> StoredRun | None:
        """The last run of an earlier day. None also if it can't be read: a new day does not wait for a correction."""
        wanted = new_query(self._collection_id, 1)
        add_filters(wanted, [("runId", "<", run_id)])
        add_order(wanted, "runId", descending=True)
        try:
            found = self._wire.run_query(self._wire.documents, wanted, _parse_run)
        except UnreadableRunError as exc:
            logs.error("run_unreadable", str(exc))
            return None
        return found[0] if found else None

    def save(self, stored: StoredRun, run: Run, beside: Sequence[Any] = ()) -> StoredRun:
        """Write the run and the writes `beside` it in one Commit. Raises ConflictError if another wrote it first."""
        writes = [self._write(run, stored.update_time_ns), *beside]
        try:
            update_time_ns = self._wire.commit(writes)[0]
        except ConflictError as exc:
            landed = self.get(run.run_id) if exc.may_be_our_own else None
            if landed is None or (landed.run.token, landed.run.flushes) != (run.token, run.flushes):
                raise
            return landed
        return StoredRun(run, update_time_ns)

    def supersede_write(self, stored: StoredRun) -> Any:
        """The write that ends an unfinished run of an earlier day."""
        return self._write(stored.run.superseded(), stored.update_time_ns)

    def _write(self, run: Run, update_time_ns: int | None) -> Any:
        return guard(new_write(self._name(run.run_id), _encode(run)), update_time_ns)

    def _name(self, run_id: str) -> str:
        return f"{self._wire.documents}/{self._collection_id}/{run_id}"


def _encode(run: Run) -> dict[str, Any]:
    last_full = run.last_full
    return {
        "runId": run.run_id,
        "scan": run.scan.value,
        "scanReason": run.scan_reason,
        "status": run.status.value,
        "cursor": None if run.cursor is None else str(run.cursor),
        "wrapUntil": run.wrap_until,
        "marks": [
            {
                "until": str(checkpoint.until),
                "slot": checkpoint.position.slot,
                "userId": checkpoint.position.user_id,
                "spread": checkpoint.spread,
            }
            for checkpoint in run.checkpoints
        ],
        "scannedUsers": run.counts.scanned,
        "queuedUsers": run.counts.queued,
        "skippedUsers": run.counts.skipped,
        "failedUsers": run.counts.failed,
        "jobsCreated": run.counts.jobs_created,
        "adoptedUsers": run.counts.adopted,
        "errors": list(run.errors),
        "errorsTotal": run.errors_total,
        "leaseUntil": run.lease_until,
        "leaseToken": run.token,
        "flushes": run.flushes,
        "fingerprint": run.fingerprint,
        "createdAt": run.created_at,
        "completedAt": run.completed_at,
        "builtAt": run.built_at,
        "plannedByHour": {f"h{hour:02d}": users for hour, users in run.planned_by_hour.items()},
        "usersByPlan": dict(run.users_by_plan),
        "errorsByCode": dict(run.errors_by_code),
        "reads": run.billed.reads,
        "writes": run.billed.writes,
        "history": [
            {"runId": entry.day.isoformat(), "onTimeUsers": entry.served.on_time, "lateUsers": entry.served.late}
            for entry in run.history
        ],
        "generation": run.generation,
        "completedGeneration": run.completed_generation,
        "readTimeNs": run.read_time_ns,
        "proof": None if run.proof is None else _encode_proof(run.proof),
        "namedUsers": run.named,
        "namesFrom": None if run.names_from is None else {"runId": run.names_from[0], "generation": run.names_from[1]},
        "whenLowUsers": run.when_low,
        "lowUsers": run.low,
        "adoptsMarked": run.adopts_marked,
        "rescanRequested": run.rescan_requested,
        "failedBefore": run.failed_before,
        "refreshedBefore": run.refreshed_before,
        "lastFull": None
        if last_full is None
        else {"runId": last_full.day.isoformat(), "fingerprint": last_full.fingerprint},
    }


def _encode_proof(proof: Proof) -> dict[str, Any]:
    return {
        "differences": proof.differences,
        "triedAt": proof.tried_at,
        "unavailable": proof.unavailable,
        "missed": proof.missed,
    }


def _decode_proof(fields: Mapping[str, Any] | None) -> Proof | None:
    if fields is None:
        return None
    return Proof(tuple(fields["differences"]), fields["triedAt"], fields["unavailable"], fields.get("missed", 0))


def _decode_cursor(fields: Mapping[str, Any]) -> Cursor | None:
    cursor = Cursor.parse(fields["cursor"])
    if cursor is not None and fields.get("wrapped") is True:  # as an earlier version wrote it
        return Cursor(cursor.user_id, RangeName.WRAPPED)
    return cursor


def _decode_names_from(fields: Mapping[str, Any] | None) -> tuple[str, int] | None:
    return None if fields is None else (fields["runId"], fields["generation"])


def _readable(document: Any) -> Run | None:
    try:
        return _parse_run(document).run
    except UnreadableRunError as exc:
        logs.error("run_unreadable", str(exc))
        return None


def _parse_run(document: Any) -> StoredRun:
    try:
        run = _decode(get_fields(document.fields))
    except (KeyError, ValueError, TypeError, AttributeError) as exc:
        run_id = document.name.rpartition("/")[2]
        raise UnreadableRunError(
            f"the run document {run_id} can't be read ({exc!r}); delete it to scan that day afresh"
        ) from exc
    return StoredRun(run, nanoseconds(document.update_time))


def _decode(fields: Mapping[str, Any]) -> Run:
    last_full = fields.get("lastFull")
    return Run(
        run_id=date.fromisoformat(fields["runId"]).isoformat(),
        scan=Scan(fields["scan"]),
        created_at=fields["createdAt"],
        status=RunStatus(fields["status"]),
        scan_reason=fields.get("scanReason", ""),
        cursor=_decode_cursor(fields),
        wrap_until=fields["wrapUntil"],
        checkpoints=tuple(map(_decode_checkpoint, fields.get("marks", ()))),
        counts=ScanCounts(
            fields["scannedUsers"],
            fields["queuedUsers"],
            fields["skippedUsers"],
            fields["failedUsers"],
            fields["jobsCreated"],
            fields.get("adoptedUsers", 0),
        ),
        errors=tuple(fields["errors"]),
        errors_total=fields["errorsTotal"],
        lease_until=fields["leaseUntil"],
        token=fields["leaseToken"],
        flushes=fields["flushes"],
        fingerprint=fields["fingerprint"],
        completed_at=fields["completedAt"],
        built_at=fields.get("builtAt"),
        planned_by_hour={int(hour[1:]): users for hour, users in fields.get("plannedByHour", {}).items()},
        users_by_plan=fields.get("usersByPlan", {}),
        errors_by_code=fields.get("errorsByCode", {}),
        billed=Billed(fields.get("reads", 0), fields.get("writes", 0)),
        history=tuple(
            DayServed(date.fromisoformat(entry["runId"]), Served(entry["onTimeUsers"], entry["lateUsers"]))
            for entry in fields.get("history", ())
        ),
        generation=fields.get("generation", 0),
        completed_generation=fields.get("completedGeneration"),
        read_time_ns=fields.get("readTimeNs"),
        proof=_decode_proof(fields.get("proof")),
        named=fields.get("namedUsers", 0),
        names_from=_decode_names_from(fields.get("namesFrom")),
        when_low=fields.get("whenLowUsers"),
        low=fields.get("lowUsers", 0),
        adopts_marked=fields.get("adoptsMarked", False),
        rescan_requested=fields.get("rescanRequested", False),
        failed_before=fields.get("failedBefore", 0),
        refreshed_before=fields.get("refreshedBefore", 0),
        last_full=None
        if last_full is None
        else LastFull(date.fromisoformat(last_full["runId"]), last_full["fingerprint"]),
    )


def _decode_checkpoint(fields: Mapping[str, Any]) -> FlushCheckpoint:
    until = Cursor.parse(fields["until"])
    if until is None:
        raise ValueError("a checkpoint without its cursor")
    return FlushCheckpoint(until, SlotPosition(fields["slot"], fields["userId"]), fields["spread"])
