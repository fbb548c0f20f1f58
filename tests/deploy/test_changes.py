"""Later deployments: after a change, and after a failure."""

from __future__ import annotations

import pytest

from tests.deploy.fake_google import Failure
from tests.deploy.project import PROJECT, REGION

WORKER = "credit-refresh-worker"


pytestmark = pytest.mark.timeout(900)  # the real gcloud starts slowly, many times


def jobs_called(calls) -> list[tuple[str, str]]:
    return [(call.method, call.path.rpartition("/")[2]) for call in calls]


def errors(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("ERROR")]


@pytest.fixture(scope="module")
def broken(live):
    """The output of a first deployment during which an API fails."""
    live.fake.failures.append(
        Failure("POST", "functionId=credit-refresh-queue$", 403, "the quota of functions is used up")
    )
    return live.run("deploy.sh", "--to", "60-invokers")


def test_a_failing_api_stops_the_deployment_with_a_message(live, broken):
    """The message names the step, the cause, and the command that continues. Later steps are not begun."""
    assert broken.code == 1
    last = broken.output[broken.output.index("ERROR: step ") :]
    assert "step 50-functions failed" in last
    assert "the quota of functions is used up" in last
    assert f"deploy/deploy.sh {PROJECT} --region {REGION} --to 60-invokers --from 50-functions" in last
    assert "== 60-invokers" not in broken.output
    assert len(live.fake.of_kind("functions")) == 1 + 4
    assert set(live.fake.of_kind("jobs")) == {"credit-refresh-report"}


def test_the_next_deployment_continues_there(live, broken):
    """The command of the message makes only what is missing."""
    assert broken
    seen = len(live.fake.calls)

    live.deploy("--region", REGION, "--from", "50-functions")

    created = [call for call in live.fake.changes(seen) if call.method == "POST" and call.path.endswith("/functions")]
    assert len(created) == 1
    assert len(live.fake.of_kind("functions")) == 1 + 5
    assert len(live.fake.of_kind("jobs")) == 1 + 2
    assert not [call for call in live.fake.changes(seen) if "serviceAccounts" in call.path]


def test_a_changed_table_changes_one_job(live, broken):
    """Only the changed field is sent."""
    assert broken
    live.edit("shared/schedule.toml", 'cron = "*/5 * * * *"', 'cron = "*/6 * * * *"')
    seen = len(live.fake.calls)

    ended = live.deploy("--only", "70-schedule")

    (call,) = live.fake.changes(seen)
    assert (call.method, call.path.rpartition("/")[2], call.query["updateMask"]) == ("PATCH", WORKER, "schedule")
    assert live.fake.of_kind("jobs")[WORKER]["schedule"] == "*/6 * * * *"
    assert f"+ update  {WORKER}" in ended.output


def test_more_workers_are_more_jobs_and_only_prune_removes_jobs(live, broken):
    """The first job keeps its name. Jobs that are not in the table any more are listed, and --prune removes them."""
    assert broken
    live.edit("shared/schedule.toml", "workers = 1\n", "workers = 3\n")
    live.deploy("--only", "70-schedule")
    assert {WORKER, f"{WORKER}-2", f"{WORKER}-3"} <= set(live.fake.of_kind("jobs"))

    live.edit("shared/schedule.toml", "workers = 3\n", "workers = 2\n")
    seen = len(live.fake.calls)
    ended = live.deploy("--only", "70-schedule")
    assert live.fake.changes(seen) == []
    assert f"keep    {WORKER}-3, which the table has no more: --prune removes it" in ended.output

    live.deploy("--only", "70-schedule", "--prune")
    assert jobs_called(live.fake.changes(seen)) == [("DELETE", f"{WORKER}-3")]
    assert "credit-refresh-report" in live.fake.of_kind("jobs")


