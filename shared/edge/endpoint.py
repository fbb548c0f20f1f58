"""The wrapper around every HTTP function: method, body, clock, answer, errors. No answer holds a traceback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Generic, TypeVar

import werkzeug
from flask import Request, Response, jsonify

from shared import logs
from shared.core.errors import (
    ConflictError,
    CreditRefreshError,
    NotFoundError,
    OperatorError,
    StoreError,
    SystemFailureError,
    UnreadableRunError,
)
from shared.edge import instance
from shared.edge.bodies import Body
from shared.edge.requests import RequestError, check_method, check_path, read_body
from shared.edge.sigterm import stopping
from shared.edge.tracing import span, trace_fields
from shared.services.context import Context
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.wire import Wire

B = TypeVar("B", bound=Body)
R = TypeVar("R", bound=werkzeug.Response)

CONTENTION_SECONDS = 1  # until another try makes sense

# The messages for callers. The database's own messages may hold addresses and paths, so they only go to the log.
_CALLER_MESSAGES = {
    "unavailable": "the database can't be reached or refuses us; what was done stays done, call again",
    "contention": "somebody else keeps writing the same document; what was done stays done, call again",
    "out_of_time": "the time budget ended before the database answered; what was done stays done, call again",
}


@dataclass(frozen=True, slots=True)
class Call(Generic[B]):
    """One accepted request: its body, and the context that its service runs in."""

    body: B
    context: Context


def endpoint(kind: type[B]) -> Callable[[Callable[[Call[B]], dict[str, Any]]], Callable[[Request], Response]]:
    """Make a POST function from a handler that turns a call into the figures of its answer."""

    def decorate(handler: Callable[[Call[B]], dict[str, Any]]) -> Callable[[Request], Response]:
        @error_boundary
        @wraps(handler)
        def serve(request: Request) -> Response:
            check_method(request, ("POST",))
            body = read_body(request, kind, emulated=bool(instance.settings().emulator_host))
            answer = timed(handler, body)
            summary = {name: value for name, value in answer.items() if name not in ("errors", "cursor")}
            logs.info(handler.__name__, "done", **summary)
            return jsonify(answer)

        return serve

    return decorate


def error_boundary(serve: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Turn every exception into an error answer. Every line that is logged inside names the request."""

    @wraps(serve)
    def safe(request: Request) -> Response:
        with _log_context(request, serve.__name__), span(serve.__name__, request.headers):
            return with_safe_headers(_answer(serve, request))

    return safe


def _answer(serve: Callable[[Request], Response], request: Request) -> Response:
    try:
        check_path(request.environ)
        return serve(request)
    except RequestError as exc:
        return refusal(exc)
    except OperatorError as exc:
        status = 404 if isinstance(exc, NotFoundError) else 409
        return refusal(RequestError(status, exc.code, str(exc), exc.field))
    except Exception as exc:  # noqa: BLE001 (the last line: nothing escapes as a traceback)
        return _answer_failure(exc)


def with_safe_headers(answer: R) -> R:
    """Add headers: no answer is cached, and no browser guesses its type. Files of the page set their own lifetime."""
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    return answer


def refusal(error: RequestError) -> Response:
    """The error answer: all errors have this form."""
    content = {"error": {"code": error.code, "message": str(error), "field": error.field}}
    answer = Response(f"{json.dumps(content)}\n", error.status, content_type="application/json")
    answer.headers.update(error.headers)
    return answer


def timed(handler: Callable[[Call[B]], dict[str, Any]], body: B) -> dict[str, Any]:
    """The handler's figures, with start, end, duration and cost of the call."""
    started = time.monotonic()
    clock = _clock(body)
    start = clock()
    cost = Cost()
    wire = Wire(instance.connection(), Budget.of(body.process_seconds), cost)
    figures = handler(Call(body, Context(instance.settings(), instance.plans(), wire, clock, stopping)))
    elapsed = timedelta(seconds=time.monotonic() - started)
    times = {
        "startTime": start.isoformat(),
        "endTime": (start + elapsed).isoformat(),
        "duration": round(elapsed.total_seconds() * 1000),
    }
    return {**figures, **times, "reads": cost.reads, "writes": cost.writes}


def _clock(body: Body) -> Callable[[], datetime]:
    """The clock of the call: `asOf`, which stands still, or the real time."""
    as_of = body.as_of
    if as_of is not None:
        fixed = as_of.astimezone(UTC)
        return lambda: fixed
    return lambda: datetime.now(UTC)


def _answer_failure(exc: Exception) -> Response:
    """Log a failure of ours or of the database, and return the 5xx answer. Only the log has details."""
    if isinstance(exc, SystemFailureError):
        logs.error("call_failed", str(exc), code=exc.code)
        return _unavailable(exc.code, _CALLER_MESSAGES.get(exc.code, str(exc)), exc.retry_after_seconds)
    if isinstance(exc, ConflictError):
        logs.error("call_failed", str(exc), code="contention")
        return _unavailable("contention", _CALLER_MESSAGES["contention"], CONTENTION_SECONDS)
    logs.error("call_failed", f"unexpected {type(exc).__name__}", exc_info=True)
    return refusal(RequestError(500, "store_rejected" if isinstance(exc, StoreError) else "internal", _message(exc)))


def _unavailable(code: str, message: str, retry_after_seconds: int) -> Response:
    return refusal(RequestError(503, code, message, headers={"Retry-After": str(retry_after_seconds)}))


def _message(exc: Exception) -> str:
    """Our own message unchanged. Messages of the database or a library are not passed on."""
    if isinstance(exc, StoreError) and not isinstance(exc, UnreadableRunError):
        return "the database refused the request; the log says why"
    return str(exc) if isinstance(exc, CreditRefreshError) else "an unexpected error; see the log"


def _log_context(request: Request, function: str) -> AbstractContextManager[None]:
    """Put the request's trace and execution id on every line that is logged inside."""
    return logs.context(function=function, **trace_fields(request.headers, instance.settings().project_id))


def start() -> None:
    """Start an instance: logs, signals, and a check of settings and plans. Bad ones stop the start."""
    logs.configure()
    stopping.watch()
    instance.plans()
