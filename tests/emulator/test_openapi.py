"""docs/openapi.json agrees with the code. No request that it allows or forbids makes a function fail."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs
import pytest

from dev import typescript
from dev.cloud_scheduler import path_of
from dev.openapi import ANSWERS, BODIES, document, monitor_types, read_document, render_document
from dev.openapi_monitor import RESULTS, VIEWS
from shared.monitor.bodies import Action, MonitorQuery, ViewName
from shared.settings import BUNDLE
from tests.support.servers import server
from tests.support.world import MIDNIGHT, World, population

ENTRY_POINTS = ["credit_refresh", "credit_refresh_queue", "credit_refresh_worker", "credit_refresh_monitor"]
HOUR = timedelta(hours=1)
EXAMPLES = 60  # of each operation and each kind
SEED = 7
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFORMANCE = "status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_document_agrees_with_the_code():
    """`make openapi` writes it, and the types of the monitor's answers."""
    assert read_document() == render_document(), "docs/openapi.json is not what the code says: run `make openapi`"
    assert typescript.FILE.read_text("utf-8") == monitor_types(), "docs/monitor.d.ts: run `make openapi`"


def test_every_schema_that_is_referred_to_exists():
    """A program that reads the document finds each schema."""
    found = document()

    refs = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(found)))

    assert refs <= {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert len(refs) > 20


def test_each_parameter_view_and_action_of_the_monitor_is_described():
    """The document has what a GET takes and answers, and what a POST takes and answers."""
    found = document()["paths"][path_of("credit_refresh_monitor")]

    parameters = {parameter["name"]: parameter["description"] for parameter in found["get"]["parameters"]}
    assert set(parameters) == {str(field.alias) for field in MonitorQuery.model_fields.values()}
    described = " ".join(schema["description"] for schema in VIEWS.values())
    assert all(f"view={view}" in described for view in ViewName)
    actions = itertools.chain(*(schema["properties"]["action"]["enum"] for schema in RESULTS.values()))
    assert sorted(actions) == sorted(Action)
    for method, answers in (("get", VIEWS), ("post", RESULTS)):
        schema = found[method]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in answers]}


def test_the_document_has_every_entry_point_and_every_field():
    """Fields have their names in JSON, and their ranges."""
    answer = document()
    schemas = answer["components"]["schemas"]

    assert {path_of(name) for name in [*ENTRY_POINTS, "credit_refresh_user_created"]} < set(answer["paths"])
    for kind in BODIES:
        names = {str(field.alias) for field in kind.model_fields.values()}
        assert set(schemas[kind.__name__]["properties"]) == names
    assert schemas["WorkerBody"]["properties"]["processTime"] == {
        "type": "integer",
        "minimum": 1000,
        "maximum": 1_800_000,
        "default": 60_000,
    }


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The functions as they are deployed, with some users, jobs of every kind and receipts."""
    world = World(job_size=3)
    world.users({**population(9, plan="free"), "odd": {"credits": "x"}})
    world.build()
    world.work(jobs_max=2)
    logs = tmp_path_factory.mktemp("openapi")
    with ExitStack() as running:
        yield {
            name: running.enter_context(server(name, logs / name, GOOGLE_CLOUD_PROJECT=world.settings.project))
            for name in ENTRY_POINTS
        }


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "path", "checks"),
    [
        *((name, "", f"not_a_server_error,{CONFORMANCE}") for name in ENTRY_POINTS),
        ("credit_refresh_monitor", "/health", CONFORMANCE),  # where 503 is an answer like any other, and 500 is not
    ],
)
def test_no_request_makes_a_function_fail(servers, tmp_path, name, path, checks):
    """Requests that the document allows or forbids give no 500, and only answers that it describes."""
    command = [
        *(SCHEMATHESIS, "run", str(BUNDLE / "docs" / "openapi.json"), "--no-color", "--seed", str(SEED)),
        *("--url", f"http://127.0.0.1:{servers[name].port}", "--include-path", f"{path_of(name)}{path}"),
        *("--checks", checks, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
        *("--request-timeout", "100", "--suppress-health-check", "all"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=380, check=False, cwd=tmp_path)

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "No test cases were generated" not in ended.stdout


@pytest.mark.parametrize(
    ("name", "body", "answer"),
    [
        ("credit_refresh", {"batchSize": 2}, "DirectAnswer"),
        ("credit_refresh_queue", {}, "QueueAnswer"),
        ("credit_refresh_worker", {}, "WorkerAnswer"),
    ],
)
def test_the_document_leaves_no_field_of_an_answer_out(servers, name, body, answer):
    """Each answer has exactly the fields of the document."""
    reply = servers[name].post(body)

    assert set(reply.json) == set(ANSWERS[answer]), "add the field to ANSWERS in dev/openapi.py, and run `make openapi`"


# Each answer of the monitor is compared with its schema. It has no field that the schema does not name.


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    """The monitor on a day with users who are settled, pending, failed in a job, and found to fail by the builder."""
    world = World(job_size=4, slot_seconds=21_600, zone_field="zone")
    world.users(population(30) | {"bad": {"credits": "x"}})
    world.users({name: {"credits": 5, "zone": zone} for name, zone in (("tokyo", "Asia/Tokyo"), ("mars", "Mars/X"))})
    world.build()
    for number in range(12):
        world.update(f"users/user{number:05d}", credits="x")
    world.work(MIDNIGHT + 13 * HOUR)
    world.refresh("tokyo", now=MIDNIGHT + 13 * HOUR)
    environ = {"GOOGLE_CLOUD_PROJECT": str(world.settings.project), "CREDIT_REFRESH_ZONE_FIELD": "zone"}
    with server("credit_refresh_monitor", tmp_path_factory.mktemp("answers") / "log", **environ) as running:
        yield Monitor(world, running)


class Monitor:
    """The monitor's function, called at 14:00 of the day."""

    def __init__(self, world, running):
        self.world, self._running = world, running
        self.failed, self.settled, self.pending = (
            next(job_id for job_id, job in world.jobs().items() if job["status"] == status)
            for status in ("failed", "completed", "pending")
        )

    def get(self, **query: str) -> Any:
        at = query.pop("asOf", "2026-11-22T14:00:00Z")
        return self._running.request("GET", path=f"/?{urlencode({**query, 'asOf': at})}")

    def post(self, body: dict[str, Any]) -> Any:
        return self._running.post({"asOf": "2026-11-22T14:00:00Z", **body})

    def health(self) -> Any:
        return self._running.request("GET", path="/health?asOf=2026-11-22T23:59:59Z")


