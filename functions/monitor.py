"""`credit_refresh_monitor`: shows the refresh and takes operators' actions. A page for people, JSON for programs."""

from __future__ import annotations

import functions_framework
from flask import Request, Response

from shared.edge.endpoint import error_boundary


@functions_framework.http
@error_boundary
def credit_refresh_monitor(request: Request) -> Response:
    from shared.monitor.api import respond  # noqa: PLC0415 (the other functions start faster without it)

    return respond(request)
