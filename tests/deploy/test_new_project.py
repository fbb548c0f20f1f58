"""A project made a minute ago: no API is enabled, and Google's services don't know yet of what was just made."""

from __future__ import annotations

import pytest

from tests.deploy.fake_google import Failure
from tests.deploy.project import PROJECT, REGION, project

pytestmark = pytest.mark.timeout(900)

BUILDER = f"credit-refresh-build@{PROJECT}.iam.gserviceaccount.com"

# What first deployments failed with, word for word where people have told of it.
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
        found.fake.location = REGION  # a database could not be anywhere else yet
        yield found


def test_a_dry_run_takes_what_is_off_as_empty(bare):
    """It prints every command, and sends nothing but GETs."""
    ended = bare.run("deploy.sh", "--dry-run")

    assert ended.code == 0, ended.output
    assert {call.method for call in bare.fake.calls} == {"GET"}
    assert "services enable artifactregistry.googleapis.com" in ended.output
    assert "+ create  credit-refresh-worker" in ended.output
    assert ended.output.count("+ gcloud functions deploy") == 5


def test_a_check_says_what_could_not_be_read(bare):
    """It sends nothing but reads, and finds nothing that stands in the way."""
    seen = len(bare.fake.calls)

    ended = bare.run("deploy.sh", "--check")

    assert ended.code == 0, ended.output
    assert bare.fake.changes(seen) == []
    assert "warning your permissions could not be read: its API is not enabled yet" in ended.output
    assert "Nothing was changed." in ended.output


def test_what_is_late_is_waited_for(bare):
    """Each of these happens once, and the deployment goes through."""
    bare.fake.failures += RACES

    ended = bare.run("deploy.sh")

    assert ended.code == 0, ended.output
    assert [each.message for each in RACES if each.times] == []
    assert {each["state"] for each in bare.fake.of_kind("functions").values()} == {"ACTIVE"}
    assert not any("stateMessages" in each for each in bare.fake.of_kind("functions").values())


def test_one_function_is_deployed_before_the_others(bare):
    """It makes what all share; the others come once it is there."""
    created = [call.query["functionId"] for call in bare.fake.calls if "functionId" in call.query]
    done = [index for index, call in enumerate(bare.fake.calls) if call.path.endswith("functions/credit-refresh")]
    second = next(i for i, call in enumerate(bare.fake.calls) if call.query.get("functionId") == "credit-refresh-queue")

    assert created[0] == "credit-refresh"
    assert max(index for index in done if bare.fake.calls[index].method == "PATCH") < second


def test_a_second_deployment_changes_nothing(bare):
    """What had to be tried twice is as what went well at once."""
    seen = len(bare.fake.calls)

    bare.deploy()

    assert bare.fake.changes(seen) == []
