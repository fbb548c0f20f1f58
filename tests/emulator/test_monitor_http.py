"""The monitor over HTTP, under functions-framework: what it shows, refuses and changes."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from tests.support.servers import ROOT, server
from tests.support.world import World

NOON = "2026-11-22T12:00:00Z"
CONTRACT = {
    "totalJobs",
    "pendingJobs",
    "processingJobs",
    "completedJobs",
    "failedJobs",
    "successRate",
    "averageProcessingTime",
    "lastRunTime",
    "nextScheduledRun",
    "errors",
    "recentActivity",
    "users",
    "queueLagSeconds",
    "paused",
    "cost",
    "startTime",
    "endTime",
    "duration",
    "reads",
    "writes",
}


@pytest.fixture(scope="module")
def world():
    """A day on which one job has failed."""
    world = World(slot_seconds=86_400)
    world.users({f"user{n}": {"credits": 5, "plan": "free"} for n in range(4)})
    world.build()
    world.update("users/user1", credits="x")
    world.work()
    return world


@pytest.fixture(scope="module")
def monitor(world, tmp_path_factory):
    log = tmp_path_factory.mktemp("monitor") / "log"
    with server("credit_refresh_monitor", log, GOOGLE_CLOUD_PROJECT=world.settings.project) as running:
        yield running


def get(monitor, path="/", **query):
    return monitor.request("GET", path=f"{path}?{urllib.parse.urlencode(query)}" if query else path)


@pytest.mark.parametrize("path", ["/", "/api/scheduled-tasks/credit-refresh-monitor", "/anything/at/all"])
def test_it_answers_at_any_path_with_the_contract_s_fields(monitor, path):
    """The answer is JSON unless HTML is asked for."""
    reply = get(monitor, path, asOf=NOON)

    assert reply.status == 200
    assert set(reply.json) >= CONTRACT
    assert (reply.json["users"]["refreshed"], reply.json["failedJobs"]) == (3, 1)
    assert set(reply.json["cost"]) == {"reads", "writes", "usd", "usdPer100kUsers"}
    assert reply.headers["Cache-Control"] == "no-store"


def test_many_views_cost_as_much_as_one(monitor):
    """An answer is kept for some seconds, unless an action comes in between."""
    first, second = get(monitor), get(monitor)
    monitor.post({"action": "resume"})
    third = get(monitor)

    assert [reply.json["cached"] for reply in (first, second, third)] == [False, True, False]
    assert first.json["reads"] > 0
    assert second.json["reads"] == 0
    assert second.json["generatedAt"] == first.json["generatedAt"]


def test_health_is_503_with_codes_while_something_is_wrong(monitor):
    """The answer has nothing but status, reasons and time."""
    reply = get(monitor, "/api/scheduled-tasks/credit-refresh-monitor/health", asOf="2026-11-22T23:59:30Z")

    assert reply.status == 503
    assert set(reply.json) == {"status", "reasons", "checkedAt"}
    assert [reason["code"] for reason in reply.json["reasons"]] == ["dead_letters"]


def test_health_is_503_with_a_code_if_a_run_can_not_be_read(world, monitor):
    world.put("credit_refresh_runs/2026-11-25", {"junk": 1})

    reply = get(monitor, "/health", asOf="2026-11-25T00:00:00Z")

    assert (reply.status, reply.json["reasons"][0]["code"]) == (503, "document_unreadable")


def test_an_unescaped_plus_in_a_time_is_read_as_a_plus(monitor):
    """In a query a plus means a blank, but no time has a blank."""
    assert get(monitor, "/?asOf=2026-11-22T12:00:00+00:00").status == 200


def test_a_user_s_history_has_receipts_and_balance(monitor):
    reply = get(monitor, userId="user2", asOf=NOON)

    assert reply.status == 200
    assert [receipt["outcome"] for receipt in reply.json["receipts"]] == ["refreshed"]
    assert reply.json["balance"] == 50


def test_each_view_answers_with_its_data(world, monitor):
    """The days are kept for some minutes, because they cost most."""
    (job_id,) = world.jobs()

    failures = get(monitor, view="failures", runId="2026-11-22", code="bad_balance").json
    days = [get(monitor, view="days").json for _ in range(2)]
    preview = get(monitor, view="requeue-preview", runId="2026-11-22").json
    job = get(monitor, jobId=job_id).json

    assert [user["userId"] for user in failures["users"]] == ["user1"]
    assert [answer["cached"] for answer in days] == [False, True]
    assert (days[0]["reads"], days[1]["reads"], len(days[0]["days"])) == (270, 0, 30)
    assert (preview["jobs"], preview["failingUsers"]) == (1, 1)
    assert job["users"][0] == {
        "userId": "user1",
        "outcome": "failed",
        "before": None,
        "after": None,
        "granted": None,
        "reason": None,
        "code": "bad_balance",
        "error": "the balance is a text, not a number; correct it by hand",
    }
    assert get(monitor, view="rescan-preview", runId="2026-11-22").json["users"] == 4
    assert get(monitor, view="activity").json["entries"] is not None


def test_the_overview_says_which_monitor_it_is(world, monitor):
    """It has project, collection, zone and prices, and says whether the reader may act."""
    answer = get(monitor, asOf=NOON).json

    assert (answer["project"], answer["usersCollection"], answer["timezone"]) == (
        world.settings.project,
        "users",
        "UTC",
    )
    assert answer["mayAct"] is True
    assert answer["prices"] == {"read": 0.03, "write": 0.09, "operations": 100_000}


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ({"userId": "nobody"}, 404, "user_not_found", "userId"),
        ({"userId": "a/b"}, 400, "invalid_value", "userId"),
        ({"runId": "yesterday"}, 400, "invalid_value", "runId"),
        ({"runId": "2026-11-22", "userId": "ann"}, 400, "invalid_value", None),
        ({"before": "2026-11-22"}, 400, "invalid_value", None),
        ({"limit": "5"}, 400, "unknown_field", "limit"),
        ({"view": "nonsense"}, 400, "invalid_value", "view"),
        ({"view": "days", "runId": "2026-11-22"}, 400, "invalid_value", None),
        ({"code": "bad_balance"}, 400, "invalid_value", None),
        ({"view": "failures", "code": "Not a code"}, 400, "wrong_type", "code"),
        ({"view": "failures", "cursor": "a/b"}, 400, "invalid_value", "cursor"),
        ({"jobId": "nothing"}, 404, "job_not_found", "jobId"),
        ({"jobId": "a", "userId": "b"}, 400, "invalid_value", None),
        ({"view": "requeue-preview", "jobId": "nothing"}, 404, "job_not_found", "jobId"),
        ({"view": "rescan-preview", "runId": "2020-01-01"}, 404, "run_not_found", "runId"),
        ({"asOf": "now"}, 400, "invalid_value", "asOf"),
        ({"runId": "9999-12-31"}, 400, "invalid_value", "runId"),
        ({"runId": "0001-01-01"}, 400, "invalid_value", "runId"),
        ({"runId": "1969-12-31"}, 400, "invalid_value", "runId"),
        ({"userId": "user2", "before": "0001-01-02"}, 400, "invalid_value", "before"),
        ({"userId": "user2", "before": "3000-01-01"}, 400, "invalid_value", "before"),
        ({"userId": "u" * 1500}, 404, "user_not_found", "userId"),
        ({"userId": "ü" * 750}, 404, "user_not_found", "userId"),
        ({"userId": "u" * 1501}, 400, "invalid_value", "userId"),
        ({"asset": "../settings.py"}, 404, "not_found", "asset"),
    ],
)
def test_a_bad_query_is_refused_by_name(monitor, query, status, code, field):
    """The refusal has the form of every error."""
    reply = get(monitor, **query)

    assert reply.status == status, reply.body
    assert (reply.json["error"]["code"], reply.json["error"]["field"]) == (code, field)


@pytest.mark.parametrize("day", ["1970-01-01", "2999-12-31"])
def test_any_day_of_a_thousand_years_can_be_asked_for(monitor, day):
    """The first and the last of these days are tried."""
    for query in ({"runId": day}, {"userId": "user2", "before": day}):
        assert get(monitor, **query).status == 200


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "action"),
        ({"action": "explode"}, 400, "action"),
        ({"action": 5}, 400, "action"),
        ({"action": "requeue"}, 400, None),
        ({"action": "requeue", "jobId": "a", "runId": "2026-11-22"}, 400, None),
        ({"action": "requeue", "jobId": "nothing"}, 404, "jobId"),
        ({"action": "requeue", "jobId": "a/b"}, 400, "jobId"),
        ({"action": "requeue", "runId": "2026-13-01"}, 400, "runId"),
        ({"action": "rescan"}, 400, None),
        ({"action": "rescan", "runId": "2020-01-01"}, 404, "runId"),
        ({"action": "rescan", "runId": "9999-12-31"}, 400, "runId"),
        ({"action": "requeue", "jobId": "j" * 1500}, 404, "jobId"),
        ({"action": "pause", "userId": "u" * 1500}, 404, "userId"),
        ({"action": "refresh"}, 400, None),
        ({"action": "refresh", "userIds": []}, 400, "userIds"),
        ({"action": "refresh", "userIds": ["u"] * 1001}, 400, "userIds"),
        ({"action": "pause", "userId": "nobody"}, 404, "userId"),
        ({"action": "pause", "runId": "2026-11-22"}, 400, None),
        ({"action": "pause", "reason": "x" * 501}, 400, "reason"),
        ({"action": "pause", "why": "x"}, 400, "why"),
        ({"action": "pause", "until": "soon"}, 400, "until"),
        ({"action": "pause", "until": "2020-01-01T00:00:00Z"}, 409, "until"),
        ({"action": "resume", "until": "2100-01-01T00:00:00Z"}, 400, None),
        ({"action": "pause", "userId": "user1", "until": "2100-01-01T00:00:00Z"}, 400, None),
        ({"action": "requeue", "jobId": "a", "code": "bad_balance"}, 400, None),
        ([], 400, None),
    ],
)
def test_a_bad_action_is_refused_by_name_and_changes_nothing(monitor, world, body, status, field):
    """No job changes, and no pause."""
    before = (world.jobs(), world.get("credit_refresh_control/state"))

    reply = monitor.post(body)

    assert reply.status == status
    assert reply.json["error"]["field"] == field
    assert (world.jobs(), world.get("credit_refresh_control/state")) == before


def test_an_action_of_another_site_s_page_is_refused(monitor):
    """A browser names the page's site in a header."""
    body = json.dumps({"action": "pause"}).encode()

    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        reply = monitor.request("POST", body, **headers)
        assert (reply.status, reply.json["error"]["code"]) == (403, "cross_site")


