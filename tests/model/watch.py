"""A watched wire: it reports every write on a user that takes effect, and lets events happen between calls."""

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

Aside = Callable[[], None]


class Rpc(StrEnum):
    """The calls that the system makes."""

    QUERY = "RunQuery"
    READ = "BatchGetDocuments"
    WRITE = "BatchWrite"
    COMMIT = "Commit"


@dataclass(frozen=True)
class Moment:
    """Just before the n-th call of a kind."""

    rpc: Rpc
    number: int

    def has_come(self, calls: Sequence[str], method: str) -> bool:
        """True if the next call of this method is the moment."""
        return method == self.rpc and calls.count(method) + 1 == self.number


@dataclass(frozen=True)
class Trouble:
    """A fault at a moment: at one call or, if `lasting`, at every call from then on."""

    mode: Mode
    when: Moment
    lasting: bool

    def plan(self) -> FaultPlan:
        begun, calls = [], []

        def fault(_number: int, method: str, _request: Any) -> Mode | None:
            hit = self.when.has_come(calls, method) or bool(begun and self.lasting)
            begun.extend([True] * hit)
            calls.append(method)
            return self.mode if hit else None

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

    landed: Callable[[Landing], None] = lambda _landing: None
    mended: Callable[[Mending], None] = lambda _mending: None
    failed: Callable[[str], None] = lambda _fault: None
    lock: Any = None
    aside: tuple[Moment, Aside] | None = None

    def arm(self, plan: FaultPlan, aside: tuple[Moment, Aside] | None) -> None:
        """Begin again as another process."""
        self.plan, self.calls, self.ended, self.aside = plan, [], False, aside

    def _intercept(self, continuation: Any, details: Any, request: Any, take_effect: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if (aside := self._aside_before(method)) is not None:
            aside()
        return super()._intercept(
            self._booking(continuation) if method in (Rpc.WRITE, Rpc.COMMIT) else continuation,
            details,
            request,
            take_effect,
        )

    def _aside_before(self, method: str) -> Aside | None:
        with self._lock:
            if self.ended or self.aside is None or not self.aside[0].has_come(self.calls, method):
                return None
            (_, aside), self.aside = self.aside, None
            return aside

    def _fault(self, method: str, request: Any) -> Mode | WireError | Refusal | None:
        fault = super()._fault(method, request)
        if fault is not None:
            self.failed(f"{fault.code().name if isinstance(fault, WireError) else fault} {method}")
        return fault

    def _booking(self, continuation: Any) -> Any:
        def booked(details: Any, request: Any) -> Any:
            with self.lock:
                call = continuation(details, request)
                if call.exception() is None:
                    self._book(request, call.result())
                return call

        return booked

    def _book(self, request: Any, response: Any) -> None:
        """Of a BatchWrite the writes that took effect; of a Commit all."""
        pb = type(request).pb(request)
        statuses = getattr(type(response).pb(response), "status", None)
        for number, write in enumerate(pb.writes):
            folder, _, user_id = write.update.name.rpartition("/")
            if folder.endswith("/users") and (statuses is None or statuses[number].code == 0):
                self._book_user(user_id, write)

    def _book_user(self, user_id: str, write: Any) -> None:
        fields = get_fields(write.update.fields)
        if "periods" in fields.get("creditRefresh", {}):
            self.landed(Landing.of(user_id, fields))
        else:
            self.mended(Mending(user_id, _corrections(write, fields)))


def _corrections(write: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a write changes in a stamp, by field; None where it takes a field away."""
    stamp = fields.get("creditRefresh", {})
    names = [path.partition(".")[2] for path in write.update_mask.field_paths]
    return {name: stamp.get(name) for name in names}


class AtOnce:
    """A thread pool without threads: submitted work is done at once, so that a history can be repeated."""

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