def test_a_changed_setting_is_sent_to_the_functions_and_the_schedule(live, broken):
    """The settings are in another file. Each function is updated."""
    assert broken
    settings = live.bundle / "production.env"
    settings.write_text("CREDIT_REFRESH_TIMEZONE=Europe/Berlin\n")
    seen = len(live.fake.calls)

    live.deploy("--env-file", str(settings), "--from", "50-functions")

    changed = [call for call in live.fake.changes(seen) if "/functions/" in call.path]
    assert {call.method for call in changed} == {"PATCH"}
    assert len(changed) == 5
    environment = live.fake.of_kind("functions")[WORKER]["serviceConfig"]["environmentVariables"]
    assert environment["CREDIT_REFRESH_TIMEZONE"] == "Europe/Berlin"
    assert {each["timeZone"] for name, each in live.fake.of_kind("jobs").items() if WORKER in name} == {"Europe/Berlin"}


def test_the_deployment_waits_for_new_metrics(live, broken):
    """An alert can use a metric only minutes after it was made."""
    assert broken
    message = "Cannot find metric(s) that match type = user/credit_refresh_backlog"
    live.fake.resources = {name: each for name, each in live.fake.resources.items() if "queue lags" not in str(each)}
    live.fake.failures.append(Failure("POST", "alertPolicies$", 404, message))

    ended = live.deploy("--only", "80-alerts")

    assert "not known everywhere yet, once more in 1 s" in ended.output
    assert "Credit Refresh: the queue lags" in str(live.fake.of_kind("alertPolicies"))


def test_an_alert_keeps_the_operator_s_channels(live, broken):
    """The changed file does not name them."""
    assert broken
    (alert,) = [each for each in live.fake.of_kind("alertPolicies").values() if "dead letters" in each["displayName"]]
    alert["notificationChannels"] = ["projects/p/notificationChannels/1"]
    live.edit("deploy/monitoring/alerts/dead-letters.json", '"autoClose": "86400s"', '"autoClose": "3600s"')
    seen = len(live.fake.calls)

    live.deploy("--only", "80-alerts")

    (call,) = live.fake.changes(seen)
    assert call.method == "PATCH"
    (now,) = [each for each in live.fake.of_kind("alertPolicies").values() if "dead letters" in each["displayName"]]
    assert now["alertStrategy"] == {"autoClose": "3600s"}
    assert now["notificationChannels"] == ["projects/p/notificationChannels/1"]


def test_an_open_private_function_is_an_error(live, broken):
    """Somebody may have opened it in the console by mistake."""
    assert broken
    name = f"projects/{PROJECT}/locations/{REGION}/services/{WORKER}"
    live.fake.policies[name]["bindings"].append({"role": "roles/run.invoker", "members": ["allUsers"]})

    ended = live.run("deploy.sh", "--only", "60-invokers")

    live.fake.policies[name]["bindings"].pop()
    assert ended.code == 1
    assert f"{WORKER} is open to everybody; close it: gcloud run services remove-iam-policy-binding" in ended.output