def test_a_request_with_a_foreign_host_name_is_refused_without_sign_in(monitor):
    """A site could let its name lead to this address, and use an operator's browser."""
    for method, body in (("GET", None), ("POST", b'{"action": "pause"}')):
        reply = monitor.request(method, body, Host="evil.example:8080")
        assert (reply.status, reply.json["error"]["code"]) == (403, "not_local")


def test_actions_do_what_they_say_and_are_logged_with_who_and_why(monitor):
    """The same action again changes nothing."""
    answer = [
        monitor.post({"action": "pause", "reason": "a test", "asOf": NOON}).json,
        monitor.post({"action": "pause", "asOf": NOON}).json,
        monitor.post({"action": "resume", "asOf": NOON}).json,
        monitor.post({"action": "requeue", "runId": "2026-11-22", "asOf": NOON}).json,
        monitor.post({"action": "requeue", "runId": "2026-11-22", "asOf": NOON}).json,
        monitor.post({"action": "rescan", "runId": "2026-11-22", "asOf": NOON}).json,
        monitor.post({"action": "rescan", "runId": "2026-11-22", "asOf": NOON}).json,
        monitor.post({"action": "pause", "userId": "user3", "asOf": NOON}).json,
        monitor.post({"action": "resume", "userId": "user3", "asOf": NOON}).json,
    ]
    log = get(monitor, view="activity", actor="local").json["entries"]
    paused = monitor.post({"action": "pause", "until": "2026-11-22T13:00:00Z", "asOf": NOON})
    health = get(monitor, "/health", asOf=NOON)
    monitor.post({"action": "resume", "asOf": NOON})
    refreshed = monitor.post({"action": "refresh", "userIds": ["user1", "user2"], "asOf": NOON}).json

    assert [each["changed"] for each in answer] == [True, False, True, True, False, True, False, True, True]
    assert answer[3]["requeuedUsers"] == 1
    assert {entry["action"] for entry in log} >= {"pause", "requeue", "rescan"}
    assert paused.json["changed"]
    assert (health.status, health.json["status"], health.json["reasons"][0]["code"]) == (200, "paused", "paused")
    assert (refreshed["totalUsers"], refreshed["skippedUsers"], refreshed["failedUsers"]) == (2, 1, 1)
    logged = [line for line in monitor.lines() if line.get("action") == "operator_action"]
    assert {"pause", "resume", "requeue", "rescan", "refresh"} <= {line["what"] for line in logged}
    assert [line["actor"] for line in logged if line["reason"] == "a test"] == ["local"]
    shown = [entry["action"] for entry in get(monitor, asOf=NOON).json["recentActivity"] if entry["kind"] == "action"]
    assert shown.count("requeue") == 1


