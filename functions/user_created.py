"""`credit_refresh_user_created`: when a user's document is created, makes the user due today."""

from __future__ import annotations

from typing import Any

import functions_framework

from shared.edge.events import BadEventError, Delivery, event_endpoint
from shared.services.signup import sign_up


@functions_framework.cloud_event
@event_endpoint
def credit_refresh_user_created(delivery: Delivery) -> dict[str, Any]:
    created = delivery.context.users().from_event(_created_document(delivery.data))
    if created is None:
        return {"outcome": "not_a_user"}
    return {"outcome": sign_up(delivery.context, created).value, "userId": created.user_id}


def _created_document(data: bytes) -> Any:
    """The document in an event. Raises BadEventError."""
    from google.events.cloud.firestore import DocumentEventData  # noqa: PLC0415 (the other functions start without it)
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        event = DocumentEventData.pb().FromString(data)
    except DecodeError:
        raise BadEventError("its data is no DocumentEventData") from None
    if not event.HasField("value") or event.HasField("old_value"):
        raise BadEventError("it does not tell of a document that was created; check the trigger's event type")
    return event.value
