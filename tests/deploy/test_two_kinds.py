"""Two kinds of credit in one project. The second is deployed from a folder with its own files."""

from __future__ import annotations

import base64
import json
import re

import pytest

from shared.monitor.links import other_monitors
from tests.deploy.project import PROJECT, REGION, ROOT

pytestmark = pytest.mark.timeout(900)

PLACE = f"projects/{PROJECT}/locations/{REGION}"
FUNCTIONS = ["", "-queue", "-worker", "-monitor", "-user-created"]
CALLER = f"app@{PROJECT}.iam.gserviceaccount.com"

METRICS, ALERTS = (len(list(ROOT.glob(f"deploy/monitoring/{kind}/*.json"))) for kind in ("metrics", "alerts"))

SETTINGS = """
CREDIT_REFRESH_TIMEZONE=Europe/Berlin
CREDIT_REFRESH_COLLECTION_PREFIX=token_refresh
CREDIT_REFRESH_BALANCE_FIELD=tokens.balance
CREDIT_REFRESH_STAMP_FIELD=tokens.refresh
"""
DEPLOY = f"""
labels = {{ team = "billing", env = "test" }}
notify = ["ops@example.com"]
callers = ["{CALLER}"]
user_trigger = "written"
uptime_minutes = 15
budget_usd_per_day = 2.5
"""
PLANS = """
default_plan = "basic"
[plans.basic]
allowance = 7
period = "day"
policy = "top_up"
"""


@pytest.fixture(scope="module")
def folder(live):
    """The folder of the second kind: settings, plans, schedule and deploy.toml. It uses the bundle's functions.toml."""
    path = live.bundle / "deploy" / "projects" / "tokens"
    path.mkdir(parents=True)
    schedule = (live.bundle / "shared/schedule.toml").read_text(encoding="utf-8")
    files = {"settings.env": SETTINGS, "deploy.toml": DEPLOY, "plans.toml": PLANS}
    files["schedule.toml"] = schedule.replace('cron = "*/5 * * * *"', 'cron = "*/7 * * * *"')
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def first(live):
    """The state of the project with only the first kind."""
    live.deploy()
    return live.fake.snapshot()


@pytest.fixture(scope="module")
def both(live, first, folder):
    """The deployment of the second kind into the same project."""
    assert first
    return live.deploy("--folder", str(folder)), live.fake


def of_app(name: str) -> bool:
    return not re.search(r"token|/\d+$|policy of|/services/", name)


def test_the_first_kind_is_not_changed(first, both):
    """None of its resources is changed. Shared policies only get new bindings."""
    after = both[1].snapshot()

    assert {name: after.get(name) for name in first if of_app(name)} == {n: e for n, e in first.items() if of_app(n)}
    numbered = [name for name in first if re.search(r"/\d+$", name)]
    assert {name: after.get(name) for name in numbered} == {name: first[name] for name in numbered}


def test_all_resources_of_the_second_kind_have_their_own_names(both):
    """Functions, accounts, jobs, metrics, dashboard and alerts."""
    fake = both[1]
    own = {f"token-refresh{each}" for each in FUNCTIONS}

    assert own <= set(fake.of_kind("functions"))
    assert {f"token-refresh-{each}@{PROJECT}.iam.gserviceaccount.com" for each in ("runtime", "invoker")} <= set(
        fake.of_kind("serviceAccounts")
    )
    assert {"token-refresh-queue", "token-refresh-worker"} <= set(fake.of_kind("jobs"))
    assert len([name for name in fake.of_kind("metrics") if name.startswith("token_refresh_")]) == METRICS
    titles = {each["displayName"] for kind in ("dashboards", "alertPolicies") for each in fake.of_kind(kind).values()}
    assert {"Credit Refresh (token_refresh)", "Credit Refresh (token_refresh): dead letters"} <= titles
    assert {"Credit Refresh", "Credit Refresh: dead letters"} <= titles


