"""`make openapi` writes docs/openapi.json, the HTTP interface of the functions. Its source are the request models."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from dev.cloud_scheduler import path_of
from dev.function_server import BUNDLE
from shared.edge.bodies import Body, DirectBody, QueueBody, WorkerBody
from shared.monitor.bodies import ActionBody, HealthQuery, MonitorQuery

FILE = BUNDLE / "docs" / "openapi.json"

Schema = dict[str, Any]

BODIES: tuple[type[Body], ...] = (DirectBody, QueueBody, WorkerBody, ActionBody)
QUERIES: tuple[type[Body], ...] = (MonitorQuery, HealthQuery)
REF = "#/components/schemas/{model}"

COUNT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DATE: Schema = {"type": "string", "format": "date"}

TIMES = {"startTime": TIME, "endTime": TIME, "duration": COUNT, "reads": COUNT, "writes": COUNT}
ERRORS = {"errors": {"type": "array", "items": {"$ref": REF.format(model="UserError")}}, "errorsTotal": COUNT}
TALLY: dict[str, Schema] = dict.fromkeys(("processedUsers", "refreshedUsers", "skippedUsers", "failedUsers"), COUNT)


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


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
    "MonitorAnswer": {**TIMES},
    "HealthAnswer": {
        "status": TEXT,
        "reasons": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": TEXT, "message": TEXT},
            },
        },
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
    answers = {name: _object(fields) for name, fields in ANSWERS.items()}
    return dict(sorted({**schemas, **answers, "Error": _error()}.items()))


def _object(fields: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": list(fields), "properties": dict(fields)}


def _error() -> Schema:
    fields = {"code": TEXT, "message": TEXT, "field": nullable(TEXT)}
    return {"type": "object", "required": ["error"], "properties": {"error": _object(fields)}}


def _post(summary: str, body: str, answer: str) -> Schema:
    required = body == "DirectBody"
    content = {"application/json": {"schema": {"$ref": REF.format(model=body)}}}
    return {
        "summary": summary,
        "requestBody": {"required": required, "content": content},
        "responses": _responses(answer, {**REFUSALS, **PRIVATE, "404": "the path begins with two slashes"}),
        "security": [{"invoker": []}],
    }


def _monitor() -> Schema:
    act = _post("Act: pause, resume, requeue, rescan, refresh", "ActionBody", "MonitorAnswer")
    responses = _responses("MonitorAnswer", {**REFUSALS, **SIGNED_IN})
    look = {"summary": "A day, or one user's story", "parameters": _parameters(MonitorQuery), "responses": responses}
    security: Schema = {"security": [{"admin": []}]}
    act["requestBody"]["required"] = True
    return {"get": {**look, **security}, "post": {**act, "responses": responses, **security}}


def _health() -> Schema:
    responses = _responses("HealthAnswer", {name: REFUSALS[name] for name in ("400", "405")})
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


def _responses(answer: str, refusals: Mapping[str, str]) -> dict[str, Schema]:
    content = {"application/json": {"schema": {"$ref": REF.format(model=answer)}}}
    error = {"application/json": {"schema": {"$ref": REF.format(model="Error")}}}
    refused = {status: {"description": text, "content": error} for status, text in sorted(refusals.items())}
    return {"200": {"description": "done as far as it was possible", "content": content}, **refused}


def _parameters(query: type[Body]) -> Sequence[Schema]:
    schema = query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(field)}
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


def main() -> int:
    FILE.write_text(render_document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