def test_the_log_says_who_read_which_user_s_history(monitor):
    """It says so even if there is no such user."""
    get(monitor, userId="user2", asOf=NOON)
    get(monitor, userId="nobody-at-all", asOf=NOON)

    read = [(line["actor"], line["userId"]) for line in monitor.lines() if line.get("action") == "story_read"]
    assert read[-2:] == [("local", "user2"), ("local", "nobody-at-all")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_refused(monitor, method):
    """The answer is 405 and names the allowed methods."""
    reply = monitor.request(method)

    assert (reply.status, reply.json["error"]["code"], reply.headers["Allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD, POST",
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/?userId=user2", 200),
        ("/?userId=nobody", 404),
        ("/?runId=yesterday", 400),
        ("/?asset=nothing", 404),
        ("/health", 503),
        ("//evil.example/x", 404),
        ("//evil.example/health", 404),
        ("//evil.example/embed.js", 404),
        ("//?asset=monitor.js", 404),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_data_and_errors_have_no_store_and_nosniff(monitor, path, status, accept):
    """A path that a browser could take for another host's serves nothing."""
    reply = monitor.request("GET", path=path, Accept=accept)

    if not reply.headers["Content-Type"].startswith("text/html"):
        assert (reply.status, reply.headers.get("Cache-Control")) == (status, "no-store")
    assert reply.headers.get("X-Content-Type-Options") == "nosniff"
    assert reply.status == status or accept == "text/html"


@pytest.mark.parametrize("path", ["//evil.example/x", "//evil.example", "///x"])
def test_the_page_is_not_served_where_its_address_names_another_host(monitor, path):
    """The page would send the admin's token to that host."""
    reply = monitor.request("GET", path=path, Accept="text/html")

    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")


def test_html_is_served_to_a_client_that_asks_for_it(monitor):
    """The page holds no data, and its policy allows no inline script."""
    reply = monitor.request("GET", Accept="text/html,application/xhtml+xml,*/*;q=0.8")

    assert reply.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert b"user2" not in reply.body


def test_an_outage_is_503_in_views_and_health(world, tmp_path):
    """Both have a code and no traceback. A view also has Retry-After."""
    environ = {"GOOGLE_CLOUD_PROJECT": world.settings.project, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    with server("credit_refresh_monitor", tmp_path / "log", **environ) as monitor:
        health, view = get(monitor, "/health"), get(monitor)

    assert (health.status, health.json["reasons"][0]["code"]) == (503, "database_unreachable")
    assert (view.status, view.json["error"]["code"]) == (503, "unavailable")
    assert int(view.headers["Retry-After"]) > 0
    assert b"Traceback" not in view.body + health.body
    assert str(ROOT).encode() not in view.body


@pytest.fixture(scope="module")
def locked(world, tmp_path_factory):
    """The monitor as in production, with sign-in."""
    log = tmp_path_factory.mktemp("locked") / "log"
    environ = {"GOOGLE_CLOUD_PROJECT": world.settings.project, "CREDIT_REFRESH_AUTH": "on"}
    with server("credit_refresh_monitor", log, **environ) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer made-up"}, {"Authorization": "Bearer e30.e30.e30"}],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", None),
        ("/?userId=user1", None),
        ("/?runId=2026-11-22", None),
        ("/", {"action": "pause"}),
        ("/", {"action": "requeue", "runId": "2026-11-22"}),
        ("/health", {"action": "pause"}),
    ],
)
def test_data_and_actions_need_a_token(locked, world, path, body, headers):
    """Without one the answer is 401 in the form of every error, with the scheme. Nothing is paused."""
    data = None if body is None else json.dumps(body).encode()

    reply = locked.request("GET" if body is None else "POST", data, path, **headers)

    assert (reply.status, reply.json["error"]["code"]) == (401, "unauthenticated")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert not (world.get("credit_refresh_control/state") or {}).get("paused")


@pytest.mark.parametrize("path", ["/health", "/embed.js", "/?asset=monitor.js", "/?asset=config.json"])
def test_what_holds_no_data_is_public(locked, path):
    """This holds for health, for the page's files, and for its settings of sign-in."""
    assert locked.request("GET", path=path).status in (200, 503)
    assert locked.request("GET", Accept="text/html").status == 200
