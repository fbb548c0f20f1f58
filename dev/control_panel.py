"""The page of `make dev`. It moves the clock forward and adopts users that existed before."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from dev.clock import Clock
from dev.local_schedule import LocalSchedule, ScheduleError
from shared.edge.requests import RequestError
from shared.monitor.same_site import check_same_site
from shared.settings import Settings

PATH = "/dev"
PAGE = Path(__file__).with_name("control_panel.html")
DAYS_MAX = 100  # in one call
BODY_BYTES_MAX = 1000
WAYS = 'the body is {"days": 1}, or {"asOf": "2026-12-24T12:00:00Z"} with a later time'


class ControlPanel:
    """A WSGI application, mounted at PATH."""

    def __init__(self, settings: Settings, clock: Clock, schedule: LocalSchedule) -> None:
        self._settings = settings
        self._clock = clock
        self._schedule = schedule

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            return self._route(request)
        except ScheduleError as exc:
            return _refusal(502, "function_failed", str(exc))
        except RequestError as exc:
            return _refusal(exc.status, exc.code, str(exc))

    def _route(self, request: Request) -> Response:
        match request.method, request.path.rstrip("/"):
            case "GET", "":
                return Response(PAGE.read_bytes(), mimetype="text/html")
            case "GET", "/state":
                return _json(self.state())
            case "POST", "/clock":
                check_same_site(request)  # type: ignore[arg-type] # Flask's requests are werkzeug's
                return self._result(self._schedule.move_to(self._moment(request)))
            case "POST", "/adopt":
                check_same_site(request)  # type: ignore[arg-type]
                return self._result(self._schedule.adopt())
        raise RequestError(404, "not_found", "there are GET /dev, GET /dev/state, POST /dev/clock and POST /dev/adopt")

    def state(self) -> dict[str, Any]:
        """The state that the page shows and that a test may read."""
        return {
            "now": self._clock.now().isoformat(),
            "aheadSeconds": round(self._clock.ahead.total_seconds()),
            "holding": self._schedule.holding,
            "emulatorHost": self._settings.emulator_host,
            "projectId": self._settings.project_id,
        }

    def _result(self, figures: dict[str, int]) -> Response:
        return _json({**self.state(), "figures": figures})

    def _moment(self, request: Request) -> datetime:
        """The time to move to. Raises RequestError."""
        body = _object(request.stream.read(BODY_BYTES_MAX))
        now = self._clock.now()
        days, as_of = body.get("days"), _time(body.get("asOf"))
        if body.keys() == {"days"} and type(days) is int and 1 <= days <= DAYS_MAX:
            return now + timedelta(days=days)
        if body.keys() == {"asOf"} and as_of and now < as_of <= now + timedelta(days=DAYS_MAX):
            return as_of
        raise RequestError(400, "invalid_value", f"{WAYS}; at most {DAYS_MAX} days ahead of {now.isoformat()}")


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _time(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, {"Cache-Control": "no-store"}, mimetype="application/json")


def _refusal(status: int, code: str, message: str) -> Response:
    return _json({"error": {"code": code, "message": message}}, status)