def test_metrics_of_a_kind_count_only_its_functions(both):
    """It counts neither log lines nor requests of the other kind."""
    fake = both[1]
    filters = {name: each["filter"] for name, each in fake.of_kind("metrics").items() if name != "signups"}
    alerts = [json.dumps(each) for each in fake.of_kind("alertPolicies").values() if "token" in each["displayName"]]

    for name, text in filters.items():
        assert ('"token-refresh-worker"' in text) == name.startswith("token_refresh_")
        assert ('"credit-refresh-worker"' in text) == name.startswith("credit_refresh_")
    assert alerts
    assert not any("credit_refresh_" in each or '"credit-refresh-worker' in each for each in alerts)


def test_each_kind_calls_only_its_own_functions(both):
    """Accounts and addresses are those of the same kind."""
    fake = both[1]
    for slug in ("credit-refresh", "token-refresh"):
        invoker = f"serviceAccount:{slug}-invoker@{PROJECT}.iam.gserviceaccount.com"
        assert fake.members(f"{PLACE}/services/{slug}-worker", "roles/run.invoker") == {invoker}
        target = fake.of_kind("jobs")[f"{slug}-worker"]["httpTarget"]
        assert target["uri"].endswith(f"/{slug}-worker")
        assert f"serviceAccount:{target['oidcToken']['serviceAccountEmail']}" == invoker
        service = fake.of_kind("functions")[f"{slug}-worker"]["serviceConfig"]
        assert service["serviceAccountEmail"] == f"{slug}-runtime@{PROJECT}.iam.gserviceaccount.com"


def test_a_folder_has_its_own_plans_and_schedule(both):
    """They are uploaded instead of those of the bundle, and the scheduler's jobs follow them."""
    fake = both[1]
    bundle = fake.bundle()

    assert bundle["plans.toml"].decode() == PLANS
    assert b"*/7 * * * *" in bundle["shared/schedule.toml"]
    assert bundle["requirements.txt"] == (ROOT / "requirements.txt").read_bytes()
    assert fake.of_kind("jobs")["token-refresh-worker"]["schedule"] == "*/7 * * * *"
    body = base64.b64decode(fake.of_kind("jobs")["token-refresh-queue"]["httpTarget"]["body"])
    assert json.loads(body)["scan"] == "auto"


def test_fields_of_the_second_kind_have_indexes(both):
    """The stamp has no indexes but those of two fields."""
    base = f"projects/{PROJECT}/databases/(default)/collectionGroups"
    fields = {name.removeprefix(f"{base}/"): each for name, each in both[1].resources.items() if name.startswith(base)}

    assert fields["users/fields/tokens.refresh"]["indexConfig"] == {"indexes": []}
    for name in ("dueOn", "refreshRequested"):
        (index,) = fields[f"users/fields/tokens.refresh.{name}"]["indexConfig"]["indexes"]
        assert (index["queryScope"], index["fields"][0]["order"]) == ("COLLECTION", "ASCENDING")
    assert "token_refresh_jobs/fields/expireAt" in fields


def test_every_write_calls_the_trigger_if_wanted(both):
    """Only for the kind whose options say so."""
    functions = both[1].of_kind("functions")

    assert functions["token-refresh-user-created"]["eventTrigger"]["eventType"].endswith("document.v1.written")
    assert functions["credit-refresh-user-created"]["eventTrigger"]["eventType"].endswith("document.v1.created")


def test_callers_may_call_the_direct_function(both):
    """They may call no other function."""
    fake = both[1]
    holders = [
        each
        for each in FUNCTIONS
        if f"serviceAccount:{CALLER}" in fake.members(f"{PLACE}/services/token-refresh{each}", "roles/run.invoker")
    ]

    assert holders == [""]


def test_all_resources_with_labels_have_those_of_the_options(both):
    """Functions, dashboard, alerts, channel, uptime check."""
    fake = both[1]
    labelled = [each["labels"] for name, each in fake.of_kind("functions").items() if name.startswith("token")]
    for kind, key in (
        ("dashboards", "labels"),
        ("alertPolicies", "userLabels"),
        ("notificationChannels", "userLabels"),
    ):
        labelled += [each[key] for each in fake.of_kind(kind).values() if "token" in each["displayName"]]
    labelled += [each["userLabels"] for each in fake.of_kind("uptimeCheckConfigs").values()]

    assert len(labelled) == 5 + 1 + (ALERTS + 2) + 1 + 1
    assert all({"team": "billing", "env": "test"}.items() <= labels.items() for labels in labelled)


