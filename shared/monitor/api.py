"""The monitor's requests: what is public first, then who asks, then what they see or do."""

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
from shared.edge.requests import RequestError, check_method, read_body, read_query
from shared.monitor import operator_actions, previews
from shared.monitor.activity import read_activity
from shared.monitor.answer_cache import AnswerCache
from shared.monitor.auth import Admin, admin_of, web_config
from shared.monitor.bodies import Action, ActionBody, HealthQuery, MonitorQuery, ViewName
from shared.monitor.days import days_answer, read_days
from shared.monitor.failures import failures_answer, read_failures
from shared.monitor.health import Reason, ReasonCode
from shared.monitor.job_details import job_answer, read_job
from shared.monitor.links import with_others
from shared.monitor.operator_actions import Operator
from shared.monitor.overview import check_health, read_overview
from shared.monitor.overview_answer import health_answer, overview_answer
from shared.monitor.page import public_answer
from shared.monitor.same_site import check_same_site
from shared.monitor.user_history import read_user_history, user_answer

T = TypeVar("T")

CACHED_SECONDS = 2
DAYS_CACHED_SECONDS = 300  # they cost more, and change slowly
HEALTH_CACHED_SECONDS = 10  # anybody may ask, as often as they like: it costs 6 reads in so many seconds an instance
METHODS = ("GET", "HEAD", "POST")

_overviews: AnswerCache[dict[str, Any]] = AnswerCache(CACHED_SECONDS)
_days: AnswerCache[dict[str, Any]] = AnswerCache(DAYS_CACHED_SECONDS)
_health: AnswerCache[dict[str, Any]] = AnswerCache(HEALTH_CACHED_SECONDS)


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
    if asked.view is not None:
        return _look_at_days(asked) if asked.view is ViewName.DAYS else timed(_view, asked)
    if asked.user_id is not None:
        logs.info("story_read", "a user's story was asked for", actor=admin.uid, userId=asked.user_id)
        return timed(_user, asked)
    if asked.job_id is not None:
        return timed(lambda call: job_answer(read_job(call.context, str(asked.job_id))), asked)
    return {**_cached(_overviews, asked, _overview), "mayAct": admin.may_act}


def _look_at_days(asked: MonitorQuery) -> dict[str, Any]:
    return _cached(_days, asked, lambda call: days_answer(call.context, read_days(call.context)))


def _cached(cache: AnswerCache[dict[str, Any]], asked: MonitorQuery, read: Any) -> dict[str, Any]:
    """The answer, and whether it was kept from an earlier call. With `asOf` the clock moves: nothing is kept."""
    if asked.as_of is not None:
        return {**timed(read, asked), "cached": False}
    answer, cached = cache.get(asked.run_id, lambda: timed(read, asked))
    return {**answer, "reads": 0 if cached else answer["reads"], "cached": cached}


def _overview(call: Call[MonitorQuery]) -> dict[str, Any]:
    return overview_answer(call.context, read_overview(call.context, call.body.run_id))


def _user(call: Call[MonitorQuery]) -> dict[str, Any]:
    return user_answer(read_user_history(call.context, str(call.body.user_id), call.body.before))


def _view(call: Call[MonitorQuery]) -> dict[str, Any]:
    """A view beside the overview. `runId` is today's where none is given."""
    context, asked = call.context, call.body
    day = asked.run_id or context.schedule.day_of(context.clock())
    match asked.view:
        case ViewName.FAILURES:
            return {"runId": day.isoformat()} | failures_answer(read_failures(context, day, asked.code, asked.cursor))
        case ViewName.ACTIVITY:
            return read_activity(context, asked.cursor, asked.actor, asked.action)
        case ViewName.RESCAN_PREVIEW:
            return previews.preview_rescan(context, day)
        case _ if asked.job_id is not None:
            return previews.preview_requeue_job(context, asked.job_id)
        case _:
            return previews.preview_requeue_run(context, day, asked.code)


