"""The monitor with scripted answers, for answers that a real database can't give on demand.

The page, its files and its headers are real. Only the JSON answers are scripted.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request

from shared.edge.requests import RequestError
from shared.monitor.page import public_answer

DAY = datetime(2026, 11, 22, tzinfo=UTC)
OPEN = {"auth": "off", "apiKey": None, "authDomain": None, "projectId": "demo-page", "authEmulatorHost": None}


@dataclass
class StubCall:
    """One call for data that the page made."""

    method: str
    query: Mapping[str, str]
    body: Any
    token: str | None


@dataclass
class Stub:
    """The scripted monitor. `answer` makes the answers, and `calls` holds all calls for the overview, users and jobs.

    `views` has the answers of other views by name. For other names the answer is 404. `view_calls` holds their calls.
    `health` is the answer of the public health check. If it is None, the check fails.
    """

    port: int
    answer: Callable[[StubCall], Response]
    calls: list[StubCall] = field(default_factory=list)
    views: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(VIEWS))
    view_calls: list[StubCall] = field(default_factory=list)
    health: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=lambda: dict(OPEN))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/scheduled-tasks/credit-refresh-monitor"

    def answer_with(self, figures: Mapping[str, Any]) -> None:
        self.answer = lambda _: jsonify(figures)

    def view(self, call: StubCall) -> Response:
        found = self.views.get(call.query["view"])
        if found is None:
            return _refusal(404, "not_found", "no such view")
        return jsonify(found(call) if callable(found) else found)

    def refuse_with(self, status: int, code: str, message: str, **headers: str) -> None:
        def answer(_: StubCall) -> Response:
            response = _refusal(status, code, message)
            response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
            return response

        self.answer = answer


@contextmanager
def serving_stub() -> Iterator[Stub]:
    """Serve a stub on a free port until the block ends."""
    app = Flask("stub")
    stub = Stub(0, lambda _: jsonify(statistics()))

    @app.before_request
    def serve() -> Response:
        try:
            found = public_answer(request, lambda: stub.config)
        except RequestError as exc:
            return _refusal(exc.status, exc.code, str(exc))
        if found is not None:
            return found
        if request.path.endswith("/health"):
            return jsonify(stub.health) if stub.health else _refusal(500, "internal", "no health")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        call = StubCall(request.method, dict(request.args), request.get_json(silent=True), token)
        if "view" in call.query:
            stub.view_calls.append(call)
            return stub.view(call)
        stub.calls.append(call)
        return stub.answer(call)

    with _listening(app) as stub.port:
        yield stub


@contextmanager
def serving_html(html: str) -> Iterator[str]:
    """Serve a page of another site, on another origin. Gives its address."""

    @Request.application
    def app(_: Request) -> Response:
        return Response(html, content_type="text/html; charset=utf-8")

    with _listening(app) as port:
        yield f"http://localhost:{port}/"


def _refusal(status: int, code: str, message: str) -> Response:
    response = jsonify({"error": {"code": code, "message": message, "field": None}})
    response.status_code = status
    return response


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Log nothing, because a page loads many files."""


@contextmanager
def _listening(app: Callable[..., Any]) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


def statistics(**changes: Any) -> dict[str, Any]:
    """The monitor's answer on a day in progress. `changes` replace some fields."""
    return copy.deepcopy({**_FIGURES, **changes})


def past_day(day: str, **changes: Any) -> dict[str, Any]:
    """The monitor's answer about a past day. Fields about the present moment are null."""
    now = {"health": None, "queueLagSeconds": None, "worker": None, "nextScheduledRun": None}
    builder = {**_FIGURES["builder"], "nextRun": None}
    return statistics(**{"runId": day, "builder": builder, **now, **changes})


