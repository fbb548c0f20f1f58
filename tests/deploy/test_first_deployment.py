"""A first deployment into a project that has an app, and all its requests to Google.

The real gcloud and the real Cloud Scheduler client call a fake over HTTP.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from deploy.table import read_functions
from shared.monitor.timetable import read_timetable
from tests.deploy.project import PROJECT, REGION, ROOT

PLACE = f"projects/{PROJECT}/locations/{REGION}"
PRIVATE = {"credit-refresh", "credit-refresh-queue", "credit-refresh-worker", "credit-refresh-user-created"}
TEMPORARY = ("--source=", "--env-vars-file=", "--config-from-file=", "--policy-from-file=")
FUNCTIONS = {*PRIVATE, "credit-refresh-monitor"}


pytestmark = pytest.mark.timeout(900)  # the real gcloud starts slowly, many times


def account(name: str) -> str:
    return f"credit-refresh-{name}@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def before(live):
    return live.fake.snapshot()


@pytest.fixture(scope="module")
def dry(live, before):
    """A dry run before the first deployment, and its calls."""
    assert before
    seen = len(live.fake.calls)
    return live.deploy("--dry-run"), live.fake.calls[seen:]


@pytest.fixture(scope="module")
def deployed(live, dry):
    """The deployment. The bundle's folder also has files that must not be uploaded."""
    assert dry
    for path in ("node_modules/left/pad.js", ".venv/bin/python", "functions/__pycache__/old.pyc", "notes.log", ".env"):
        file = live.bundle / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("not to be uploaded")
    return live.deploy(), live.fake


@pytest.fixture(scope="module")
def functions(deployed):
    return deployed[1].of_kind("functions")


@pytest.fixture(scope="module")
def jobs(deployed):
    return deployed[1].of_kind("jobs")


def test_a_dry_run_sends_only_gets(dry):
    """So it can't change anything."""
    _, calls = dry

    assert {call.method for call in calls} == {"GET"}
    assert len(calls) > 10


def test_a_dry_run_prints_every_command(dry, deployed):
    """They are the commands of the deployment, but for addresses that do not exist yet."""
    planned, done = (
        {line for line in each[0].output.splitlines() if line.startswith("+ ")} for each in (dry, deployed)
    )

    def stable(lines: set[str]) -> set[str]:
        words = {" ".join(word for word in line.split() if not word.startswith(TEMPORARY)) for line in lines}
        return {line for line in words if not line.startswith("+ create")}

    assert stable(planned) == stable(done)
    assert len([line for line in planned if line.startswith("+ create")]) == 2
    assert "nothing is changed" in dry[0].output


def test_the_app_is_not_changed(before, deployed):
    """None of its resources is changed. A shared policy keeps its bindings and gets new ones."""
    after = deployed[1].snapshot()
    policy = f"policy of projects/{PROJECT}"

    assert {name: after[name] for name in before if name != policy} == {
        name: each for name, each in before.items() if name != policy
    }
    for binding in before[policy]["bindings"]:
        found = [each for each in after[policy]["bindings"] if each["role"] == binding["role"]]
        (now,) = [each for each in found if "condition" not in each]
        assert set(binding["members"]) <= set(now["members"])


def test_the_services_are_enabled(deployed):
    """Those that the functions need, and those that their builds need."""
    assert {"cloudfunctions.googleapis.com", "cloudscheduler.googleapis.com", "run.googleapis.com"} <= set(
        deployed[1].of_kind("services")
    )


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("runtime", {"roles/datastore.user"}),
        ("monitor", {"roles/datastore.user", "roles/firebaseauth.viewer"}),
        ("invoker", {"roles/eventarc.eventReceiver"}),
        ("build", {"roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"}),
    ],
)
def test_each_account_has_exactly_its_roles(deployed, name, roles):
    """For example the functions that write balances can't read sign-ins."""
    fake = deployed[1]
    bindings = fake.policies[f"projects/{PROJECT}"]["bindings"]

    assert {each["role"] for each in bindings if f"serviceAccount:{account(name)}" in each["members"]} == roles


def test_no_keys_are_made(deployed):
    """A key that does not exist can't be stolen."""
    assert [call for call in deployed[1].calls if "/keys" in call.path] == []


def test_exactly_our_functions_are_deployed(functions):
    """Their names are those of the entry points, with hyphens."""
    assert set(functions) - {"app-api"} == FUNCTIONS