def _health_response(request: Request) -> Response:
    """200, or 503 with the reasons: codes, and words that name nobody."""
    asked = read_query(request, HealthQuery, emulated=_emulated())
    if asked.as_of is not None:
        diagnosis = _diagnosis(asked)
    else:
        diagnosis, _ = _health.get("health", lambda: _diagnosis(asked))
    response = jsonify(diagnosis)
    response.status_code = 503 if diagnosis["status"] == "unhealthy" else 200
    return response


def _diagnosis(asked: HealthQuery) -> dict[str, Any]:
    try:
        diagnosis = timed(lambda call: health_answer(check_health(call.context)), asked)
    except SystemFailureError as exc:
        code = ReasonCode.BREAKER_OPEN if exc.code == ReasonCode.BREAKER_OPEN else ReasonCode.DATABASE_UNREACHABLE
        return health_answer([Reason(code, "the database can't be reached or refuses us")])
    except StoreError as exc:
        logs.error("health_not_told", str(exc))
        why = "a run document can't be read; the log names it"
        return health_answer([Reason(ReasonCode.DOCUMENT_UNREADABLE, why)])
    return {"status": diagnosis["status"], "reasons": diagnosis["reasons"], "checkedAt": diagnosis["startTime"]}


def _act(request: Request, admin: Admin) -> dict[str, Any]:
    check_same_site(request)
    if not admin.may_act:
        raise RequestError(403, "read_only", "your account may look and not act; ask an admin of this project")
    body = read_body(request, ActionBody, emulated=_emulated())
    operator = Operator(admin.name, body.reason, admin.uid)
    try:
        return {"action": body.action.value, **timed(lambda call: _perform(call, operator), body)}
    finally:
        for cache in (_overviews, _days, _health):
            cache.forget()


def _perform(call: Call[ActionBody], operator: Operator) -> dict[str, Any]:
    match call.body.action:
        case Action.PAUSE | Action.RESUME:
            return _pause(call, operator, paused=call.body.action is Action.PAUSE)
        case Action.REQUEUE:
            return _requeue(call, operator)
        case Action.RESCAN:
            changed, run = operator_actions.rescan(call.context, operator, _given(call.body.run_id))
            return {"changed": changed, "runId": run.run_id, "status": _status_shown(run)}
        case Action.REFRESH:
            return page_answer(operator_actions.refresh(call.context, operator, _given(call.body.user_ids)))


def _status_shown(run: Run) -> str:
    """A rescan that was asked for is in progress, though the builder has still to come."""
    return (RunStatus.IN_PROGRESS if run.rescan_requested else run.status).value


def _pause(call: Call[ActionBody], operator: Operator, *, paused: bool) -> dict[str, Any]:
    context, user_id = call.context, call.body.user_id
    if user_id is not None:
        changed = operator_actions.pause_user(context, operator, user_id, paused=paused)
        return {"changed": changed, "userId": user_id, "paused": paused}
    if paused:
        changed = operator_actions.pause(context, operator, call.body.until)
    else:
        changed = operator_actions.resume(context, operator)
    return {"changed": changed, "paused": paused}


def _requeue(call: Call[ActionBody], operator: Operator) -> dict[str, Any]:
    if call.body.job_id is not None:
        done = operator_actions.requeue_job(call.context, operator, call.body.job_id)
    else:
        run_id = _given(call.body.run_id).isoformat()
        done = operator_actions.requeue_run(call.context, operator, run_id, call.body.code)
    return {
        "changed": done.jobs > 0,
        "requeuedJobs": done.jobs,
        "requeuedUsers": done.users,
        "hasMore": done.has_more,
    }


def _emulated() -> bool:
    return bool(instance.settings().emulator_host)


def _given(value: T | None) -> T:
    """A field that the body's own check has made sure of."""
    if value is None:
        raise TypeError("an action without its object")
    return value
