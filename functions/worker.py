"""`credit_refresh_worker`: works on due jobs until none is left or its time is up."""

from __future__ import annotations

from typing import Any

import functions_framework

from shared.edge.answers import worker_answer
from shared.edge.bodies import WorkerBody
from shared.edge.endpoint import Call, endpoint


@functions_framework.http
@endpoint(WorkerBody)
def credit_refresh_worker(call: Call[WorkerBody]) -> dict[str, Any]:
    from shared.services.work import work  # noqa: PLC0415 (the others start faster without it)

    return worker_answer(work(call.context, call.body.max_jobs, call.body.process_seconds))
