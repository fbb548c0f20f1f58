"""`credit_refresh_queue`: begins or continues the day's run, or only counts what it would queue."""

from __future__ import annotations

from typing import Any

import functions_framework

from shared.edge.answers import queue_answer
from shared.edge.bodies import QueueBody
from shared.edge.endpoint import Call, endpoint


@functions_framework.http
@endpoint(QueueBody)
def credit_refresh_queue(call: Call[QueueBody]) -> dict[str, Any]:
    from shared.services.build import build, preview  # noqa: PLC0415 (the others start faster without it)

    step = build if call.body.create_jobs else preview
    return queue_answer(step(call.context, call.body.scan, call.body.process_seconds))
