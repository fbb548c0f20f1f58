"""A wire that is watched: it books every write on a user that takes effect, and lets things happen between calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import grpc
from google.cloud.firestore_v1.types import firestore

from shared.store.values import get_fields
from tests.model.books import Landing
from tests.support.faults import FaultPlan, Faults, Mode, Refusal, WireError

Aside = Callable[[], None]


class Rpc(StrEnum):
    """The calls the system makes."""

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
        """True when a call of that method, after those, is the one."""
        return method == self.rpc and calls.count(method) + 1 == self.number


@dataclass(frozen=True)
class Trouble:
    """What goes wrong at a moment: with one call, or, `lasting`, with every call from there on."""

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
    """No request that writes this user gets through."""

    user_id: str
    code: grpc.StatusCode

    def plan(self) -> FaultPlan:
        return lambda _number, method, request: (
            WireError(self.code) if method == Rpc.WRITE and self._writes(request) else None
        )

    def _writes(self, request: Any) -> bool:
        return any(user_id == self.user_id for user_id, _ in _users_written(request))


@dataclass
class Watched(Faults):
    """Tells of each grant as it lands, and of each fault; and lets something else happen at a moment between calls."""

    landed: Callable[[Landing], None] = lambda _landing: None
    failed: Callable[[str], None] = lambda _fault: None
    lock: Any = None
    aside: tuple[Moment, Aside] | None = None

    def arm(self, plan: FaultPlan, aside: tuple[Moment, Aside] | None) -> None:
        """Begin anew, as another process."""
        self.plan, self.calls, self.ended, self.aside = plan, [], False, aside

    def _intercept(self, continuation: Any, details: Any, request: Any, take_effect: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if (aside := self._aside_before(method)) is not None:
            aside()
        return super()._intercept(
            self._booking(continuation) if method == Rpc.WRITE else continuation, details, request, take_effect
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
        statuses = firestore.BatchWriteResponse.pb(response).status
        for (user_id, write), status in zip(_users_written(request), statuses, strict=False):
            if status.code == 0:
                self.landed(Landing.of(user_id, get_fields(write.update.fields)))


def _users_written(request: Any) -> Iterator[tuple[str, Any]]:
    """The writes of a BatchWrite that are on users: all of them, or none."""
    for write in firestore.BatchWriteRequest.pb(request).writes:
        folder, _, user_id = write.update.name.rpartition("/")
        if folder.endswith("/users"):
            yield user_id, write


class AtOnce:
    """A thread pool without threads: what is submitted is done there and then, so that a history can be repeated."""

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
