"""A watched wire reports every write on a user that takes effect, and lets events happen between calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import grpc
from google.cloud.firestore_v1.types import firestore

from shared.store.values import get_fields
from tests.model.books import Landing, Mending
from tests.support.faults import FaultPlan, Faults, Mode, Refusal, WireError

Event = Callable[[], None]


class Rpc(StrEnum):
    """The calls that the system makes."""

    QUERY = "RunQuery"
    READ = "BatchGetDocuments"
    WRITE = "BatchWrite"
    COMMIT = "Commit"


@dataclass(frozen=True)
class Moment:
    """The moment just before the n-th call of a kind."""

    rpc: Rpc
    number: int

    def has_come(self, calls: Sequence[str], method: str) -> bool:
        """True if the next call of this method is the moment."""
        return method == self.rpc and calls.count(method) + 1 == self.number


@dataclass(frozen=True)
class Trouble:
    """A fault at one call or, if it is lasting, at every call from then on."""

    mode: Mode
    when: Moment
    lasting: bool

    def plan(self) -> FaultPlan:
        begun, calls = [], []

        def fault(_number: int, method: str, _request: Any) -> Mode | None:
            is_hit = self.when.has_come(calls, method) or bool(begun and self.lasting)
            begun.extend([True] * is_hit)
            calls.append(method)
            return self.mode if is_hit else None

        return fault


@dataclass(frozen=True)
class Spoiled:
    """Every request that writes this user fails."""

    user_id: str
    code: grpc.StatusCode

    def plan(self) -> FaultPlan:
        return lambda _number, method, request: (
            WireError(self.code) if method == Rpc.WRITE and self._writes(request) else None
        )

    def _writes(self, request: Any) -> bool:
        names = {write.update.name for write in firestore.BatchWriteRequest.pb(request).writes}
        return any(name.endswith(f"/users/{self.user_id}") for name in names)


@dataclass
class Watched(Faults):
    """Reports each grant that lands and each fault, and lets an event happen at a moment between calls."""

    on_landing: Callable[[Landing], None] = lambda _landing: None
    on_mending: Callable[[Mending], None] = lambda _mending: None
    on_fault: Callable[[str], None] = lambda _fault: None
    lock: Any = None
    event: tuple[Moment, Event] | None = None

    def arm(self, plan: FaultPlan, event: tuple[Moment, Event] | None) -> None:
        """Begin as a new process, with these faults and this event."""
        self.plan, self.calls, self.ended, self.event = plan, [], False, event

    def _intercept(self, continuation: Any, details: Any, request: Any, take_effect: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if (event := self._event_before(method)) is not None:
            event()
        return super()._intercept(
            self._reporting(continuation) if method in (Rpc.WRITE, Rpc.COMMIT) else continuation,
            details,
            request,
            take_effect,
        )

    def _event_before(self, method: str) -> Event | None:
        with self._lock:
            if self.ended or self.event is None or not self.event[0].has_come(self.calls, method):
                return None
            (_, event), self.event = self.event, None
            return event

    def _fault(self, method: str, request: Any) -> Mode | WireError | Refusal | None:
        fault = super()._fault(method, request)
        if fault is not None:
            self.on_fault(f"{fault.code().name if isinstance(fault, WireError) else fault} {method}")
        return fault

    def _reporting(self, continuation: Any) -> Any:
        def call_and_report(details: Any, request: Any) -> Any:
            with self.lock:
                call = continuation(details, request)
                if call.exception() is None:
                    self._report(request, call.result())
                return call

        return call_and_report

    def _report(self, request: Any, response: Any) -> None:
        """Report the writes on users that took effect: all of a Commit, and some or all of a BatchWrite."""
        pb = type(request).pb(request)
        statuses = getattr(type(response).pb(response), "status", None)
        for number, write in enumerate(pb.writes):
            folder, _, user_id = write.update.name.rpartition("/")
            if folder.endswith("/users") and (statuses is None or statuses[number].code == 0):
                self._report_user(user_id, write)

    def _report_user(self, user_id: str, write: Any) -> None:
        fields = get_fields(write.update.fields)
        if "periods" in fields.get("creditRefresh", {}):
            self.on_landing(Landing.of(user_id, fields))
        else:
            self.on_mending(Mending(user_id, _corrections(write, fields)))


def _corrections(write: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stamp that a write changes, with their new values. None: it removes the field."""
    stamp = fields.get("creditRefresh", {})
    names = [path.partition(".")[2] for path in write.update_mask.field_paths]
    return {name: stamp.get(name) for name in names}


class AtOnce:
    """A thread pool without threads. It does submitted work at once, so that a history can be repeated."""

    def __init__(self, _threads: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args))
        except BaseException as exc:  # noqa: BLE001 (as a thread pool does)
            future.set_exception(exc)
        return future
