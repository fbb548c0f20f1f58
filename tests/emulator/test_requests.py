"""Users who request a refresh. The app writes one field, and the next worker call refreshes the user."""

from __future__ import annotations

import threading
from datetime import timedelta

import grpc
import pytest

from shared.edge.answers import worker_answer
from shared.services.work import work
from tests.support.faults import Mode, ProcessEnded, WireError, nth, on_user
from tests.support.world import DAY, EVENING, NOON, World, population

MINUTE = timedelta(minutes=1)


def requesting(user: dict, **stamp) -> dict:
    return {**user, "creditRefresh": {**stamp, "refreshRequested": True}}


def request(world: World, user_id: str, **fields) -> None:
    """Change some fields of a user and request a refresh in one write, as the app does."""
    stamp = world.user(user_id).get("creditRefresh", {})
    world.update(f"users/{user_id}", **fields, creditRefresh={**stamp, "refreshRequested": True})


def asks(world: World, user_id: str) -> bool:
    return "refreshRequested" in world.user(user_id).get("creditRefresh", {})


def receipts(world: World) -> dict[str, list[str]]:
    """The outcomes in the jobs that no scan made, by user."""
    found: dict[str, list[str]] = {}
    for job in world.jobs().values():
        for receipt in job.get("receipts", ()) if "kind" in job else ():
            found.setdefault(receipt["userId"], []).append(receipt["outcome"])
    return found


def test_a_request_is_granted_by_the_next_worker_call():
    """The user has the allowance, the flag is gone, there is a receipt, and no job waits."""
    world = World()
    world.users({"ann": requesting({"credits": 3, "plan": "free"}), "bob": {"credits": 3}})

    report = world.work(NOON)

    user, (job_id, job) = world.user("ann"), *world.jobs().items()
    assert (report.requested, report.tally.refreshed, report.has_more) == (1, 1, False)
    assert (user["credits"], user["creditRefresh"]["periods"]) == (50, {"free": "2026-11-22"})
    assert not asks(world, "ann")
    assert world.user("bob") == {"credits": 3}
    assert (job["kind"], job["status"], job_id[:11]) == ("request", "completed", "2026-11-22-")
    assert job["receipts"] == [{"userId": "ann", "outcome": "refreshed", "before": 3, "after": 50}]
    assert job["expireAt"] == NOON + timedelta(days=90)
    assert user["creditRefresh"]["jobId"] == job_id
    assert world.rollup() == {}
    assert worker_answer(report)["requestedUsers"] == 1


def test_a_changed_plan_is_granted_at_once():
    """An app that changes a plan requests a refresh in the same write."""
    world = World()
    world.users({"ann": {"credits": 0, "plan": "free"}})
    world.day()
    request(world, "ann", plan="weekly")

    world.work(EVENING + 2 * MINUTE)

    assert world.user("ann")["credits"] == 70


@pytest.mark.parametrize(
    ("user", "outcome"),
    [
        ({"credits": 3, "creditRefresh": {"paused": True}}, "paused"),
        ({"credits": 3, "creditRefresh": {"periods": {"free": "2026-11-22"}}}, "already_granted"),
        ({"name": "no balance"}, "no_balance"),
    ],
)
def test_a_request_that_grants_nothing_is_removed(user, outcome):
    """No credit changes and no receipt is written."""
    world = World()
    world.users({"ann": requesting(user, **user.get("creditRefresh", {}))})

    first, second = world.work(NOON), world.work(NOON)

    assert (first.requested, first.tally.skipped, second.requested) == (1, 1, 0), outcome
    assert not asks(world, "ann")
    assert world.user("ann").get("credits") == user.get("credits")
    assert world.jobs() == {}


def test_a_user_who_fails_by_its_own_data_is_named_and_due_today():
    """The flag is removed so that calls don't meet it again. The scan by date names the user until it is in order."""
    world = World()
    world.users({"ann": requesting({"credits": "ten"}), "bob": requesting({"credits": 1, "plan": "nowhere"})})

    report = world.work(NOON)
    again = world.work(NOON)

    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [
        ("ann", "bad_balance"),
        ("bob", "unknown_plan"),
    ]
    assert (report.requested, report.failed, again.requested) == (2, 0, 0)
    assert world.user("ann") == {"credits": "ten", "creditRefresh": {"dueOn": "2026-11-22"}}
    assert world.user("bob")["creditRefresh"] == {"dueOn": "2026-11-22"}
    assert receipts(world) == {"ann": ["failed"], "bob": ["failed"]}
    assert {job["status"] for job in world.jobs().values()} == {"completed"}


@pytest.mark.parametrize("value", [False, "true", 1, None])
def test_only_true_is_a_request(value):
    """A wrong value in the field refreshes nobody."""
    world = World()
    world.users({"ann": {"credits": 3, "creditRefresh": {"refreshRequested": value}}})

    assert world.work(NOON).requested == 0
    assert world.user("ann")["credits"] == 3