def _at(hours: float) -> str:
    return (DAY + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def _job(number: int) -> dict[str, Any]:
    users = 300 if number % 4 else 180 + number
    return {
        "jobId": f"2026-11-22-{number:04d}-{number * 7919 % 65536:04x}",
        "runId": "2026-11-22",
        "status": "failed" if number == 17 else "completed",
        "users": users,
        "refreshedUsers": users - (2 if number == 17 else 0),
        "skippedUsers": 0,
        "failedUsers": 2 if number == 17 else 0,
        "retriedUsers": 3 if number == 12 else 0,
        "attempts": 3 if number == 17 else 1,
        "processingMs": 380 + number * 37 % 240,
        "scheduledFor": _at(14 - number / 12),
        "completedAt": _at(14 - number / 12 + 0.02),
    }


_JOBS = [_job(number) for number in range(20)]
_LETTER = {
    "jobId": _JOBS[17]["jobId"],
    "runId": "2026-11-22",
    "users": 282,
    "failedUsers": 2,
    "code": "write_failed",
    "codes": ["write_failed"],
    "error": "the write failed 3 times: deadline exceeded",
    "attempts": 3,
    "completedAt": _JOBS[17]["completedAt"],
}
_FIGURES: dict[str, Any] = {
    "runId": "2026-11-22",
    "today": "2026-11-22",
    "project": "demo-page",
    "environment": "staging",
    "usersCollection": "users",
    "balanceField": "credits",
    "retentionDays": 90,
    "mayAct": True,
    "pause": None,
    "setup": None,
    "rescanning": False,
    "failures": [
        {
            "code": "write_failed",
            "users": 2,
            "jobs": 1,
            "foundByBuilder": 0,
            "remedy": "The database did not take the write. Requeue when it is well again.",
            "example": "the write failed 3 times: deadline exceeded",
        }
    ],
    "runStatus": "completed",
    "scan": "all",
    "paused": False,
    "totalJobs": 12,
    "pendingJobs": 3,
    "processingJobs": 1,
    "completedJobs": 7,
    "failedJobs": 1,
    "successRate": 0.9975,
    "averageProcessingTime": 412.5,
    "p95ProcessingTime": 800,
    "lastRunTime": _at(14),
    "nextScheduledRun": _at(14 + 5 / 60),
    "builder": {
        "lastRun": _at(0),
        "nextRun": _at(24),
        "completedAt": _at(0.05),
        "scannedUsers": 1200,
        "queuedUsers": 1112,
        "skippedUsers": 88,
        "failedUsers": 0,
    },
    "worker": {"lastRun": _at(14), "nextRun": _at(14 + 5 / 60)},
    "users": {"refreshed": 812, "skipped": 10, "failed": 2, "pending": 288},
    "hours": [
        {
            "hour": hour,
            "start": _at(hour),
            "planned": 40 + hour * 29 % 17,
            "done": 40 + hour * 29 % 17 if hour < 14 else 0,
        }
        for hour in range(24)
    ],
    "plans": [
        {"plan": "free", "users": 900, "share": 900 / 1112},
        {"plan": "pro", "users": 200, "share": 200 / 1112},
    ],
    "usersOfUncountedPlans": 12,
    "errorsByCode": {"write_failed": 2},
    "errors": [
        {
            "jobId": _LETTER["jobId"],
            "userId": f"user{number:05d}",
            "code": "write_failed",
            "error": "the write failed 3 times: deadline exceeded",
            "timestamp": _LETTER["completedAt"],
        }
        for number in (418, 977)
    ],
    "errorsTotal": 2,
    "deadLetters": [_LETTER],
    "recentJobs": _JOBS,
    "recentActivity": [
        {
            "kind": "action",
            "time": _at(13.5),
            "action": "resume",
            "actor": "ada@example.com",
            "reason": "index is back",
            "detail": "",
        },
        *(
            {
                "kind": "job",
                "time": job["completedAt"],
                "jobId": job["jobId"],
                "status": job["status"],
                "users": job["users"],
                "failedUsers": job["failedUsers"],
            }
            for job in _JOBS[:8]
        ),
    ],
    "queueLagSeconds": 0,
    "slo": {
        "objective": 0.999,
        "days": 30,
        "withinMinutes": 30,
        "users": 100_000,
        "onTimeUsers": 99_950,
        "share": 0.9995,
        "errorBudgetLeft": 0.5,
    },
    "health": {"status": "ok", "reasons": []},
    "cost": {"reads": 1344, "writes": 1140, "usd": 0.00143, "usdPer100kUsers": 0.126},
    "timezone": "UTC",
    "generatedAt": _at(14),
    "cached": False,
    "startTime": _at(14),
    "endTime": _at(14),
    "duration": 31,
    "reads": 14,
    "writes": 0,
}


def _day_row(back: int) -> dict[str, Any]:
    refreshed = 1000 + back * 37 % 160
    return {
        "runId": (DAY - timedelta(days=back)).date().isoformat(),
        "status": "completed",
        "scan": "all" if back % 7 == 0 else "due",
        "refreshed": refreshed,
        "skipped": 10,
        "failed": 210 if back == 9 else back % 3,
        "pending": 0,
        "onTimeUsers": refreshed - 2,
        "lateUsers": 2,
        "deadLetters": 1 if back in (1, 9) else 0,
        "cost": {"reads": 1344, "writes": 1140, "usd": 0.00143},
    }


VIEWS: dict[str, Any] = {
    "days": {
        "days": [_day_row(back) for back in reversed(range(30))],
        "month": {
            "month": "2026-11",
            "soFar": {"reads": 29_568, "writes": 25_080, "usd": 0.031},
            "forecast": {"reads": 40_320, "writes": 34_200, "usd": 0.043},
        },
    },
    "failures": {"users": _FIGURES["errors"], "cursor": None, "unnamedUsers": 0},
    "activity": {"entries": [], "cursor": None},
    "requeue-preview": {
        "jobs": 1,
        "users": 2,
        "checkedUsers": 2,
        "readyUsers": 1,
        "failingUsers": 1,
        "cost": {"reads": 4, "writes": 6, "usd": 0.0000066},
    },
    "rescan-preview": {
        "users": 1200,
        "isAtLeast": False,
        "queuedUsersAtMost": 290,
        "cost": {"reads": 1200, "writes": 0, "usd": 0.00036},
    },
}
