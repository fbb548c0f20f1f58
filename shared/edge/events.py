"""The wrapper around every event function. It decides which events are delivered again and which are dropped.

An event function answers only with an HTTP status. 2xx ends the event. After any other status it is delivered again,
for up to a day. So the function may fail only if a later try can succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from cloudevents.http.event import CloudEvent
from flask import request
from werkzeug.exceptions import ServiceUnavailable

from shared import logs
from shared.core.errors import ConflictError, CreditRefreshError, SystemFailureError
from shared.edge import instance
from shared.edge.sigterm import stopping
from shared.edge.tracing import span, trace_fields
from shared.services.context import Context
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.wire import Wire

OWN_SECONDS_MAX = 30.0  # budget of a delivery, which is cut off after 60 s
WRITTEN = ".document.v1.written"  # the end of an event's type if it is sent at every write
AGE_MAX = timedelta(days=1)  # the day of an older event is over


class BadEventError(CreditRefreshError):
    """The event can't be read, and no later try can change that."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of an event: its undecoded payload, and the context that its service runs in.

    `event_id` is the same in each delivery. `tells_every_write`: the trigger is opted in to more than new documents.
    """

    data: bytes
    context: Context
    event_id: str
    tells_every_write: bool


def event_endpoint(handler: Callable[[Delivery], Mapping[str, Any]]) -> Callable[[CloudEvent], None]:
    """Make an event function from a handler that turns a delivery into the fields of its log line."""

    @wraps(handler)
    def receive(event: CloudEvent) -> None:
        name = handler.__name__
        with _log_context(event, name), span(name, request.headers):
            try:
                _handle(handler, event)
            except SystemFailureError as exc:
                logs.error("event_failed", f"it is delivered again: {exc}", code=exc.code)
                raise ServiceUnavailable(retry_after=exc.retry_after_seconds) from None
            except ConflictError as exc:
                logs.error("event_failed", f"it is delivered again: {exc}", code="contention")
                raise ServiceUnavailable(retry_after=1) from None
            except BadEventError as exc:
                logs.error("event_dropped", str(exc))
            except Exception as exc:  # noqa: BLE001 (the same event would fail the same way, for a day)
                logs.error("event_dropped", f"unexpected {type(exc).__name__}", exc_info=True)

    return receive


def _handle(handler: Callable[[Delivery], Mapping[str, Any]], event: CloudEvent) -> None:
    now = datetime.now(UTC)
    if is_too_old(event.get("time"), now):
        logs.warning("event_dropped", f"it is of {event['time']}, more than a day ago; a full scan finds the user")
        return
    cost = Cost()
    wire = Wire(instance.connection(), Budget.of(OWN_SECONDS_MAX), cost)
    context = Context(instance.settings(), instance.plans(), wire, _clock(event), stopping)
    summary = handler(Delivery(_bytes(event.data), context, str(event["id"]), _tells_every_write(event)))
    logs.info(handler.__name__, "done", **summary, reads=cost.reads, writes=cost.writes)


def _clock(event: CloudEvent) -> Callable[[], datetime]:
    """The clock of the delivery: the real time, or on the emulator the event's attribute `asof`, which stands still."""
    as_of = event.get("asof") if instance.settings().emulator_host else None
    if as_of is None:
        return lambda: datetime.now(UTC)
    try:
        fixed = datetime.fromisoformat(as_of).astimezone(UTC)
    except ValueError:
        raise BadEventError("its attribute asof is not a time like 2026-11-22T10:00:00Z") from None
    return lambda: fixed


def _tells_every_write(event: CloudEvent) -> bool:
    return str(event["type"]).endswith(WRITTEN)


def is_too_old(time: object, now: datetime) -> bool:
    """True for an event that says it is more than a day old. An event without a time counts as new."""
    try:
        sent_at = datetime.fromisoformat(str(time))
    except ValueError:
        return False
    return sent_at.tzinfo is not None and now - sent_at > AGE_MAX


def _bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    raise BadEventError(f"its data is {type(data).__name__}, not application/protobuf; check the trigger")


def _log_context(event: CloudEvent, function: str) -> Any:
    fields = trace_fields(request.headers, instance.settings().project_id)
    return logs.context(function=function, eventId=str(event["id"])[:64], **fields)
