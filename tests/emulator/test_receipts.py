"""Receipts of grants without the queue. They are written with the grant, and are in no run's figures."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.monitor import user_history
from shared.store.wire import TRIES_MAX
from tests.support.faults import Mode, WireError, on, on_user
from tests.support.world import MIDNIGHT, NOON, World, population


def direct_jobs(world: World) -> dict[str, dict]:
    """The jobs that no scan made."""
    return {job_id: job for job_id, job in world.jobs().items() if "kind" in job}


def recorded_outcomes(world: World) -> dict[str, str]:
    """The outcomes of all receipts, by user."""
    return {receipt["userId"]: receipt["outcome"] for job in direct_jobs(world).values() for receipt in job["receipts"]}


def test_a_direct_grant_has_a_receipt():
    """The receipt is a settled document that expires. Its id begins with the day, and the stamp names it."""
    world = World()
    world.users({"ann": {"credits": 3}, "bob": {"credits": 3, "creditRefresh": {"paused": True}}})

    world.refresh("ann", "bob", "nobody")

    ((job_id, job),) = direct_jobs(world).items()
    assert (job_id[:11], job["kind"], job["status"]) == ("2026-11-22-", "direct", "completed")
    assert job["receipts"] == [{"userId": "ann", "outcome": "refreshed", "before": 3, "after": 50}]
    assert (job["userIds"], job["refreshedUsers"], job["skippedUsers"]) == (["ann"], 1, 0)
    assert job["expireAt"] == NOON + timedelta(days=world.settings.retention_days)
    assert not {"visibleAt", "dueAt", "snapshots"} & job.keys()
    assert world.user("ann")["creditRefresh"]["jobId"] == job_id
    history = user_history.read_user_history(world.context(NOON), "ann")
    assert [receipt["jobId"] for receipt in history.receipts] == [job_id]


def test_a_call_that_grants_nothing_leaves_no_receipt():
    world = World()
    world.users({"ann": {"credits": 3, "creditRefresh": {"paused": True}}})

    world.refresh("ann", "nobody")

    assert direct_jobs(world) == {}


def test_a_user_who_fails_has_a_receipt_as_well():
    """The receipt says `failed`, and its job has the codes. The job is no dead letter."""
    world = World()
    world.users({"ann": {"credits": "ten"}, "bob": {"credits": 3}, "cid": {"credits": 1, "plan": "nowhere"}})

    world.page(size=10)

    ((_, job),) = direct_jobs(world).items()
    assert recorded_outcomes(world) == {"ann": "failed", "bob": "refreshed", "cid": "failed"}
    assert {error["code"] for error in job["errors"]} == {"bad_balance", "unknown_plan"}
    assert (job["status"], job["failedUsers"]) == ("completed", 2)


@pytest.mark.parametrize("users", [1, 20, 21, 250])
def test_every_grant_of_a_call_has_one_receipt(users):
    """This holds for any number of users. The receipts count in no run."""
    world = World(job_size=100)
    world.users(population(users))

    report = world.refresh(*population(users))

    assert report.tally.refreshed == users
    assert recorded_outcomes(world) == dict.fromkeys(population(users), "refreshed")
    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert world.rollup() == {}


@pytest.mark.parametrize("mode", [Mode.LOST, Mode.REFUSED])
def test_a_lost_reply_leaves_one_grant_and_one_receipt(mode):
    """Both are in one Commit, so either both land or neither."""
    world = World()
    world.users(population(3))
    with world.faulty(on("Commit", mode, times=2)):
        report = world.refresh(*population(3))

    assert report.tally.refreshed == 3
    assert recorded_outcomes(world) == dict.fromkeys(population(3), "refreshed")
    assert len(direct_jobs(world)) == 1
    assert {user["credits"] for user in world.all("users").values()} == {15}


def test_a_call_that_fails_leaves_neither_grant_nor_receipt():
    """The database refuses every try."""
    world = World()
    world.users(population(3))
    with world.faulty(on("Commit", Mode.REFUSED, times=9)), pytest.raises(SystemFailureError):
        world.refresh(*population(3))

    assert direct_jobs(world) == {}
    assert {user["credits"] for user in world.all("users").values()} == {5}


def test_one_user_who_can_t_be_written_does_not_hold_up_the_others():
    """The Commit is refused as a whole, and then each user is written separately."""
    world = World()
    world.users(population(4) | {"huge": {"credits": 5, "plan": "adder", "blob": "x" * (1_048_576 - 200)}})

    report = world.refresh("huge", *population(4))

    assert (report.tally.refreshed, report.tally.failed) == (4, 1)
    assert recorded_outcomes(world) == {**dict.fromkeys(population(4), "refreshed"), "huge": "failed"}


def test_a_user_who_spends_meanwhile_loses_nothing():
    """The Commit fails if one of its users changed. Then all are read again."""
    world = World()
    world.users(population(3))
    spent = []

    def spend(_number, method, _request):
        if method == "Commit" and not spent:
            spent.append("user00001")
            world.update("users/user00001", credits=1)

    with world.faulty(spend):
        report = world.refresh(*population(3))

    assert report.tally.refreshed == 3
    assert [user["credits"] for user in world.all("users").values()] == [15, 11, 15]
    assert [receipt["before"] for job in direct_jobs(world).values() for receipt in job["receipts"]] == [5, 1, 5]


def test_receipts_change_no_figure_of_the_day():
    """The day's figures count only the jobs that its scan made."""
    world = World()
    world.users(population(10))
    world.refresh("user00003")
    world.build(MIDNIGHT)
    world.work()

    scanned = [job for job in world.jobs().values() if "kind" not in job]
    assert world.rollup()["refreshedUsers"] == sum(job["refreshedUsers"] for job in scanned) == 9
    assert len(direct_jobs(world)) == 1


