"""The functions over HTTP, under functions-framework: their answers, refusals, logs and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.support.servers import ROOT, server
from tests.support.world import World, population

TIMES = {"startTime", "endTime", "duration", "reads", "writes", "errors", "errorsTotal"}
TALLY = {"processedUsers", "refreshedUsers", "skippedUsers", "failedUsers"}
ANSWERS = {
    "credit_refresh": {"totalUsers", "batchNumber", "cursor", "hasMore"} | TALLY | TIMES,
    "credit_refresh_queue": {
        "runId",
        "scan",
        "scanReason",
        "status",
        "scannedUsers",
        "queuedUsers",
        "skippedUsers",
        "failedUsers",
        "adoptedUsers",
        "jobsCreated",
        "cursor",
        "hasMore",
    }
    | TIMES,
    "credit_refresh_worker": {
        "requestedUsers",
        "jobsClaimed",
        "jobsCompleted",
        "jobsRetried",
        "jobsFailed",
        "conflicts",
        "hasMore",
    }
    | TALLY
    | TIMES,
}


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def servers(world, tmp_path_factory):
    """All functions, in processes of their own."""
    logs = tmp_path_factory.mktemp("functions")
    environ = {"GOOGLE_CLOUD_PROJECT": world.settings.project, "CREDIT_REFRESH_SLOT_SECONDS": "21600"}
    with (
        server("credit_refresh", logs / "direct.log", **environ) as direct,
        server("credit_refresh_queue", logs / "queue.log", **environ) as queue,
        server("credit_refresh_worker", logs / "worker.log", **environ) as worker,
    ):
        yield {"credit_refresh": direct, "credit_refresh_queue": queue, "credit_refresh_worker": worker}


def test_a_day_over_http(world, servers):
    """Builder, worker and direct refresh do their work and answer with the documented fields."""
    world.users({f"day{n}": {"credits": 1} for n in range(5)} | {"odd": {"credits": "x"}})

    built = servers["credit_refresh_queue"].post({"asOf": "2026-11-22T00:00:00Z", "scan": "all"})
    worked = servers["credit_refresh_worker"].post({"asOf": "2026-11-22T23:59:00+00:00", "maxJobs": 10})
    direct = servers["credit_refresh"].post({"asOf": "2026-11-23T01:00:00+01:00", "userIds": ["day1", "odd"]})

    for name, reply in zip(ANSWERS, (direct, built, worked), strict=True):
        assert reply.status == 200
        assert set(reply.json) == ANSWERS[name]
    assert built.json["queuedUsers"] == worked.json["refreshedUsers"] == 5
    assert (direct.json["refreshedUsers"], direct.json["failedUsers"]) == (1, 1)
    assert direct.json["errors"][0]["userId"] == "odd"
    assert {world.user(f"day{n}")["credits"] for n in range(5)} == {50}
    assert built.json["startTime"] == "2026-11-22T00:00:00+00:00"


def test_pages_are_chained_by_an_opaque_cursor(servers):
    """The cursor of one page gives the next page, with the next number."""
    first = servers["credit_refresh"].post({"batchSize": 2}).json
    second = servers["credit_refresh"].post({"batchSize": 2, "cursor": first["cursor"]}).json

    assert (first["batchNumber"], second["batchNumber"]) == (1, 2)
    assert (first["totalUsers"], second["totalUsers"]) == (2, 2)


@pytest.mark.parametrize("body", [b"", b"{}", b"  \n"])
def test_an_empty_body_is_an_empty_object(servers, body):
    """Cloud Scheduler may send no body at all."""
    assert servers["credit_refresh_worker"].request("POST", body).status == 200


@pytest.mark.parametrize("body", [b"", b"{}", b'{"userIds": null}', b'{"asOf": "2026-11-22T12:00:00Z"}'])
def test_a_direct_call_that_names_nobody_is_refused(servers, world, body):
    """`JSON.stringify({userIds: undefined})` is an empty object, and does not mean a page of all users."""
    world.users({"untouched": {"credits": 1}})

    reply = servers["credit_refresh"].request("POST", body)

    assert (reply.status, reply.json["error"]["code"], reply.json["error"]["field"]) == (400, "invalid_value", None)
    assert "userIds" in reply.json["error"]["message"]
    assert world.user("untouched")["credits"] == 1


@pytest.mark.parametrize(
    ("target", "body", "field"),
    [
        ("credit_refresh", {"batchSize": 0}, "batchSize"),
        ("credit_refresh", {"batchSize": 1001}, "batchSize"),
        ("credit_refresh", {"batchSize": "10"}, "batchSize"),
        ("credit_refresh", {"batchSize": True}, "batchSize"),
        ("credit_refresh", {"batchSize": 10.5}, "batchSize"),
        ("credit_refresh", {"cursor": "nonsense"}, "cursor"),
        ("credit_refresh", {"cursor": 5}, "cursor"),
        ("credit_refresh", {"userIds": "ann"}, "userIds"),
        ("credit_refresh", {"userIds": []}, "userIds"),
        ("credit_refresh", {"userIds": ["a/b"]}, "userIds"),
        ("credit_refresh", {"userIds": [""]}, "userIds"),
        ("credit_refresh", {"userIds": [7]}, "userIds.0"),
        ("credit_refresh", {"userIds": ["x" * 1501]}, "userIds"),
        ("credit_refresh", {"userIds": ["a"] * 1001}, "userIds"),
        ("credit_refresh_queue", {"scan": "some"}, "scan"),
        ("credit_refresh_queue", {"scan": None}, "scan"),
        ("credit_refresh_queue", {"createJobs": "yes"}, "createJobs"),
        ("credit_refresh_queue", {"processTime": 999}, "processTime"),
        ("credit_refresh_queue", {"processTime": 1_800_001}, "processTime"),
        ("credit_refresh_worker", {"maxJobs": 0}, "maxJobs"),
        ("credit_refresh_worker", {"jobs": 5}, "jobs"),
        ("credit_refresh_worker", {"asOf": "2026-11-22T00:00:00"}, "asOf"),
        ("credit_refresh_worker", {"asOf": "tomorrow"}, "asOf"),
        ("credit_refresh_worker", {"asOf": 1_700_000_000}, "asOf"),
    ],
)
def test_a_bad_field_is_refused_by_name(servers, target, body, field):
    """The answer is 400 with code, message and field."""
    reply = servers[target].post(body)

    assert reply.status == 400
    error = reply.json["error"]
    assert set(error) == {"code", "message", "field"}
    assert error["field"] == field
    assert error["code"]
    assert error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"maxJobs": NaN}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'"' + b"x" * 2_500_000 + b'"',
    ],
    ids=["list", "number", "null", "cut", "binary", "nan", "deep-list", "deep-map", "huge"],
)
def test_a_body_that_is_no_json_object_is_refused(servers, body):
    """Any other body is answered 400 in the usual form, without traceback or path."""
    reply = servers["credit_refresh_worker"].request("POST", body)

    assert reply.status == 400
    assert reply.json["error"]["message"]
    assert b"Traceback" not in reply.body
    assert str(ROOT).encode() not in reply.body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_refused(servers, method):
    """The answer is 405 and names the allowed method."""
    reply = servers["credit_refresh_queue"].request(method)

    assert (reply.status, reply.json["error"]["code"], reply.headers["Allow"]) == (405, "method_not_allowed", "POST")


@pytest.mark.parametrize(
    ("target", "method", "path", "status"),
    [
        ("credit_refresh_worker", "POST", "/", 200),
        ("credit_refresh_worker", "PUT", "/", 405),
        ("credit_refresh", "POST", "/any/path", 400),
        ("credit_refresh_queue", "POST", "//evil.example/x", 404),
        ("credit_refresh_queue", "POST", "//", 404),
    ],
)
def test_every_answer_has_no_store_and_nosniff(servers, target, method, path, status):
    """This holds for data and for errors. A path that begins with two slashes is not found."""
    reply = servers[target].request(method, b'{"batchSize": 0}' if status == 400 else b"", path)

    assert (reply.status, reply.headers.get("Cache-Control"), reply.headers.get("X-Content-Type-Options")) == (
        status,
        "no-store",
        "nosniff",
    )


def test_logs_are_json_with_action_trace_and_context(servers, world):
    """Each log line is one JSON object with Cloud Logging's fields."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    worker = servers["credit_refresh_worker"]
    worker.request("POST", b"{}", traceparent=f"00-{trace}-b7ad6b7169203331-01")

    done = [line for line in worker.lines() if line.get("action") == "credit_refresh_worker"][-1]
    assert (done["severity"], done["function"]) == ("INFO", "credit_refresh_worker")
    assert done["logging.googleapis.com/trace"] == f"projects/{world.settings.project}/traces/{trace}"
    assert done["jobsClaimed"] == 0