def test_a_passing_failure_leaves_the_request_and_a_retry():
    """The flag stays until the user is granted, and that happens once."""
    world = World()
    world.users({user_id: requesting(user) for user_id, user in population(4).items()})
    with world.faulty(on_user("user00002", WireError(grpc.StatusCode.INTERNAL))):
        first = world.work(NOON)
    still_asks = asks(world, "user00002")
    second = world.work(NOON + 5 * MINUTE)
    third = world.work(NOON + 10 * MINUTE)

    assert (first.tally.refreshed, first.retried, still_asks) == (3, 1, True)
    assert (second.tally.refreshed, third.claimed) == (1, 0)
    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert not asks(world, "user00002")


def test_a_thousand_at_once_are_served_in_bounded_batches():
    """Requests take at most half of a call's jobs. Each user is granted once, for a read and a write."""
    world = World(job_size=100)
    users = population(1000)
    world.users({user_id: requesting(user) for user_id, user in users.items()})
    context = world.context(NOON)

    half = world.work(NOON, jobs_max=8)
    rest = work(context, 1000, 60)

    assert (half.requested, half.claimed, half.has_more) == (400, 4, True)
    assert (rest.requested, rest.has_more) == (600, False)
    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert context.wire.cost.reads <= 610
    assert context.wire.cost.writes <= 600 + 2 * 6 + 1


def test_requests_and_jobs_share_a_call():
    """Requests don't hold up jobs."""
    world = World()
    world.users(population(20))
    world.build()
    world.users({f"asking{n}": requesting({"credits": 5, "plan": "adder"}) for n in range(5)})

    report = world.work(EVENING)

    assert (report.requested, report.tally.refreshed) == (5, 25)
    assert {user["credits"] for user in world.all("users").values()} == {15}


def test_a_direct_refresh_removes_the_request():
    """The scan's job then grants nothing more."""
    world = World(slot_seconds=86_400)
    world.users(population(1))
    world.build()
    world.update("users/user00000", creditRefresh={"refreshRequested": True})
    world.refresh("user00000")

    report = world.work(EVENING)

    assert (report.requested, world.user("user00000")["credits"]) == (0, 15)
    assert not asks(world, "user00000")


def test_the_pause_holds_requests():
    """During a pause only the existence of requests is read. After the resume they are served."""
    world = World()
    world.users({user_id: requesting(user) for user_id, user in population(30).items()})
    world.pause()
    context = world.context(NOON)
    paused = work(context, 1000, 60)
    world.pause(paused=False)

    assert (paused.requested, paused.claimed) == (0, 0)
    assert context.wire.cost.reads <= 3
    assert world.work(NOON).requested == 30


def test_a_call_without_requests_costs_one_read_for_them():
    """An idle call reads once for requests and once for jobs."""
    world = World()
    world.users(population(3))
    context = world.context(NOON)
    work(context, 1000, 60)

    assert context.wire.cost.reads == 2


def test_a_worker_that_dies_leaves_a_job_that_another_finds():
    """The next worker finds the grants by the stamps, and writes one receipt for each."""
    world = World()
    world.users({user_id: requesting(user) for user_id, user in population(5).items()})
    with world.faulty(nth("Commit", 3, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(NOON)

    world.work(NOON + 5 * MINUTE)

    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert receipts(world) == {f"user{n:05d}": ["refreshed"] for n in range(5)}


def test_workers_side_by_side_make_one_job_of_the_same_users():
    """The job's id follows from the users, so the second worker leaves them to the first."""
    world = World()
    world.users({user_id: requesting(user) for user_id, user in population(40).items()})
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(world.work(NOON))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(report.tally.refreshed for report in reports) == 40
    assert receipts(world) == {f"user{n:05d}": ["refreshed"] for n in range(40)}
    assert {user["credits"] for user in world.all("users").values()} == {15}


def test_a_request_retried_after_midnight_is_for_the_new_day():
    """A request is for the present period."""
    world = World()
    world.users({"ann": requesting({"credits": 5, "plan": "adder"})})
    with world.faulty(on_user("ann", WireError(grpc.StatusCode.INTERNAL))):
        world.work(EVENING)

    world.work(EVENING + 5 * MINUTE)
    world.work(EVENING + DAY)

    assert world.user("ann")["creditRefresh"]["periods"] == {"adder": "2026-11-23"}
    assert world.user("ann")["credits"] == 15


def test_a_request_in_another_stamp_field_is_found():
    """The stamp's name is a setting and may be a dotted path."""
    world = World(stamp_field="billing.refresh")
    world.users({"ann": {"credits": 3, "billing": {"card": "x", "refresh": {"refreshRequested": True}}}})

    report = world.work(NOON)

    assert report.requested == 1
    assert world.user("ann")["billing"]["card"] == "x"
    assert "refreshRequested" not in world.user("ann")["billing"]["refresh"]