@pytest.mark.parametrize("paged", [False, True], ids=["named", "page"])
@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.PERMISSION_DENIED,
    ],
    ids=lambda code: code.name,
)
def test_of_many_users_one_may_fail_for_a_passing_reason(code, paged):
    """More than twenty users are written separately. The others are refreshed, and this one is named."""
    world = World()
    world.users(population(30))
    with world.faulty(on_user("user00007", WireError(code))):
        report = world.page(size=30) if paged else world.refresh(*population(30))

    assert (report.tally.refreshed, report.tally.failed) == (29, 1)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("user00007", "write_failed")]
    assert recorded_outcomes(world) == {**dict.fromkeys(population(30), "refreshed"), "user00007": "failed"}


def test_a_grant_whose_replies_are_all_lost_has_its_receipt():
    """Each request with this user takes effect and its reply is lost. The document tells that the grant landed."""
    world = World()
    world.users(population(30))
    with world.faulty(on_user("user00007", Mode.LOST)):
        report = world.page(size=30)

    assert report.tally.refreshed == 30
    assert recorded_outcomes(world) == dict.fromkeys(population(30), "refreshed")
    assert {user["credits"] for user in world.all("users").values()} == {15}


def test_a_page_during_an_outage_fails_after_three_requests():
    """If both halves of a page fail too, the database is down. Nobody is named as failed."""
    world = World()
    world.users(population(30))
    with world.faulty(on("BatchWrite", Mode.REFUSED, times=99)) as faults, pytest.raises(SystemFailureError):
        world.page(size=30)

    assert faults.spoiled == 3 * TRIES_MAX
    assert direct_jobs(world) == {}


def test_an_outage_in_the_middle_of_a_page_leaves_each_grant_its_receipt():
    """The first half of the page is written, and then the database makes no more writes of users. The call fails."""
    world = World()
    world.users(population(30))
    down = []

    def plan(_number, method, request):
        whole_or_second_half = method == "BatchWrite" and "/users/user00029" in str(request)
        down.extend(["down"] * whole_or_second_half)
        return Mode.REFUSED if whole_or_second_half or (method == "BatchWrite" and len(down) > TRIES_MAX) else None

    with world.faulty(plan), pytest.raises(SystemFailureError):
        world.page(size=30)

    granted = {user_id for user_id, user in world.all("users").items() if user["credits"] == 15}
    assert len(granted) == 15
    assert recorded_outcomes(world) == dict.fromkeys(granted, "refreshed")
