"""docs/openapi.json: it says what the code says, and no request it allows or forbids makes a function fail."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from dev.cloud_scheduler import path_of
from dev.openapi import ANSWERS, BODIES, document, read_document, render_document
from shared.settings import BUNDLE
from tests.support.servers import server
from tests.support.world import World, population

ENTRY_POINTS = ["credit_refresh", "credit_refresh_queue", "credit_refresh_worker", "credit_refresh_monitor"]
EXAMPLES = 60  # of each operation and each kind
SEED = 7
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFORMANCE = "status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_document_is_the_code_s():
    """`make openapi` writes it."""
    assert read_document() == render_document(), "docs/openapi.json is not what the code says: run `make openapi`"


def test_every_entry_point_and_every_field_is_in_it():
    """Fields by their names in JSON, with their ranges."""
    told = document()
    schemas = told["components"]["schemas"]

    assert {path_of(name) for name in [*ENTRY_POINTS, "credit_refresh_user_created"]} < set(told["paths"])
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
    """Those of the document and those it forbids: no 500, and every answer is one that the document tells of."""
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
    """What a caller may rely on is what is there."""
    reply = servers[name].post(body)

    assert set(reply.json) == set(ANSWERS[answer]), "add the field to ANSWERS in dev/openapi.py, and run `make openapi`"


def test_the_file_is_json():
    """As tools read it."""
    assert json.loads(read_document())["openapi"] == "3.1.0"