def test_sigterm_lets_a_worker_finish_and_leaves_no_job_open(tmp_path):
    """A worker that gets SIGTERM during its work settles or releases its jobs and still answers."""
    world = World(job_size=1)
    users = population(400, plan="free")
    world.users(users)
    world.build()
    replies = []
    with server("credit_refresh_worker", tmp_path / "log", GOOGLE_CLOUD_PROJECT=world.settings.project) as worker:
        call = threading.Thread(target=lambda: replies.append(worker.post({"asOf": "2026-11-22T23:59:00Z"})))
        call.start()
        deadline = time.monotonic() + 30
        while world.rollup().get("refreshedUsers", 0) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(worker.process.pid, signal.SIGTERM)
        call.join(timeout=60)

    (reply,) = replies
    assert reply.status == 200
    assert reply.json["hasMore"] is True
    assert 20 <= reply.json["refreshedUsers"] < 400
    jobs = world.jobs().values()
    assert {job["status"] for job in jobs} == {"completed", "pending"}
    assert {job["attempts"] for job in jobs if job["status"] == "pending"} == {0}
    assert world.work().tally.refreshed == 400 - reply.json["refreshedUsers"]


def test_bad_settings_stop_the_start_with_every_problem():
    """An instance with bad settings does not start, and names every problem."""
    environ = {
        **os.environ,
        "CREDIT_REFRESH_JOB_SIZE": "0",
        "CREDIT_REFRESH_TIMEZONE": "Mars/Olympus",
        "CREDIT_REFRESH_LEASE_SECONDS": "soon",
    }
    ended = subprocess.run(
        [sys.executable, "-c", "import main"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode != 0
    for name in (
        "CREDIT_REFRESH_JOB_SIZE='0'",
        "CREDIT_REFRESH_TIMEZONE='Mars/Olympus'",
        "CREDIT_REFRESH_LEASE_SECONDS='soon'",
    ):
        assert name in ended.stderr


def test_as_of_is_refused_without_the_emulator():
    """A request can't set the clock where the database is real."""
    code = (
        "import main, functions_framework, json\n"
        "client = functions_framework.create_app('credit_refresh_worker', 'main.py').test_client()\n"
        "reply = client.post('/', json={'asOf': '2026-11-22T00:00:00Z'})\n"
        "print('REPLY', json.dumps([reply.status_code, reply.json]))\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "FIRESTORE_EMULATOR_HOST"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True
    )

    status, answer = json.loads(ended.stdout.split("REPLY ")[1])
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (400, "as_of_refused", "asOf")
