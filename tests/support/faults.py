"""Causes faults on the wire. A client interceptor refuses a call, loses its reply, or ends the process."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.cloud.firestore_v1.types import firestore
from google.cloud.firestore_v1.types import write as firestore_write
from google.rpc import status_pb2

from shared.store.wire import CHANNEL_OPTIONS


class Mode(StrEnum):
    """What goes wrong with a call."""

    REFUSED = "refused"  # the call fails and has no effect
    LOST = "lost"  # the call takes effect, but the reply is lost
    ENDED = "ended"  # the process ends before the call takes effect
    ENDED_AFTER = "ended_after"  # the process ends after the call took effect


class ProcessEnded(BaseException):
    """Stands for the end of the process. No later call reaches the database."""


class WireError(grpc.RpcError):
    """The error that a failed call raises."""

    def __init__(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, details: str = "a fault caused by a test"):
        super().__init__(details)
        self._code, self._details = code, details

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return ()

    def result(self, timeout=None):  # noqa: ARG002 (the interceptor before this one handles an error like a finished call)
        raise self


@dataclass(frozen=True)
class Refusal:
    """Refuses single writes of a BatchWrite: those of some users. The other writes take effect."""

    concerns: Callable[[str], bool]  # true for the id of a user whose writes are refused
    code: int  # a google.rpc.Code

    def answer(self, continuation, details, request) -> Answer:
        """Make the other writes. Returns the answer with a status for each refused write, and no update time."""
        writes = list(request.writes)
        refused = [self._refuses(write) for write in writes]
        sound = [write for write, is_refused in zip(writes, refused, strict=True) if not is_refused]
        answers: Iterator[tuple[Any, Any]] = iter(())
        if sound:
            response = continuation(details, type(request)(database=request.database, writes=sound)).result()
            answers = zip(response.status, response.write_results, strict=True)
        whole = firestore.BatchWriteResponse()
        for is_refused in refused:
            status, result = (self._status(), firestore_write.WriteResult()) if is_refused else next(answers)
            whole.status.append(status)
            whole.write_results.append(result)
        return Answer(whole)

    def _refuses(self, write) -> bool:
        collection, _, user_id = write.update.name.rpartition("/")
        return collection.endswith("/users") and self.concerns(user_id)

    def _status(self):
        return status_pb2.Status(code=self.code, message="refused by a test")


@dataclass(frozen=True)
class Answer:
    """A finished call."""

    response: Any

    def result(self, timeout=None):  # noqa: ARG002 (as grpc calls it)
        return self.response


# Gives the fault of a call, or None. The arguments are the number of the call (from 1), its method and its request.
FaultPlan = Callable[[int, str, Any], Mode | WireError | Refusal | None]


@dataclass
class Faults(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Counts calls, and causes the faults of the plan. After the process ended no call gets through."""

    plan: FaultPlan = lambda _number, _method, _request: None
    calls: list[str] = field(default_factory=list)
    spoiled: int = 0
    ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, host: str) -> FirestoreClient:
        channel = grpc.intercept_channel(grpc.insecure_channel(host, options=CHANNEL_OPTIONS), self)
        return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))

    def intercept_unary_unary(self, continuation, details, request):
        return self._intercept(continuation, details, request, lambda call: call.result())

    def intercept_unary_stream(self, continuation, details, request):
        return self._intercept(continuation, details, request, list)

    def _intercept(self, continuation, details, request, take_effect):
        fault = self._fault(details.method.rpartition("/")[2], request)
        if isinstance(fault, WireError):
            raise fault
        if isinstance(fault, Refusal):
            return fault.answer(continuation, details, request)
        if fault is Mode.REFUSED:
            raise WireError
        if fault is Mode.ENDED:
            raise ProcessEnded
        call = continuation(details, request)
        if fault is None:
            return call
        with suppress(grpc.RpcError):  # an error would be a reply, and the reply is lost
            take_effect(call)
        raise ProcessEnded if fault is Mode.ENDED_AFTER else WireError

    def _fault(self, method: str, request: Any) -> Mode | WireError | Refusal | None:
        with self._lock:
            if self.ended:
                return Mode.ENDED
            self.calls.append(method)
            fault = self.plan(len(self.calls), method, request)
            self.spoiled += fault is not None
            self.ended = fault in (Mode.ENDED, Mode.ENDED_AFTER)
            return fault


def at(number: int, mode: Mode) -> FaultPlan:
    """A fault in the call of that number."""
    return lambda n, _method, _request: mode if n == number else None


def all_tries_at(number: int, mode: Mode, tries: int) -> FaultPlan:
    """A fault in the call of that number and in all its repeated tries, so that the failure reaches the caller."""
    spoiled: list[Any] = []

    def plan(n: int, _method: str, request: Any) -> Mode | None:
        again = 0 < len(spoiled) < tries and request == spoiled[0]
        if n != number and not again:
            return None
        spoiled.append(request)
        return mode

    return plan


def since(number: int, mode: Mode) -> FaultPlan:
    """A fault in every call from that number on: an outage."""
    return lambda n, _method, _request: mode if n >= number else None


def nth(method: str, number: int, mode: Mode) -> FaultPlan:
    """A fault in the call of that number among the calls of a method."""
    counted = itertools.count(1)
    return lambda _n, called, _request: mode if called == method and next(counted) == number else None


def first_write_of(collection: str, mode: Mode) -> FaultPlan:
    """A fault in the first BatchWrite to that collection. Claims before it don't count."""
    left = [mode]

    def plan(_number: int, method: str, request: Any) -> Mode | None:
        return left.pop() if left and method == "BatchWrite" and f"/{collection}/" in str(request) else None

    return plan


def on_user(user_id: str, fault: Mode | WireError) -> FaultPlan:
    """A fault in every call that writes this user."""

    def plan(_number: int, method: str, request: Any) -> Mode | WireError | None:
        if method != "BatchWrite":
            return None
        names = [write.update.name for write in type(request).pb(request).writes]
        return fault if any(name.endswith(f"/users/{user_id}") for name in names) else None

    return plan


def refusing(code: int, *user_ids: str) -> FaultPlan:
    """Refusals of single writes of those users; of all users, if none is named."""
    refusal = Refusal(lambda user_id: not user_ids or user_id in user_ids, code)

    def plan(_number: int, method: str, request: Any) -> Refusal | None:
        return refusal if method == "BatchWrite" and "/users/" in str(request) else None

    return plan


def either(first: FaultPlan, second: FaultPlan) -> FaultPlan:
    """The fault of the first plan, or else that of the second."""
    return lambda n, method, request: first(n, method, request) or second(n, method, request)


def at_random(seed: int, refused: float, lost: float) -> FaultPlan:
    """Faults at random. `refused` and `lost` are fractions of all calls."""
    draw = random.Random(seed).random

    def plan(_number: int, _method: str, _request: Any) -> Mode | None:
        drawn = draw()
        return Mode.REFUSED if drawn < refused else Mode.LOST if drawn < refused + lost else None

    return plan


def on(method: str, mode: Mode | WireError, times: int = 1) -> FaultPlan:
    """A fault in the first calls of a method."""
    left = [times]

    def plan(_number: int, called: str, _request: Any) -> Mode | WireError | None:
        if called != method or not left[0]:
            return None
        left[0] -= 1
        return mode

    return plan