def test_alerts_are_sent_to_the_channel(both):
    """There are also alerts for budget and health, which are options. The first kind does not have them."""
    fake = both[1]
    ((name, channel),) = fake.of_kind("notificationChannels").items()
    alerts = [each for each in fake.of_kind("alertPolicies").values() if "token" in each["displayName"]]
    (check,) = fake.of_kind("uptimeCheckConfigs").values()

    assert channel["labels"] == {"email_address": "ops@example.com"}
    assert {tuple(each["notificationChannels"]) for each in alerts} == {
        (f"projects/{PROJECT}/notificationChannels/{name}",)
    }
    text = json.dumps(alerts)
    assert "* 0.0000003000 +" in text
    assert "* 0.0000009000 > 2.5" in text
    assert f'check_id="{check["name"].rpartition("/")[2]}"' in text.replace('\\"', '"')
    assert (check["httpCheck"]["path"], check["period"]) == ("/health", "900s")
    titles = [each["displayName"] for each in fake.of_kind("alertPolicies").values()]
    assert len([title for title in titles if title.startswith("Credit Refresh: ")]) == ALERTS


def test_the_monitors_link_each_other(live, both, folder):
    """The second links the first at once. The first links the second after its next deployment."""
    output, fake = both
    assert "deploy the other kinds once more, so that their monitors link this one" in output.output
    seen = len(fake.calls)
    live.deploy("--folder", str(folder))
    assert fake.changes(seen) == []

    live.deploy()
    (call,) = fake.changes(seen)
    seen = len(fake.calls)
    live.deploy("--only", "50-functions")

    assert call.path.endswith("/functions/credit-refresh-monitor")
    assert fake.changes(seen) == []
    for name, other, slug in (
        ("credit-refresh-monitor", "token_refresh", "token-refresh"),
        ("token-refresh-monitor", "credit_refresh", "credit-refresh"),
    ):
        environment = fake.of_kind("functions")[name]["serviceConfig"]["environmentVariables"]
        assert environment["OTHER_MONITORS"] == f"{other}={fake.address}/run/{slug}-monitor"
        assert other_monitors(environment) == [{"name": other, "address": f"{fake.address}/run/{slug}-monitor"}]


def test_another_kind_is_not_overwritten(live, both):
    """Neither its functions nor its stamps."""
    assert both
    settings = live.bundle / "other.env"
    seen = len(live.fake.calls)

    settings.write_text("CREDIT_REFRESH_COLLECTION_PREFIX=Token_Refresh\n")
    same_name = live.run("deploy.sh", "--env-file", str(settings))
    settings.write_text("CREDIT_REFRESH_COLLECTION_PREFIX=gems\n")
    same_field = live.run("deploy.sh", "--env-file", str(settings))

    assert (same_name.code, same_field.code, live.fake.changes(seen)) == (1, 1, [])
    assert "function token-refresh-worker exists and is of another kind of credit" in same_name.output
    assert "CREDIT_REFRESH_STAMP_FIELD=creditRefresh is what CREDIT_REFRESH_COLLECTION_PREFIX=credit_refresh uses" in (
        same_field.output
    )


def test_a_prefix_that_gives_invalid_names_is_refused(live, both):
    """Before any request."""
    assert both
    settings = live.bundle / "other.env"
    settings.write_text("CREDIT_REFRESH_COLLECTION_PREFIX=a_prefix_that_is_far_too_long\n")

    ended = live.run("deploy.sh", "--env-file", str(settings))

    assert ended.code == 1
    assert (
        "a_prefix_that_is_far_too_long: functions and accounts are named a-prefix-that-is-far-too-long-" in ended.output
    )


def test_removing_one_kind_leaves_the_other(live, first, both, folder):
    """The project is as before the second kind."""
    assert both
    ended = live.run("teardown.sh", "--folder", str(folder), "--yes")

    assert ended.code == 0, ended.output
    live.deploy("--only", "50-functions")  # the link between the monitors goes as well
    after = live.fake.snapshot()
    policy = f"policy of projects/{PROJECT}"
    assert sorted(map(str, after[policy].pop("bindings"))) == sorted(map(str, first[policy].pop("bindings")))
    after[policy]["etag"] = first[policy]["etag"]
    assert after == first