def problems(answer: Any, name: str) -> list[str]:
    """How an answer differs from its schema, in which no object may have further fields."""
    schemas = closed(document()["components"]["schemas"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    return [f"{error.instance_path}: {error.message[:300]}" for error in validator.iter_errors(answer)]


def closed(schema: Any) -> Any:
    """The schema with `additionalProperties: false` in each object that names its properties."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    names_fields = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    return {**inner, "additionalProperties": False} if names_fields else inner


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({}, "OverviewAnswer"),
        ({"asOf": "2026-11-22T23:59:00Z"}, "OverviewAnswer"),
        ({"runId": "2026-11-21"}, "OverviewAnswer"),
        ({"asOf": "2026-11-25T00:00:00Z", "runId": "2026-11-22"}, "OverviewAnswer"),
        ({"asOf": "2026-12-25T00:00:00Z"}, "OverviewAnswer"),
        ({"userId": "user00001"}, "UserAnswer"),
        ({"userId": "user00020"}, "UserAnswer"),
        ({"userId": "bad"}, "UserAnswer"),
        ({"userId": "tokyo"}, "UserAnswer"),
        ({"userId": "mars"}, "UserAnswer"),
        ({"userId": "tokyo", "before": "2026-11-01"}, "UserAnswer"),
        ({"jobId": "failed"}, "JobAnswer"),
        ({"jobId": "settled"}, "JobAnswer"),
        ({"jobId": "pending"}, "JobAnswer"),
        ({"view": "days"}, "DaysAnswer"),
        ({"view": "failures"}, "FailuresAnswer"),
        ({"view": "failures", "code": "bad_balance", "cursor": "2026-11-22"}, "FailuresAnswer"),
        ({"view": "activity"}, "ActivityAnswer"),
        ({"view": "requeue-preview"}, "RequeuePreviewAnswer"),
        ({"view": "requeue-preview", "jobId": "failed"}, "RequeuePreviewAnswer"),
        ({"view": "rescan-preview", "runId": "2026-11-22"}, "RescanPreviewAnswer"),
    ],
)
def test_each_view_answers_as_the_document_says(monitor, query, answer):
    """Every field has its type, and no field is undocumented."""
    query = {name: getattr(monitor, value, value) if name == "jobId" else value for name, value in query.items()}

    reply = monitor.get(**query)

    assert reply.status == 200, reply.body
    assert problems(reply.json, answer) == []


def test_each_action_answers_as_the_document_says(monitor):
    """The views afterwards do so, too. They show a pause, the activity log and a requeued job."""
    actions = [
        ({"action": "pause", "reason": "a test"}, "PauseAnswer"),
        ({"action": "pause", "userId": "user00020"}, "PauseAnswer"),
        ({"action": "requeue", "jobId": monitor.failed}, "RequeueAnswer"),
        ({"action": "requeue", "runId": "2026-11-22", "code": "bad_balance"}, "RequeueAnswer"),
        ({"action": "rescan", "runId": "2026-11-22"}, "RescanAnswer"),
        ({"action": "refresh", "userIds": ["user00001", "user00021", "nobody"]}, "RefreshAnswer"),
    ]
    views = [({}, "OverviewAnswer"), ({"view": "activity"}, "ActivityAnswer"), ({"jobId": monitor.failed}, "JobAnswer")]

    found = [(reply.status, problems(reply.json, name)) for body, name in actions for reply in [monitor.post(body)]]
    found += [(reply.status, problems(reply.json, name)) for query, name in views for reply in [monitor.get(**query)]]
    found.append((monitor.post({"action": "resume"}).status, []))

    assert found == [(200, [])] * (len(actions) + len(views) + 1)


def test_health_and_refusals_are_as_the_document_says(monitor):
    """Health has its reasons. A refusal says what is wrong."""
    refused = [monitor.get(userId="nobody"), monitor.get(view="nonsense"), monitor.post({"action": "rescan"})]

    assert problems(monitor.health().json, "HealthAnswer") == []
    assert [problems(reply.json, "Error") for reply in refused] == [[], [], []]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"paused": True}, '"action" is a required property'),
        ({"colour": "red"}, "colour"),
    ],
)
def test_the_check_finds_what_the_document_does_not_allow(answer, problem):
    """A field may be missing or unknown."""
    found = problems(answer, "PauseAnswer")

    assert any(problem in each for each in found), found


def test_the_file_is_json():
    assert json.loads(read_document())["openapi"] == "3.1.0"
