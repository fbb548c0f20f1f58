"""`credit_refresh_user_created`: grants a user at once when the document is created; as an option at every write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import functions_framework

from shared.edge.events import BadEventError, Delivery, event_endpoint
from shared.services.signup import take_event


@functions_framework.cloud_event
@event_endpoint
def credit_refresh_user_created(delivery: Delivery) -> Mapping[str, Any]:
    event = _document_event(delivery)
    if not event.HasField("value"):
        return {"outcome": "deleted"}
    users = delivery.context.users()
    new = users.from_event(event.value)
    if new is None:
        return {"outcome": "not_a_user"}
    old = users.from_event(event.old_value) if event.HasField("old_value") else None
    return take_event(delivery.context, delivery.event_id, old, new)


def _document_event(delivery: Delivery) -> Any:
    """The event's payload as a message. Raises BadEventError."""
    from google.events.cloud.firestore import DocumentEventData  # noqa: PLC0415 (the other functions start without it)
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        event = DocumentEventData.pb().FromString(delivery.data)
    except DecodeError:
        raise BadEventError("its data is no DocumentEventData") from None
    has_new, has_old = event.HasField("value"), event.HasField("old_value")
    if not (has_new or has_old) or (has_old and not delivery.tells_every_write):
        raise BadEventError("it is not about a document that was created; check the trigger's event type")
    return event