def test_foreign_resources_with_our_names_are_refused(live, broken):
    """A function and a job that are not ours have our names."""
    assert broken
    function = live.fake.of_kind("functions")["credit-refresh"]
    job = live.fake.of_kind("jobs")[WORKER]
    description, job["description"] = job["description"], "somebody else's"
    seen = len(live.fake.calls)

    of_job = live.run("deploy.sh", "--only", "70-schedule")
    labels = function.pop("labels")
    of_function = live.run("deploy.sh", "--only", "10-apis")

    function["labels"], job["description"] = labels, description
    assert (of_function.code, of_job.code, live.fake.changes(seen)) == (1, 1, [])
    assert "function credit-refresh exists and has no label credit-refresh-hash" in of_function.output
    assert f'scheduler job {WORKER} exists and is not ours, but "somebody else\'s"' in of_job.output


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        (
            "shared/schedule.toml",
            ("deadline_seconds = 570", "deadline_seconds = 700"),
            "deadline_seconds 700 is longer than credit_refresh_queue's timeout_seconds 600 in functions.toml",
        ),
        (
            "shared/schedule.toml",
            ("processTime = 540000", "processTime = 570000"),
            "deadline_seconds 570 must be longer than processTime 570000 ms",
        ),
        (
            "deploy/functions.toml",
            ("max_instances = 10 # as", "max_instances = 1 # as"),
            "2 workers are more than the 1 credit_refresh_worker takes at once; raise its max_instances",
        ),
        ("deploy/functions.toml", ("timeout_seconds = 300", "timeout_seconds = 3601"), "less than or equal to 3600"),
        (
            "deploy/functions.toml",
            ("timeout_seconds = 60 # its own budget is 30 s", "timeout_seconds = 541"),
            "timeout_seconds 541: an event function has 540 at most",
        ),
        (
            "deploy/functions.toml",
            ('trigger = "firestore"', 'trigger = "firestore"\negress = "all"'),
            "egress: which traffic goes through the vpc_connector; there is none",
        ),
        (
            "deploy/deploy.toml",
            ("# notify = [", "notify = [7, "),
            "deploy.toml: notify.0: Input should be a valid string",
        ),
        ("deploy/deploy.toml", ("# uptime_minutes = 15", "uptime_minutes = 7"), "deploy.toml: uptime_minutes: "),
        (
            "deploy/settings.env",
            ("CREDIT_REFRESH_TIMEZONE=UTC", "CREDIT_REFRESH_TIMEZONE=Mars/Olympus"),
            "'Mars/Olympus' is not an IANA time zone",
        ),
        (
            "deploy/settings.env",
            ("CREDIT_REFRESH_TIMEZONE=UTC", "CREDIT_REFRESH_TIMEZON=UTC"),
            "settings.env: CREDIT_REFRESH_TIMEZON is no setting",
        ),
        (
            "deploy/settings.env",
            ("CREDIT_REFRESH_TIMEZONE=UTC", "CREDIT_REFRESH_AUTH=off"),
            "settings.env: CREDIT_REFRESH_AUTH can't be set for deployed functions",
        ),
        ("deploy/settings.env", ("CREDIT_REFRESH_TIMEZONE=UTC", "nonsense"), "expected NAME=value"),
        (
            "deploy/settings.env",
            ("CREDIT_REFRESH_TIMEZONE=UTC", "CREDIT_REFRESH_PLANS_FILE=/etc/plans.toml"),
            "CREDIT_REFRESH_PLANS_FILE=/etc/plans.toml: only plans*.toml of the bundle are uploaded",
        ),
        ("plans.toml", ('period = "week"', 'period = "fortnight"'), "fortnight"),
        ("main.py", ('"credit_refresh_worker"', '"credit_refresh_walker"'), "main.py has no credit_refresh_worker"),
    ],
)
def test_tables_that_do_not_fit_are_refused(live, broken, path, change, message):
    """The message names the file and the problem, without a traceback."""
    assert broken
    old, new = change
    live.edit(path, old, new)
    try:
        ended = live.check()
    finally:
        live.edit(path, new, old)

    assert ended.code == 1
    assert message in ended.output
    assert "Traceback" not in ended.output


def test_tables_are_checked_before_any_request(live, broken):
    """If they don't fit, no request is made."""
    assert broken
    seen = len(live.fake.calls)
    live.edit("deploy/settings.env", "CREDIT_REFRESH_TIMEZONE=UTC", "nonsense")
    try:
        ended = live.run("deploy.sh")
    finally:
        live.edit("deploy/settings.env", "nonsense", "CREDIT_REFRESH_TIMEZONE=UTC")

    assert ended.code == 1
    assert "settings.env, line 7: expected NAME=value" in ended.output
    assert live.fake.calls[seen:] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--region"], "--region needs a value"),
        (["--region", "here"], "'here' is not a region such as us-central1"),
        (["another"], f"one project at a time: {PROJECT}, then another"),
        (["--fast"], "unknown option --fast"),
        (["--from", "99-dance"], "the steps are 10-apis 20-accounts"),
        (["--env-file", "absent.env"], "there is no file absent.env"),
    ],
)
def test_a_bad_command_line_gives_a_message(live, options, message):
    """The message says what is possible. The exit code is 2."""
    ended = live.run("deploy.sh", *options)

    assert ended.code == 2
    assert message in ended.output


