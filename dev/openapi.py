"""`make openapi`: docs/openapi.json, the HTTP interface of the functions, made from the models that check requests; and
docs/monitor.d.ts, the monitor's answers as TypeScript."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from dev import typescript
from dev.cloud_scheduler import path_of
from dev.function_server import BUNDLE
from dev.openapi_monitor import PARAMETERS, PARTS, RESULTS, VIEWS, action_forms
from dev.openapi_schemas import COUNT, DATE, FLAG, REF, TEXT, TIMES, Schema, list_of, nullable, object_of, ref
from shared.edge.bodies import Body, DirectBody, QueueBody, WorkerBody
from shared.monitor.bodies import ActionBody, HealthQuery, MonitorQuery

FILE = BUNDLE / "docs" / "openapi.json"

BODIES: tuple[type[Body], ...] = (DirectBody, QueueBody, WorkerBody, ActionBody)
QUERIES: tuple[type[Body], ...] = (MonitorQuery, HealthQuery)
ERRORS = {"errors": list_of(ref("UserError")), "errorsTotal": COUNT}
TALLY: dict[str, Schema] = dict.fromkeys(("processedUsers", "refreshedUsers", "skippedUsers", "failedUsers"), COUNT)


# The fields that every answer has. More may be added at any time: ignore those you don't know.
ANSWERS: Mapping[str, Schema] = {
    "DirectAnswer": {
        "totalUsers": COUNT,
        **TALLY,
        **ERRORS,
        **TIMES,
        "batchNumber": {"type": "integer", "minimum": 1},
        "cursor": nullable(TEXT),
        "hasMore": FLAG,
    },
    "QueueAnswer": {
        "runId": DATE,
        "scan": {"enum": ["all", "due", "adopt", None]},
        "scanReason": nullable(TEXT),
        "status": {"enum": ["completed", "in_progress", "paused"]},
        "scannedUsers": COUNT,
        "queuedUsers": COUNT,
        "skippedUsers": COUNT,
        "failedUsers": COUNT,
        "adoptedUsers": COUNT,
        "jobsCreated": COUNT,
        "cursor": nullable(TEXT),
        "hasMore": FLAG,
        **ERRORS,
        **TIMES,
    },
    "WorkerAnswer": {
        "requestedUsers": COUNT,
        "jobsClaimed": COUNT,
        "jobsCompleted": COUNT,
        "jobsRetried": COUNT,
        "jobsFailed": COUNT,
        **TALLY,
        "conflicts": COUNT,
        "hasMore": FLAG,
        **ERRORS,
        **TIMES,
    },
    "UserError": {"userId": nullable(TEXT), "error": TEXT, "code": TEXT},
}

REFUSALS = {
    "400": "the request is not understood; `field` names what is wrong with it",
    "405": "the method is not possible here",
    "500": "a document can't be read, or the database refused the request",
    "503": "the database can't be reached, or the circuit breaker is open; `Retry-After` says when to try again",
}
PRIVATE = {
    "401": "Cloud Run asks for an ID token of an account with the invoker role",
    "403": "the token's account has no invoker role",
}
SIGNED_IN = {
    "401": "no Firebase ID token, or not one that is good now",
    "403": "signed in, and not an admin; or an action of another site's page",
    "404": "there is no such user, job, run or file",
    "408": "the body did not arrive in time",
    "409": "not possible as things are",
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Credit Refresh",
            "version": "1",
            "description": "Each path is a function of its own. A function answers at any path of its address.",
        },
        "paths": {
            path_of("credit_refresh"): {"post": _post("Refresh users now", "DirectBody", "DirectAnswer")},
            path_of("credit_refresh_queue"): {"post": _post("Find who is due", "QueueBody", "QueueAnswer")},
            path_of("credit_refresh_worker"): {"post": _post("Work on due jobs", "WorkerBody", "WorkerAnswer")},
            path_of("credit_refresh_monitor"): _monitor(),
            f"{path_of('credit_refresh_monitor')}/health": {"get": _health()},
            path_of("credit_refresh_user_created"): {"post": _event()},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "invoker": {"type": "http", "scheme": "bearer", "description": PRIVATE["401"]},
                "admin": {"type": "http", "scheme": "bearer", "description": "a Firebase ID token of an admin"},
            },
        },
    }


def _schemas() -> dict[str, Schema]:
    _, found = models_json_schema([(kind, "validation") for kind in (*BODIES, *QUERIES)], ref_template=REF)
    schemas: dict[str, Schema] = found["$defs"]
    for query in QUERIES:
        del schemas[query.__name__]  # its fields are listed as parameters instead
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            field.pop("title", None)  # it only repeats the name
    direct = schemas["DirectBody"]
    direct["anyOf"] = [{"required": [name]} for name in ("userIds", "batchSize", "cursor")]
    schemas["ActionBody"]["anyOf"] = action_forms()
    answers = {name: object_of(fields) for name, fields in ANSWERS.items()}
    return dict(sorted({**schemas, **answers, **PARTS, **VIEWS, **RESULTS, "Error": _error()}.items()))


def _error() -> Schema:
    fields = {"code": TEXT, "message": TEXT, "field": nullable(TEXT)}
    return {"type": "object", "required": ["error"], "properties": {"error": object_of(fields)}}


def _post(summary: str, body: str, answer: str) -> Schema:
    required = body == "DirectBody"
    content = {"application/json": {"schema": ref(body)}}
    return {
        "summary": summary,
        "requestBody": {"required": required, "content": content},
        "responses": _responses(ref(answer), {**REFUSALS, **PRIVATE, "404": "the path begins with two slashes"}),
        "security": [{"invoker": []}],
    }


def _monitor() -> Schema:
    refusals = {**REFUSALS, **SIGNED_IN}
    look = {
        "summary": "A day, one user, one job, or a view",
        "description": "`Accept: text/html` asks for the page, and `asset` for one of its files; these hold no data.",
        "parameters": _parameters(MonitorQuery),
        "responses": _responses({"anyOf": [ref(name) for name in VIEWS]}, refusals),
    }
    act = {
        "summary": "Act: pause, resume, requeue, rescan, refresh",
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("ActionBody")}}},
        "responses": _responses({"anyOf": [ref(name) for name in RESULTS]}, refusals),
    }
    security: Schema = {"security": [{"admin": []}]}
    return {"get": {**look, **security}, "post": {**act, **security}}


def _health() -> Schema:
    responses = _responses(ref("HealthAnswer"), {name: REFUSALS[name] for name in ("400", "405")})
    responses["503"] = {**responses["200"], "description": "something is wrong; the reasons say what"}
    return {
        "summary": "Is the refresh doing its work?",
        "parameters": _parameters(HealthQuery),
        "responses": responses,
        "security": [],
    }


def _event() -> Schema:
    return {
        "summary": "A user document was created: called by Eventarc alone",
        "description": "A CloudEvent in binary mode, whose data is a google.events.cloud.firestore.v1 message.",
        "requestBody": {"required": True, "content": {"application/protobuf": {}}},
        "responses": {
            "200": {"description": "handled, or dropped because no later try could mend it"},
            "400": {"description": "not a CloudEvent"},
            "503": {"description": "the database can't be reached; the event is delivered again"},
        },
        "security": [{"invoker": []}],
    }


def _responses(answer: Schema, refusals: Mapping[str, str]) -> dict[str, Schema]:
    content = {"application/json": {"schema": answer}}
    error = {"application/json": {"schema": ref("Error")}}
    refused = {status: {"description": text, "content": error} for status, text in sorted(refusals.items())}
    return {"200": {"description": "done as far as it was possible", "content": content}, **refused}


def _parameters(query: type[Body]) -> Sequence[Schema]:
    schema = query.model_json_schema(ref_template=REF)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": PARAMETERS[name],
            "schema": _without_null(field),
        }
        for name, field in schema["properties"].items()
    ]


def _without_null(field: Schema) -> Schema:
    """The schema without null, because a query string can't hold null."""
    (kind,) = [each for each in field["anyOf"] if each != {"type": "null"}]
    return dict(kind)


def read_document(file: Path = FILE) -> str:
    """The document as it is in the file. Raises OSError."""
    return file.read_text(encoding="utf-8")


def render_document() -> str:
    """The document as the code describes it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def monitor_types() -> str:
    """The monitor's answers as TypeScript."""
    user_error = {"UserError": object_of(ANSWERS["UserError"])}
    return typescript.rendered({**PARTS, **VIEWS, **RESULTS, **user_error, "ErrorAnswer": _error()})


def main() -> int:
    FILE.write_text(render_document(), encoding="utf-8")
    typescript.FILE.write_text(monitor_types(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