@pytest.mark.parametrize("row", read_functions(), ids=lambda row: row.entry_point)
def test_a_function_is_as_its_row_says(functions, row):
    """Runtime, entry point, account, memory, concurrency, instances, time-out; gen2."""
    function = functions[row.entry_point.replace("_", "-")]
    build, service = function["buildConfig"], function["serviceConfig"]

    assert (build["runtime"], build["entryPoint"]) == ("python313", row.entry_point)
    assert build["serviceAccount"].endswith(account("build"))
    assert service["serviceAccountEmail"] == account(row.account)
    assert (service["availableMemory"], service["timeoutSeconds"]) == (row.memory, row.timeout_seconds)
    assert service["maxInstanceRequestConcurrency"] == row.concurrency
    assert service["maxInstanceCount"] == row.max_instances


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_gets_its_settings(functions, name):
    """The settings of the file, the project, and sign-in on. No variable names an emulator."""
    assert functions[name]["serviceConfig"]["environmentVariables"] == {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "CREDIT_REFRESH_AUTH": "on",
        "CREDIT_REFRESH_TIMEZONE": "UTC",
    }


def test_only_the_invoker_may_call_private_functions(deployed):
    """Each service has a binding. The invoker has no such role in the project."""
    fake = deployed[1]

    for name in PRIVATE:
        assert fake.members(f"{PLACE}/services/{name}", "roles/run.invoker") == {f"serviceAccount:{account('invoker')}"}
    assert fake.members(f"projects/{PROJECT}", "roles/run.invoker") == set()


def test_everybody_may_call_the_monitor(deployed):
    """Cloud Run can't check the tokens of browsers, so the monitor does it."""
    members = deployed[1].members(f"{PLACE}/services/credit-refresh-monitor", "roles/run.invoker")

    assert members == {"allUsers"}


def test_new_users_call_the_trigger_with_retries(functions):
    """It is for new documents of the users' collection, in the location of the database."""
    trigger = functions["credit-refresh-user-created"]["eventTrigger"]

    assert trigger["eventType"] == "google.cloud.firestore.document.v1.created"
    assert {(each["attribute"], each["value"], each.get("operator")) for each in trigger["eventFilters"]} == {
        ("database", "(default)", None),
        ("document", "users/{userId}", "match-path-pattern"),
    }
    assert (trigger["triggerRegion"], trigger["retryPolicy"]) == ("nam5", "RETRY_POLICY_RETRY")
    assert trigger["serviceAccountEmail"] == account("invoker")
    assert all("eventTrigger" not in functions[name] for name in FUNCTIONS - {"credit-refresh-user-created"})


def test_only_the_bundle_is_uploaded(deployed):
    """All files that the functions need. No tests, tools, documents, environments or caches."""
    bundle = deployed[1].bundle()
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"main.py", "requirements.txt", "plans.toml"}

    assert set(bundle) == wanted
    assert {"shared/schedule.toml", "plans.toml"} <= set(bundle)
    for name in wanted - {"main.py"}:
        assert bundle[name] == (ROOT / name).read_bytes(), name


def test_a_job_calls_its_function_as_the_invoker(jobs, functions):
    """It sends an OIDC token whose audience is the function's address."""
    for row in read_timetable():
        job = jobs[row.name]
        target, uri = job["httpTarget"], functions[row.function.replace("_", "-")]["serviceConfig"]["uri"]

        assert (target["uri"], target["httpMethod"]) == (uri, 1)
        assert target["oidcToken"] == {"serviceAccountEmail": account("invoker"), "audience": uri}
        assert json.loads(base64.b64decode(target["body"])) == row.body
        assert target["headers"]["Content-Type"] == "application/json"
        assert (job["schedule"], job["timeZone"]) == (row.cron, "UTC")
        assert job["attemptDeadline"] == f"{row.deadline_seconds}s"
        assert job["retryConfig"]["retryCount"] == row.retries


def test_budgets_deadlines_and_time_outs_are_in_order(jobs, functions):
    """In the sent jobs and functions, budget < attempt deadline <= the function's time-out."""
    for row in read_timetable():
        job = jobs[row.name]
        budget = json.loads(base64.b64decode(job["httpTarget"]["body"]))["processTime"] / 1000
        deadline = float(job["attemptDeadline"].removesuffix("s"))
        timeout = functions[row.function.replace("_", "-")]["serviceConfig"]["timeoutSeconds"]

        assert budget < deadline <= timeout <= 3600
        assert timedelta(seconds=15) <= timedelta(seconds=deadline) <= timedelta(minutes=30)


