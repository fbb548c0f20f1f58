"""A new project: no API is enabled, and Google's services don't know yet of what was made a moment ago."""

from __future__ import annotations

import pytest

from tests.deploy.fake_google import Failure
from tests.deploy.project import PROJECT, REGION, project

pytestmark = pytest.mark.timeout(900)

BUILDER = f"credit-refresh-build@{PROJECT}.iam.gserviceaccount.com"

# Failures of first deployments. Messages are quoted where people have reported them.
RACES = [
    Failure("POST", f"projects/{PROJECT}:setIamPolicy$", 400, f"Service account {BUILDER} does not exist."),
    Failure("GET", "/metrics$", 403, "Cloud Logging API has not been used in project 1 before or it is disabled."),
    Failure("PATCH", "fields/", 409, "Please try again. The underlying data changed.", code="ABORTED"),
    Failure(
        "POST",
        "functionId=credit-refresh$",
        404,
        f"Service account projects/-/serviceAccounts/{BUILDER} was not found.",
    ),
    Failure(
        *("POST", "functionId=credit-refresh$", 403),
        f"Unable to retrieve the repository metadata for projects/{PROJECT}/locations/us-central1/repositories/"
        "gcf-artifacts. Ensure that the Cloud Functions service account has 'artifactregistry.repositories.list' and "
        "'artifactregistry.repositories.get' permissions.",
        in_operation=True,
    ),
    Failure(
        *("POST", "functionId=credit-refresh-queue$", 7),
        "Build failed with status: FAILURE and message: failed to Fetch: failed to download archive gs://gcf-v2-sources/"
        f"function-source.zip: Access to bucket denied. You must grant Storage Object Viewer permission to {BUILDER}.",
        in_operation=True,
    ),
    Failure(
        *("POST", "functionId=credit-refresh-user-created$", 7),
        'Permission "eventarc.events.receiveEvent" denied on the trigger service account.',
        in_operation=True,
    ),
    Failure("GET", "/jobs$", 403, "Cloud Scheduler API has not been used in project 1 before or it is disabled."),
    Failure("POST", "alertPolicies$", 404, "Cannot find metric(s) that match type = logging.googleapis.com/user/x"),
]


@pytest.fixture(scope="module")
def bare(tmp_path_factory, tools):
    with project(tmp_path_factory.mktemp("project"), tools, app=False) as found:
        found.fake.location = REGION  # where the deployment expects a database that does not exist yet
        yield found


def test_a_dry_run_works_while_apis_are_off(bare):
    """It prints every command, and sends only GETs."""
    ended = bare.run("deploy.sh", "--dry-run")

    assert ended.code == 0, ended.output
    assert {call.method for call in bare.fake.calls} == {"GET"}
    assert "services enable artifactregistry.googleapis.com" in ended.output
    assert "+ create  credit-refresh-worker" in ended.output
    assert ended.output.count("+ gcloud functions deploy") == 5


def test_a_check_names_what_could_not_be_read(bare):
    """It changes nothing, and finds nothing that would stop a deployment."""
    seen = len(bare.fake.calls)

    ended = bare.run("deploy.sh", "--check")

    assert ended.code == 0, ended.output
    assert bare.fake.changes(seen) == []
    assert "warning your permissions could not be read: its API is not enabled yet" in ended.output
    assert "Nothing was changed." in ended.output


def test_the_deployment_waits_for_late_services(bare):
    """Each of these failures happens once, and the deployment succeeds."""
    bare.fake.failures += RACES

    ended = bare.run("deploy.sh")

    assert ended.code == 0, ended.output
    assert [each.message for each in RACES if each.times] == []
    assert {each["state"] for each in bare.fake.of_kind("functions").values()} == {"ACTIVE"}
    assert not any("stateMessages" in each for each in bare.fake.of_kind("functions").values())


def test_one_function_is_deployed_before_the_others(bare):
    """It makes what all functions share."""
    created = [call.query["functionId"] for call in bare.fake.calls if "functionId" in call.query]
    done = [index for index, call in enumerate(bare.fake.calls) if call.path.endswith("functions/credit-refresh")]
    second = next(i for i, call in enumerate(bare.fake.calls) if call.query.get("functionId") == "credit-refresh-queue")

    assert created[0] == "credit-refresh"
    assert max(index for index in done if bare.fake.calls[index].method == "PATCH") < second


def test_a_second_deployment_changes_nothing(bare):
    """Resources that needed two tries are complete."""
    seen = len(bare.fake.calls)

    bare.deploy()

    assert bare.fake.changes(seen) == []
