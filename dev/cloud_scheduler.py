"""A substitute for Cloud Scheduler. It makes the same requests with the same headers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PATH = "/api/scheduled-tasks/"
DEADLINE_SECONDS = 180  # Cloud Scheduler's own default


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: HTTP status and JSON object. Status 0: the connection broke."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)


def path_of(entry_point: str) -> str:
    """The path of an entry point: its name with hyphens."""
    return PATH + entry_point.replace("_", "-")


def deliver(port: int, entry_point: str, scheduled: datetime, body: Mapping[str, Any]) -> Answer:
    """Call a function on this machine once."""
    headers = {
        "User-Agent": "Google-Cloud-Scheduler",
        "X-CloudScheduler": "true",
        "X-CloudScheduler-JobName": entry_point.replace("_", "-"),
        "X-CloudScheduler-ScheduleTime": scheduled.astimezone(UTC).isoformat(),
        "Content-Type": "application/octet-stream",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    try:
        connection.request("POST", path_of(entry_point), json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, _object(response.read()))
    except (OSError, http.client.HTTPException):
        return Answer(0)
    finally:
        connection.close()


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