def test_our_fields_are_indexed_as_the_file_says(deployed):
    """The app's own override is not changed."""
    file = json.loads((ROOT / "firestore.indexes.json").read_text(encoding="utf-8"))
    database = f"projects/{PROJECT}/databases/(default)/collectionGroups"

    for override in file["fieldOverrides"]:
        stored = deployed[1].resources[f"{database}/{override['collectionGroup']}/fields/{override['fieldPath']}"]
        found = [index["fields"][0] for index in stored["indexConfig"]["indexes"]]
        wanted = [index.get("order") or index.get("arrayConfig") for index in override["indexes"]]
        assert sorted(each.get("order") or each.get("arrayConfig") for each in found) == sorted(wanted)
        assert ("ttlConfig" in stored) == override.get("ttl", False)
    fields = [name for name in deployed[1].resources if name.split("/")[-2] == "fields"]
    assert len(fields) == len(file["fieldOverrides"]) + 1


def test_metrics_dashboard_and_alerts_exist(deployed):
    """Every file in deploy/monitoring gives one."""
    fake = deployed[1]
    alerts = {each["displayName"] for each in fake.of_kind("alertPolicies").values()}

    assert len(fake.of_kind("metrics")) == len(list((ROOT / "deploy/monitoring/metrics").glob("*.json"))) + 1
    assert {each["displayName"] for each in fake.of_kind("dashboards").values()} == {"App", "Credit Refresh"}
    assert {f"Credit Refresh: {what}" for what in ("no heartbeat", "the queue lags", "dead letters")} <= alerts
    assert {f"Credit Refresh: {what}" for what in ("server errors", "the circuit breaker is open")} <= alerts
    assert "Credit Refresh: the error budget burns" in alerts


def test_no_rules_are_deployed(deployed):
    """Our rules are printed, so that they can be merged by hand."""
    assert [call for call in deployed[1].calls if "rules" in call.path] == []
    if (ROOT / "firestore.rules").exists():
        assert "    rules_version" in deployed[0].output


def test_a_second_deployment_changes_nothing(live, deployed):
    """It prints that every function is unchanged."""
    assert deployed
    seen, before = len(live.fake.calls), live.fake.snapshot()

    again = live.deploy()

    assert live.fake.changes(seen) == []
    assert live.fake.snapshot() == before
    for name in FUNCTIONS:
        assert f"{name}: unchanged" in again.output


def test_the_smoke_test_passes(live, deployed):
    """Callers without a token are refused, and one scheduled call succeeds."""
    assert deployed
    ended = live.run("smoke.sh")

    assert ended.code == 0, ended.output
    assert ended.output.count("ok ") == 8


def test_the_smoke_test_finds_a_function_that_is_open_and_a_run_that_fails(live, deployed):
    """So the smoke test can fail."""
    assert deployed
    live.fake.open_to_strangers |= {"credit-refresh-worker", "broken"}
    try:
        ended = live.run("smoke.sh")
    finally:
        live.fake.open_to_strangers.clear()

    assert ended.code == 1
    assert "FAILED  credit-refresh-worker to a stranger: 200 instead of 403" in ended.output
    assert "FAILED  a scheduled run of credit-refresh-worker: failure: the database refuses us instead" in ended.output


def test_a_teardown_removes_only_what_is_ours(live, before, deployed):
    """A dry run removes nothing. After a teardown the project is as before, but the services stay enabled."""
    assert deployed
    seen = len(live.fake.calls)
    dry_run = live.run("teardown.sh", "--dry-run")
    assert (dry_run.code, {call.method for call in live.fake.calls[seen:]}) == (0, {"GET"})

    unconfirmed = live.run("teardown.sh")
    assert unconfirmed.code != 0
    assert live.fake.changes(seen) == []

    ended = live.run("teardown.sh", "--yes")

    assert ended.code == 0, ended.output
    after = {name: each for name, each in live.fake.snapshot().items() if "/services/" not in name}
    policy = f"policy of projects/{PROJECT}"
    after[policy] = {**before[policy], "bindings": after[policy]["bindings"]}
    assert after == {name: each for name, each in before.items() if "/services/" not in name}
    assert [call for call in live.fake.changes() if "/documents" in call.path] == []
