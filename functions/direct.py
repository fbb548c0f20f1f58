"""`credit_refresh`: refreshes one page of users, or named users, at once and without the queue."""

from __future__ import annotations

from typing import Any

import functions_framework

from shared.edge.answers import direct_answer
from shared.edge.bodies import DirectBody
from shared.edge.endpoint import Call, endpoint
from shared.edge.pages import PagePosition
from shared.edge.requests import RequestError


@functions_framework.http
@endpoint(DirectBody)
def credit_refresh(call: Call[DirectBody]) -> dict[str, Any]:
    from shared.services.refresh import refresh_named, refresh_page  # noqa: PLC0415 (the others start faster without it)

    if not call.body.says_whom:
        raise RequestError(400, "invalid_value", "name userIds, or batchSize for a page of all users, or a cursor")
    body, position = call.body, PagePosition.parse(call.body.cursor)
    if body.user_ids is not None:
        report = refresh_named(call.context, body.user_ids)
    else:
        report = refresh_page(call.context, position.after, body.batch_size)
    return direct_answer(report, position)