def test_a_project_that_can_not_be_read_gives_a_message(live):
    """Nothing is changed."""
    live.fake.failures.append(Failure("GET", f"projects/{PROJECT}$", 403, "no permission"))

    ended = live.run("deploy.sh")

    assert ended.code == 1
    assert f"project {PROJECT} can't be read: check its id, and who gcloud is" in ended.output


def test_the_monitor_s_binding_is_repaired(live, broken):
    """The next deployment adds it again, though the function is unchanged."""
    assert broken
    name = f"projects/{PROJECT}/locations/{REGION}/services/credit-refresh-monitor"
    live.fake.policies[name]["bindings"].clear()

    live.deploy("--only", "60-invokers")

    assert live.fake.members(name, "roles/run.invoker") == {"allUsers"}


def test_if_allusers_is_forbidden_the_invoker_check_is_turned_off(live, broken):
    """The organisation restricts domains. The monitor checks callers itself. A second run changes nothing."""
    assert broken
    name = f"projects/{PROJECT}/locations/{REGION}/services/credit-refresh-monitor"
    live.fake.policies[name]["bindings"].clear()
    live.fake.org_policies["iam.allowedPolicyMemberDomains"] = {"listPolicy": {"allowedValues": ["C0"]}}
    try:
        ended = live.deploy("--only", "60-invokers")
        unchecked = set(live.fake.unchecked)
        seen = len(live.fake.calls)
        live.deploy("--only", "60-invokers")
    finally:
        live.fake.org_policies.clear()
        live.fake.unchecked.clear()

    assert "An organisation policy forbids allUsers" in ended.output
    assert unchecked == {"credit-refresh-monitor"}
    assert live.fake.changes(seen) == []


def test_a_failed_update_is_tried_again(live, broken):
    """The function still serves its last good revision, but with the label of the failed update."""
    assert broken
    live.edit("plans.toml", "allowance = 50", "allowance = 51")
    live.fake.failures.append(
        Failure("PATCH", f"functions/{WORKER}$", 3, "the container does not start", in_operation=True)
    )

    failed = live.run("deploy.sh", "--only", "50-functions")
    again = live.deploy("--only", "50-functions")

    assert failed.code == 1
    assert "the container does not start" in failed.output
    assert f"{WORKER}: deployed" in again.output
    assert "credit-refresh-queue: unchanged" in again.output


def test_a_paused_job_is_updated_and_stays_paused(live, broken):
    """The service refuses to update a paused job. Here even the first try to pause it again fails."""
    assert broken
    live.fake.of_kind("jobs")["credit-refresh-queue"]["state"] = "PAUSED"
    live.edit("shared/schedule.toml", 'cron = "*/10 * * * *"', 'cron = "*/20 * * * *"')
    live.fake.failures.append(Failure("POST", ":pause$", 500, "try again"))

    live.deploy("--only", "70-schedule")

    job = live.fake.of_kind("jobs")["credit-refresh-queue"]
    assert (job["schedule"], job["state"]) == ("*/20 * * * *", "PAUSED")


def test_the_enterprise_edition_gets_only_ttl(live, broken):
    """It refuses every other field configuration. A warning says what to do."""
    assert broken
    fields = {name for name in live.fake.resources if "/fields/" in name and not name.endswith("/email")}
    for name in fields:
        del live.fake.resources[name]
    live.fake.edition = "ENTERPRISE"
    try:
        ended = live.deploy("--only", "30-indexes")
    finally:
        live.fake.edition = "STANDARD"

    made = {name.rpartition("/")[2]: each for name, each in live.fake.resources.items() if name in fields}
    assert list(made) == ["expireAt"]
    assert "warning: the database is of the Enterprise edition" in ended.output


