"""The monitor's requests: what is public first, then who asks, then what they see or operator_actions."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from flask import Request, Response, jsonify

from shared import logs
from shared.core.errors import StoreError, SystemFailureError
from shared.core.runs import Run, RunStatus
from shared.edge import instance
from shared.edge.answers import page_answer
from shared.edge.endpoint import Call, timed
from shared.edge.requests import check_method, read_body, read_query
from shared.monitor import operator_actions
from shared.monitor.answer_cache import Recent
from shared.monitor.answers import health_answer, story_answer, view_answer
from shared.monitor.auth import Admin, admin_of, web_config
from shared.monitor.bodies import Action, ActionBody, HealthQuery, MonitorQuery
from shared.monitor.health import Ailment, Reason
from shared.monitor.links import with_others
from shared.monitor.operator_actions import Operator
from shared.monitor.overview import check_health, watch
from shared.monitor.page import public_answer
from shared.monitor.same_site import check_same_site
from shared.monitor.user_history import tell

T = TypeVar("T")

KEPT_SECONDS = 2
HEALTH_KEPT_SECONDS = 10  # anybody may ask, as often as they like: it costs 5 reads in so many seconds an instance
METHODS = ("GET", "HEAD", "POST")

_views: Recent[dict[str, Any]] = Recent(KEPT_SECONDS)
_health: Recent[dict[str, Any]] = Recent(HEALTH_KEPT_SECONDS)


def respond(request: Request) -> Response:
    """Route a request. Raises RequestError and what the services raise."""
    check_method(request, METHODS)
    if request.method != "POST":
        if request.path.endswith("/health"):
            return _health_response(request)
        answer = public_answer(request, lambda: with_others(web_config(instance.settings()), os.environ))
        if answer is not None:
            return answer
    admin = admin_of(request)
    figures = _act(request, admin) if request.method == "POST" else _look(request, admin)
    response = jsonify(figures)
    response.headers["Vary"] = "Accept, Authorization"
    return response


def _look(request: Request, admin: Admin) -> dict[str, Any]:
    asked = read_query(request, MonitorQuery, emulated=_emulated())
    if asked.user_id is not None:
        logs.info("story_read", "a user's story was asked for", actor=admin.uid, userId=asked.user_id)
        return timed(_story, asked)
    if asked.as_of is not None:  # somebody moves the clock: nothing they have seen is of now
        return {**timed(_view, asked), "cached": False}
    answer, cached = _views.get(asked.run_id, lambda: timed(_view, asked))
    return {**answer, "reads": 0 if cached else answer["reads"], "cached": cached}


def _view(call: Call[MonitorQuery]) -> dict[str, Any]:
    return view_answer(call.context, watch(call.context, call.body.run_id))


def _story(call: Call[MonitorQuery]) -> dict[str, Any]:
    return story_answer(tell(call.context, str(call.body.user_id), call.body.before))


def _health_response(request: Request) -> Response:
    """200, or 503 with the reasons: codes, and words that name nobody."""
    asked = read_query(request, HealthQuery, emulated=_emulated())
    if asked.as_of is not None:
        diagnosis = _diagnosed(asked)
    else:
        diagnosis, _ = _health.get("health", lambda: _diagnosed(asked))
    response = jsonify(diagnosis)
    response.status_code = 503 if diagnosis["reasons"] else 200
    return response


def _diagnosed(asked: HealthQuery) -> dict[str, Any]:
    try:
        diagnosis = timed(lambda call: health_answer(check_health(call.context)), asked)
    except SystemFailureError as exc:
        code = Ailment.BREAKER_OPEN if exc.code == Ailment.BREAKER_OPEN else Ailment.DATABASE_UNREACHABLE
        return health_answer([Reason(code, "the database can't be reached or refuses us")])
    except StoreError as exc:
        logs.error("health_not_told", str(exc))
        why = "a run document can't be read; the log names it"
        return health_answer([Reason(Ailment.DOCUMENT_UNREADABLE, why)])
    return {"status": diagnosis["status"], "reasons": diagnosis["reasons"], "checkedAt": diagnosis["startTime"]}


def _act(request: Request, admin: Admin) -> dict[str, Any]:
    check_same_site(request)
    body = read_body(request, ActionBody, emulated=_emulated())
    operator = Operator(admin.name, body.reason, admin.uid)
    try:
        return {"action": body.action.value, **timed(lambda call: _pull(call, operator), body)}
    finally:
        _views.forget()
        _health.forget()


def _pull(call: Call[ActionBody], operator: Operator) -> dict[str, Any]:
    match call.body.action:
        case Action.PAUSE | Action.RESUME:
            return _paused(call, operator, paused=call.body.action is Action.PAUSE)
        case Action.REQUEUE:
            return _requeued(call, operator)
        case Action.RESCAN:
            changed, run = operator_actions.rescan(call.context, operator, _given(call.body.run_id))
            return {"changed": changed, "runId": run.run_id, "status": _status_shown(run)}
        case Action.REFRESH:
            return page_answer(operator_actions.refresh(call.context, operator, _given(call.body.user_ids)))


def _status_shown(run: Run) -> str:
    """A rescan that was asked for is in progress, though the builder has still to come."""
    return (RunStatus.IN_PROGRESS if run.rescan_requested else run.status).value


def _paused(call: Call[ActionBody], operator: Operator, *, paused: bool) -> dict[str, Any]:
    user_id = call.body.user_id
    if user_id is None:
        return {"changed": operator_actions.pause(call.context, operator, paused=paused), "paused": paused}
    changed = operator_actions.pause_user(call.context, operator, user_id, paused=paused)
    return {"changed": changed, "userId": user_id, "paused": paused}


def _requeued(call: Call[ActionBody], operator: Operator) -> dict[str, Any]:
    if call.body.job_id is not None:
        done = operator_actions.requeue_job(call.context, operator, call.body.job_id)
    else:
        done = operator_actions.requeue_run(call.context, operator, _given(call.body.run_id).isoformat())
    return {
        "changed": done.jobs > 0,
        "requeuedJobs": done.jobs,
        "requeuedUsers": done.users,
        "hasMore": done.has_more,
    }


def _emulated() -> bool:
    return bool(instance.settings().emulator_host)


def _given(value: T | None) -> T:
    """What the body's own check has seen to."""
    if value is None:
        raise TypeError("an action without its object")
    return value