def test_a_database_in_datastore_mode_is_refused(live, broken):
    """Nothing is changed."""
    assert broken
    live.fake.database_type = "DATASTORE_MODE"
    try:
        ended = live.run("deploy.sh", "--only", "10-apis")
    finally:
        live.fake.database_type = "FIRESTORE_NATIVE"

    assert ended.code == 1
    assert "database (default) is in Datastore mode; the refresh needs one in native mode" in ended.output


def test_an_old_project_lets_pubsub_make_tokens(live, broken):
    """Only tokens of the invoker's account. A second run changes nothing."""
    assert broken
    invoker = f"projects/{PROJECT}/serviceAccounts/credit-refresh-invoker@{PROJECT}.iam.gserviceaccount.com"
    live.fake.created = "2020-05-01T00:00:00Z"
    live.deploy("--only", "20-accounts")
    seen = len(live.fake.calls)
    live.deploy("--only", "20-accounts")
    live.fake.created = "2025-03-01T00:00:00Z"

    assert live.fake.members(invoker, "roles/iam.serviceAccountTokenCreator") == {
        "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    }
    assert live.fake.changes(seen) == []


def test_an_older_role_without_condition_is_limited(live, broken):
    """It covers only the documents of the database, and not those of all databases."""
    assert broken
    monitor = f"serviceAccount:credit-refresh-monitor@{PROJECT}.iam.gserviceaccount.com"
    policy = live.fake.policies[f"projects/{PROJECT}"]
    (wide,) = [e for e in policy["bindings"] if e["role"] == "roles/datastore.user" and "condition" not in e]
    wide["members"].append(monitor)

    live.deploy("--only", "20-accounts")

    held = [e for e in live.fake.policies[f"projects/{PROJECT}"]["bindings"] if monitor in e["members"]]
    assert {(e["role"], e.get("condition", {}).get("expression")) for e in held} == {
        ("roles/datastore.user", f'resource.name == "projects/{PROJECT}/databases/(default)"'),
        ("roles/firebaseauth.viewer", None),
    }


def test_a_check_prints_all_problems_at_once(live, broken):
    """Permissions, policies, quota and names. It changes nothing."""
    assert broken
    live.fake.permissions_missing = {"run.services.setIamPolicy", "iam.serviceAccounts.actAs"}
    live.fake.org_policies["cloudfunctions.requireVPCConnector"] = {"booleanPolicy": {"enforced": True}}
    live.fake.milli_cpu_quota = 8000
    labels = live.fake.of_kind("functions")["credit-refresh"].pop("labels")
    seen = len(live.fake.calls)
    try:
        ended = live.run("deploy.sh", "--check", "--region", REGION)
    finally:
        live.fake.permissions_missing, live.fake.milli_cpu_quota = set(), 20_000
        live.fake.org_policies.clear()
        live.fake.of_kind("functions")["credit-refresh"]["labels"] = labels

    assert ended.code == 1
    assert live.fake.changes(seen) == []
    for line in (
        "FAILED  function credit-refresh exists and has no label",
        "FAILED  you have no run.services.setIamPolicy, which is in roles/run.admin",
        "warning you have no iam.serviceAccounts.actAs, which is in roles/iam.serviceAccountUser, in the project or on",
        "FAILED  organisation policy cloudfunctions.requireVPCConnector is in force: set vpc_connector",
        "FAILED  credit-refresh-worker: max_instances 10, at 1 vCPU each, is more than the quota of 8 vCPU",
        "ok      Cloud Functions are available in us-central1",
        "ERROR: 5 things stand in the way; nothing was changed",
    ):
        assert line in ended.output
