"""The worker against the real emulator. It grants each user exactly once, even if documents changed since the build."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.services.attempt import Attempt
from shared.services.work import Worker, work
from shared.store.budget import Budget
from shared.store.jobs import JobStore
from shared.store.wire import Wire
from tests.support.faults import Mode, ProcessEnded, WireError, nth, on, on_user
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

SETTLING = 2  # the Commit that settles the job of a worker who claims one; the first Commit is the heartbeat


def test_a_day_s_jobs_grant_everybody_once_and_are_settled():
    """Each grant has a receipt, and the roll-up adds up."""
    world = World(job_size=40)
    users = population(130)
    world.users(users)

    report = world.day()

    assert (report.tally.refreshed, report.claimed, report.has_more) == (130, report.completed, False)
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_delivering_everything_again_grants_nothing():
    """A second builder and worker call on the same day change no balance."""
    world = World()
    users = population(60)
    world.users(users)
    world.day()

    again = world.day()

    assert again.claimed == 0
    assert_granted_once(world, users, 10)


def test_the_stamp_says_what_was_done():
    """The stamp has plan, period, balance before, amount granted, job, and the next due date."""
    world = World()
    world.users({"ann": {"credits": 20, "plan": "free", "name": "Ann"}})

    world.day()

    user = world.user("ann")
    stamp = user["creditRefresh"]
    assert (user["credits"], user["name"]) == (50, "Ann")
    assert (stamp["plan"], stamp["periods"], stamp["dueOn"]) == ("free", {"free": "2026-11-22"}, "2026-11-23")
    assert (stamp["before"], stamp["granted"], stamp["refreshedAt"]) == (20, 30, EVENING)
    assert stamp["nextAt"] == world.settings.schedule.slot_start((MIDNIGHT + DAY).date(), "ann")
    assert stamp["jobId"] in world.jobs()


def test_a_balance_already_full_is_refreshed_with_nothing():
    """The period is stamped, so credits that are spent later are not refilled in the same period."""
    world = World()
    world.users({"full": {"credits": 80}})
    world.day()
    world.update("users/full", credits=0)

    second = world.refresh("full")

    assert world.user("full")["creditRefresh"]["granted"] == 0
    assert second.tally.skipped == 1
    assert world.user("full")["credits"] == 0


def test_the_worker_reads_only_changed_users_again():
    """Unchanged users are written on the basis of the builder's snapshots. A user who spent is read again."""
    world = World(job_size=100)
    users = population(100)
    world.users(users)
    world.build()
    for n in range(7):
        world.update(f"users/user{n:05d}", credits=1)
    context = world.context(EVENING)

    report = work(context, 1000, 60)

    jobs = len(world.jobs())
    assert (report.conflicts, report.tally.refreshed) == (7, 100)
    assert {world.user(f"user{n:05d}")["credits"] for n in range(7)} == {11}
    assert context.wire.cost.reads <= 7 + 3 * jobs + 3
    assert context.wire.cost.writes == 100 + 3 * jobs + 1  # the heartbeat


def test_a_changed_plan_is_granted_by_the_new_plan():
    """A user who changed plan between build and work gets the new plan's allowance."""
    world = World()
    world.users({"ann": {"credits": 0, "plan": "free"}})
    world.build()
    world.update("users/ann", plan="weekly")

    world.work()

    assert world.user("ann")["credits"] == 70
    assert world.user("ann")["creditRefresh"]["periods"] == {"weekly": "2026-11-16"}


def test_snapshots_are_not_used_after_a_change_of_plans():
    """A worker whose plans differ from the builder's reads its users again and decides by its own plans."""
    world = World()
    world.users({"ann": {"credits": 0, "plan": "free"}})
    world.build()
    world.plans = World(
        plans='default_plan = "free"\n[plans.free]\nallowance = 7\nperiod = "day"\npolicy = "reset"'
    ).plans

    world.work()

    assert world.user("ann")["credits"] == 7


def test_deleted_paused_and_already_refreshed_users_are_skipped():
    """Between build and work one user is deleted, one paused, one refreshed directly. No user fails."""
    world = World()
    world.users(population(4))
    world.build()
    world.delete("users/user00000")
    world.update("users/user00001", creditRefresh={"paused": True})
    world.refresh("user00002")

    report = world.work()

    assert (report.tally.refreshed, report.tally.skipped, report.tally.failed) == (1, 3, 0)
    scanned = [receipt for job_id, receipt in world.receipts() if "-direct-" not in job_id]
    assert {receipt["userId"]: receipt.get("reason") for receipt in scanned} == {
        "user00000": "deleted",
        "user00001": "paused",
        "user00002": "already_granted",
        "user00003": None,
    }
    assert world.get("users/user00000") is None


def test_a_user_deleted_and_created_again_is_a_new_user():
    """The grant starts from the new document's balance."""
    world = World()
    world.users(population(1))
    world.build()
    world.delete("users/user00000")
    world.users({"user00000": {"credits": 100, "plan": "adder"}})

    world.work()

    assert world.user("user00000")["credits"] == 110


def test_a_user_who_turned_bad_fails_alone_and_is_named():
    """A document that became bad after the build fails its user. The job is a dead letter; the others are granted."""
    world = World()
    world.users(population(5))
    world.build()
    world.update("users/user00002", credits="ten")

    report = world.work()

    assert (report.tally.refreshed, report.tally.failed, report.retried) == (4, 1, 0)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("user00002", "bad_balance")]
    assert world.user("user00002")["credits"] == "ten"
    assert "failed" in {job["status"] for job in world.jobs().values()}
    assert_settled(world)


def test_a_job_belongs_to_its_own_day():
    """A slot of 23:55 settled after midnight is stamped with the day before, and today still grants."""
    world = World()
    users = population(10)
    world.users(users)
    world.build(MIDNIGHT)

    world.work(MIDNIGHT + DAY + timedelta(minutes=1))
    world.day(MIDNIGHT + DAY)

    assert {world.user(user_id)["credits"] for user_id in users} == {25}
    assert_settled(world)


def test_a_job_more_than_a_day_old_is_superseded():
    """A job that is two days late grants nothing. The newer job grants once for all missed days."""
    world = World()
    users = population(10)
    world.users(users)
    world.build(MIDNIGHT)
    world.build(MIDNIGHT + 2 * DAY)

    report = world.work(MIDNIGHT + 2 * DAY + timedelta(hours=23))

    assert (report.tally.refreshed, report.tally.skipped) == (10, 10)
    assert {world.user(user_id)["credits"] for user_id in users} == {15}
    assert {receipt.get("reason") for _, receipt in world.receipts()} == {None, "superseded"}
    assert_settled(world)


def test_the_worker_stops_at_its_limit_and_says_that_there_is_more():
    """`maxJobs` limits the jobs of a call, and `hasMore` says that due jobs are left."""
    world = World(job_size=10)
    world.users(population(50))
    world.build()
    jobs = len(world.jobs())

    first = world.work(jobs_max=jobs - 1)
    second = world.work(jobs_max=1)

    assert (first.claimed, first.has_more) == (jobs - 1, True)
    assert (second.claimed, second.has_more) == (1, False)


def test_a_paused_system_claims_nothing():
    """Jobs wait during a pause and are worked after the resume."""
    world = World()
    world.users(population(5))
    world.build()
    world.pause()

    paused = world.work()
    world.pause(paused=False)
    resumed = world.work()

    assert (paused.claimed, resumed.tally.refreshed) == (0, 5)


def test_jobs_before_their_slot_wait():
    """Nothing is claimed before its slot begins."""
    world = World()
    world.users(population(100))
    world.build()

    early = world.work(MIDNIGHT + timedelta(hours=5))

    due = [job for job in world.jobs().values() if job["scheduledFor"] == MIDNIGHT]
    assert early.claimed == len(due)
    assert early.tally.refreshed == sum(len(job["userIds"]) for job in due) < 100


def test_a_worker_that_is_stopped_before_it_begins_claims_nothing():
    """The stop signal is set before the call."""
    world = World()
    world.users(population(5))
    world.build()
    stopping = threading.Event()
    stopping.set()

    report = work(world.context(EVENING, stopping=stopping), 1000, 60)

    assert (report.claimed, report.has_more) == (0, True)


def test_claimed_jobs_that_have_not_begun_are_released_uncounted(monkeypatch):
    """The worker is stopped after the claim and before the first write."""
    world = World()
    users = population(5)
    world.users(users)
    world.build()
    stopping = threading.Event()
    worker = Worker(world.context(EVENING, stopping=stopping), 1000, 60)
    claim_all = worker._queue.claim

    def claim_then_stop(due_jobs, begin):
        claims = claim_all(due_jobs)
        stopping.set()
        begin(claims)
        return claims

    monkeypatch.setattr(worker._queue, "claim", claim_then_stop)
    report = worker.run()
    states = {(job["status"], job["attempts"], job["visibleAt"]) for job in world.jobs().values()}
    resumed = world.work()

    assert (report.tally.processed, report.has_more) == (0, True)
    assert states == {("pending", 0, EVENING)}
    assert resumed.tally.refreshed == 5
    assert_granted_once(world, users, 10)


def test_a_dead_workers_job_comes_back_when_the_lease_ends():
    """The attempt stays counted. Its grants are found and get receipts, and no user is granted twice."""
    world = World(slot_seconds=86_400, lease_seconds=120)
    users = population(20)
    world.users(users)
    world.build()
    with world.faulty(nth("Commit", SETTLING, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(EVENING)

    early = world.work(EVENING + timedelta(seconds=119))
    late = world.work(EVENING + timedelta(seconds=120))

    assert early.claimed == 0
    assert (late.claimed, late.tally.refreshed) == (1, 20)
    assert [job["attempts"] for job in world.jobs().values()] == [2]
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_a_job_that_kills_its_workers_takes_no_other_with_it():
    """Jobs claimed beside it lose one attempt. Then each is tried alone, because nobody knows which one kills."""
    world = World(slot_seconds=86_400, job_size=1, max_attempts=2)
    users = population(40)
    world.users(users)
    world.build()

    for number in range(12):
        with world.faulty(on_user("user00007", Mode.ENDED)), suppress(ProcessEnded):
            world.work(EVENING + number * timedelta(minutes=10))

    failed = {job["userIds"][0]: job["attempts"] for job in world.jobs().values() if job["status"] == "failed"}
    assert failed.keys() == {"user00007"}
    assert {world.user(user_id)["credits"] for user_id in users if user_id != "user00007"} == {15}
    assert_settled(world)


def test_a_job_that_kills_its_workers_becomes_a_dead_letter():
    """After MAX_ATTEMPTS workers have died the job fails. Grants that landed get receipts as refreshed."""
    world = World(slot_seconds=86_400, lease_seconds=60, max_attempts=2)
    users = population(10)
    world.users(users)
    world.build()
    now = EVENING
    with world.faulty(nth("Commit", SETTLING, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(now)
    world.users({"user00003": {"credits": 5, "plan": "adder"}})  # created again, so nothing of the first try is left
    with world.faulty(lambda _n, method, request: _ends_at_write(method, request)), pytest.raises(ProcessEnded):
        world.work(now := now + timedelta(minutes=2))

    report = world.work(now + timedelta(minutes=2))

    (job,) = world.jobs().values()
    assert (job["status"], job["attempts"]) == ("failed", 3)
    assert (report.failed, report.tally.refreshed, report.tally.failed) == (1, 9, 1)
    assert [(error["userId"], error["code"]) for error in job["errors"]] == [("user00003", "attempts_used_up")]
    assert world.user("user00003")["credits"] == 5
    assert_settled(world)


def _ends_at_write(method, request):
    """The process ends at the first write to users."""
    writes_users = method == "BatchWrite" and "/users/" in str(request)
    return Mode.ENDED if writes_users else None


def test_a_job_that_kills_the_reconciling_worker_too_is_abandoned():
    """The next claim fails its users without reading them."""
    world = World(slot_seconds=86_400, max_attempts=1)
    world.users(population(3))
    world.build()
    (job_id,) = world.jobs()
    world.update(f"credit_refresh_jobs/{job_id}", attempts=2, startedAt=NOON)

    report = world.work()

    assert (report.failed, report.tally.failed, report.errors.total) == (1, 3, 3)
    assert {user["credits"] for user in world.all("users").values()} == {5}
    assert_settled(world)


def test_users_who_keep_failing_leave_for_retry_jobs_until_max_attempts():
    """After a passing failure a user leaves for a retry job with one more attempt. The last job is a dead letter."""
    world = World(slot_seconds=86_400, max_attempts=3)
    world.users(population(6))
    world.build()

    def spoil(_number, method, request):
        if method == "BatchWrite" and "users/user00004" in str(request):
            return WireError(grpc.StatusCode.INTERNAL)
        return None

    with world.faulty(spoil):
        reports = [world.work(EVENING + attempt * timedelta(minutes=10)) for attempt in range(4)]

    assert [(report.retried, report.failed) for report in reports] == [(1, 0), (1, 0), (0, 1), (0, 0)]
    assert [report.tally.refreshed for report in reports] == [5, 0, 0, 0]
    last = [job for job in world.jobs().values() if job["status"] == "failed"]
    assert [(job["userIds"], job["attempts"]) for job in last] == [(["user00004"], 3)]
    assert_settled(world)


def test_a_retry_waits_for_its_back_off():
    """After the first attempt the retry job is invisible for up to a minute."""
    world = World(slot_seconds=86_400)
    world.users(population(2))
    world.build()
    with (
        world.faulty(on("BatchWrite", WireError(grpc.StatusCode.INTERNAL), times=99)),
        pytest.raises(SystemFailureError),
    ):
        world.work()
    spoiled = lambda _n, method, request: (  # noqa: E731
        WireError(grpc.StatusCode.INTERNAL) if method == "BatchWrite" and "users/user00001" in str(request) else None
    )
    with world.faulty(spoiled):
        world.work()

    (retry,) = [job for job in world.jobs().values() if job["status"] == "pending"]
    assert EVENING <= retry["visibleAt"] <= EVENING + timedelta(minutes=1)
    assert (retry["attempts"], retry["userIds"]) == (1, ["user00001"])


def test_a_rejected_request_is_halved_until_the_culprit_is_alone():
    """One user's write makes the database reject the whole request. Only that user fails, for good."""
    world = World(slot_seconds=86_400)
    users = population(50)
    world.users(users)
    world.build()

    def spoil(_number, method, request):
        if method == "BatchWrite" and "users/user00017" in str(request):
            return WireError(grpc.StatusCode.INVALID_ARGUMENT, "not today")
        return None

    with world.faulty(spoil):
        report = world.work()

    assert (report.tally.refreshed, report.tally.failed, report.retried) == (49, 1, 0)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("user00017", "write_rejected")]
    assert_settled(world)


def test_a_document_near_its_limit_fails_alone():
    """A document without room for the stamp stays unchanged, and its user is named."""
    world = World(slot_seconds=86_400)
    world.users(population(3) | {"huge": {"credits": 5, "plan": "adder", "blob": "x" * (1_048_576 - 200)}})

    report = world.day()

    assert (report.tally.refreshed, report.tally.failed) == (3, 1)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("huge", "write_rejected")]
    assert world.user("huge")["credits"] == 5


@pytest.mark.parametrize("mode", [Mode.REFUSED, Mode.LOST])
@pytest.mark.parametrize("method", ["BatchWrite", "Commit", "RunQuery", "BatchGetDocuments"])
def test_a_fault_that_passes_is_survived_within_the_call(method, mode):
    """If any one call fails once or loses its reply, the same worker call still grants each user once."""
    world = World(job_size=10)
    users = population(30)
    world.users(users)
    world.build()
    with world.faulty(on(method, mode, times=2)) as faults:
        report = world.work()

    assert method in faults.calls
    assert report.tally.refreshed == 30
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_an_outage_releases_jobs_uncounted_and_fails_the_call():
    """The database fails for longer than the retries."""
    world = World(slot_seconds=86_400)
    users = population(10)
    world.users(users)
    world.build()

    def down_for_users(_number, method, request):
        return Mode.REFUSED if method == "BatchWrite" and "/users/" in str(request) else None

    with world.faulty(down_for_users), pytest.raises(SystemFailureError):
        world.work()
    (job,) = world.jobs().values()
    healed = world.work(EVENING + timedelta(minutes=1))

    assert (job["status"], job["attempts"]) == ("pending", 0)
    assert EVENING <= job["visibleAt"] <= EVENING + timedelta(minutes=1)
    assert healed.tally.refreshed == 10
    assert_granted_once(world, users, 10)


def test_a_claim_whose_reply_never_comes_is_released_uncounted():
    """The worker finds its claims by the token."""
    world = World()
    users = population(10)
    world.users(users)
    world.build()
    with world.faulty(on("BatchWrite", Mode.LOST, times=4)), pytest.raises(SystemFailureError):
        world.work()
    states = {(job["status"], job["attempts"]) for job in world.jobs().values()}
    healed = world.work(EVENING + timedelta(minutes=1))

    assert states == {("pending", 0)}
    assert healed.tally.refreshed == 10
    assert_granted_once(world, users, 10)


def test_jobs_begin_while_the_next_ones_are_being_claimed():
    """The third step of a claim fails. The three jobs of the first two steps are settled, and the others wait."""
    world = World(slot_seconds=86_400, job_size=1)
    users = population(7)
    world.users(users)
    world.build()

    def third_step(_number, method, request):
        return Mode.LOST if method == "BatchWrite" and len(request.writes) == 4 else None

    with world.faulty(third_step), pytest.raises(SystemFailureError):
        world.work()
    states = Counter((job["status"], job["attempts"]) for job in world.jobs().values())
    healed = world.work(EVENING + timedelta(minutes=1))

    assert states == {("completed", 1): 3, ("pending", 0): 4}
    assert healed.tally.refreshed == 4
    assert_granted_once(world, users, 10)


def test_an_unreadable_job_fails_alone_at_the_head_of_the_queue():
    """A document that is no job is failed and named. The jobs behind it are worked."""
    world = World()
    users = population(20)
    world.users(users)
    world.build()
    unreadable: list[dict[str, Any]] = [
        {"v": 1},
        {"v": "x", "runId": 7},
        {"v": 1, "runId": "2026-11-22", "userIds": "all"},
        {},
    ]
    for n, garbage in enumerate(unreadable):
        world.put(f"credit_refresh_jobs/0-garbage-{n}", {**garbage, "visibleAt": MIDNIGHT - DAY})

    report = world.work()

    assert (report.failed, report.tally.refreshed) == (4, 20)
    garbage = {job_id: job for job_id, job in world.jobs().items() if job_id.startswith("0-")}
    assert {job["status"] for job in garbage.values()} == {"failed"}
    assert {error["code"] for job in garbage.values() for error in job["errors"]} == {"unreadable_job"}
    assert_granted_once(world, users, 10)


def test_an_odd_id_makes_no_job_unreadable():
    """The builder read it from the database. If the database refuses it after all, that user fails alone."""
    world = World(slot_seconds=86_400)
    users = {name: {"credits": 5, "plan": "adder"} for name in ("__", "____", "__id-5__", "__id7__", "\n", "zoe")}
    world.users(users)
    world.build()
    (job_id, job), *rest = world.jobs().items()
    world.put(f"credit_refresh_jobs/{job_id}", {**job, "userIds": [*job["userIds"], "__x__"], "snapshots": "[]"})

    report = world.work()

    assert (rest, report.tally.refreshed, report.tally.failed) == ([], 6, 1)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("__x__", "read_rejected")]
    assert_granted_once(world, users, 10)


@pytest.mark.parametrize("id_characters", [5, 40])
def test_a_job_with_more_users_than_a_job_can_have_fails_and_is_named(id_characters):
    """With a receipt for each user the document would be too large, and the job could never be settled."""
    world = World()
    users = population(20)
    world.users(users)
    world.build()
    job = next(iter(world.jobs().values()))
    many = [f"{n:0{id_characters}d}" for n in range(20_000)]
    world.put("credit_refresh_jobs/2026-11-22-0000-many", {**job, "userIds": many, "snapshots": "[]"})

    first, second = world.work(), world.work()

    assert (first.failed, first.tally.refreshed, second.claimed) == (1, 20, 0)
    ended = world.jobs()["2026-11-22-0000-many"]
    assert (ended["status"], ended["userIds"]) == ("failed", many[:500])
    assert {error["code"] for error in ended["errors"]} == {"unreadable_job"}
    assert "userIds: 20000 users; a job has at most 500" in ended["errors"][0]["error"]
    assert_granted_once(world, users, 10)


def test_jobs_of_a_newer_version_are_left_alone_and_passed_over():
    """Many of them at the head of the queue don't hide the jobs behind."""
    world = World()
    users = population(20)
    world.users(users)
    world.build()
    newer = {f"credit_refresh_jobs/0-newer-{n:02d}": {"v": 2, "visibleAt": MIDNIGHT - DAY} for n in range(30)}
    world.put_all(newer)

    report = world.work()

    assert report.tally.refreshed == 20
    assert all(world.get(path) == fields for path, fields in newer.items())


def test_workers_at_once_share_the_jobs():
    """Each job is settled by one worker. Together the three workers report every user once."""
    world = World(job_size=5)
    users = population(200)
    world.users(users)
    world.build()
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(world.work())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(report.tally.refreshed for report in reports) == 200
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_an_overtaken_worker_counts_nothing_of_its_job():
    """A worker that is slower than its lease finds the job settled by another, and reports nothing of it."""
    world = World(slot_seconds=86_400, lease_seconds=60)
    users = population(10)
    world.users(users)
    world.build()
    worker = Worker(world.context(EVENING), 1000, 60)
    claims = worker._queue.claim(worker._queue.find_due(10))

    overtaking = world.work(EVENING + timedelta(seconds=61))
    settled = worker._attempt(claims[0], Budget.of(60))

    assert (overtaking.tally.refreshed, settled.settlement) == (10, None)
    assert_granted_once(world, users, 10)
    assert_settled(world)


def test_a_job_granted_once_is_not_granted_again_after_a_change_of_plan():
    """One job grants a user at most once, even if the plan changes between a lost reply and the second try."""
    world = World(slot_seconds=86_400)
    world.users({"ann": {"credits": 0, "plan": "free"}})
    world.build()
    with world.faulty(nth("Commit", SETTLING, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work()
    world.update("users/ann", plan="weekly")

    world.work(EVENING + timedelta(minutes=5))

    assert world.user("ann")["credits"] == 50
    assert [(receipt["before"], receipt["after"]) for _, receipt in world.receipts()] == [(0, 50)]


def test_a_worker_whose_time_ends_is_unfinished_and_has_not_failed():
    """It reports what it settled, releases the rest, and says `hasMore`."""
    world = World(job_size=1)
    users = population(60)
    world.users(users)
    world.build()

    def slow(_number, method, request):
        if method == "BatchWrite" and "/users/" in str(request):
            time.sleep(0.1)

    with world.faulty(slow):
        report = world.work(seconds=0.5)
    jobs = world.jobs().values()
    rest = world.work()

    assert report.has_more
    assert {(job["status"], job["attempts"]) for job in jobs} <= {("pending", 0), ("completed", 1)}
    assert report.tally.refreshed + rest.tally.refreshed == 60
    assert_granted_once(world, users, 10)


def test_a_job_with_an_absurd_number_of_attempts_is_abandoned():
    """A huge number of attempts neither hangs the worker nor stops other jobs."""
    world = World(slot_seconds=86_400, job_size=5)
    world.users(population(10))
    world.build()
    job_id = min(world.jobs())
    world.update(f"credit_refresh_jobs/{job_id}", attempts=10**15)

    report = world.work()

    assert (report.failed, report.tally.failed, report.tally.refreshed) == (1, 5, 5)


def test_an_unexpected_error_in_one_job_stops_no_other(monkeypatch):
    """An exception in one job stops only that job, which waits for its lease to end. The others are settled."""
    world = World(slot_seconds=86_400, job_size=5)
    users = population(20)
    world.users(users)
    world.build()
    unlucky = min(world.jobs())
    run = Attempt.run

    def failing(attempt):
        if attempt._claim.due_job.job_id == unlucky:
            raise ZeroDivisionError
        return run(attempt)

    monkeypatch.setattr(Attempt, "run", failing)
    report = world.work()
    monkeypatch.setattr(Attempt, "run", run)
    healed = world.work(EVENING + timedelta(minutes=3))

    assert (report.tally.refreshed, healed.tally.refreshed) == (15, 5)
    assert_granted_once(world, users, 10)


def test_a_query_without_its_index_is_a_failure_that_says_so():
    """This is Firestore's answer while an index is missing or being built. It is no lost race."""
    world = World()
    world.users(population(3))
    missing = WireError(grpc.StatusCode.FAILED_PRECONDITION, "The query requires an index")
    with world.faulty(on("RunQuery", missing, times=9)):
        with pytest.raises(SystemFailureError, match=r"firestore\.indexes\.json"):
            world.build()
        with pytest.raises(SystemFailureError, match=r"firestore\.indexes\.json"):
            world.work()


def test_a_worker_that_has_lost_a_claim_still_finds_every_job():
    """It looks at random positions, within and between slots, until no job is left."""
    world = World(slot_seconds=3600, job_size=2)
    users = population(120)
    world.users(users)
    world.build()
    slow, quick = Worker(world.context(EVENING), 1000, 60), Worker(world.context(EVENING), 1000, 60)
    same = slow._queue.find_due(4)
    quick._queue.claim(same)

    assert slow._queue.claim(same) == []
    report = slow.run()

    assert report.claimed == len(world.jobs()) - len(same)
    assert world.work(EVENING + timedelta(minutes=5)).claimed == len(same)
    assert_granted_once(world, users, 10)
    assert_settled(world)


@pytest.fixture
def claimed_at_once(monkeypatch):
    """How many jobs each claim of any worker tried to get."""
    tried = []
    claim = JobStore.claim

    def watched(store, due_jobs, *args):
        tried.append(len(due_jobs))
        return claim(store, due_jobs, *args)

    monkeypatch.setattr(JobStore, "claim", watched)
    return tried


def crowded(jobs, slot_seconds=86_400):
    """A world with this many due jobs of one user each, and a function that makes a worker's view of the queue."""
    world = World(slot_seconds=slot_seconds, job_size=1)
    world.users(population(jobs))
    world.build()
    return world, lambda: Worker(world.context(EVENING), 1000, 60)._queue


def test_a_lost_race_costs_one_claim_and_not_a_batch(claimed_at_once):
    """If another worker has taken a batch meanwhile, only one of its jobs is tried."""
    _, queue = crowded(20)
    slow, quick = queue(), queue()
    same = slow.find_due(12)
    quick.claim(same)
    claimed_at_once.clear()

    assert slow.claim(same) == []
    assert claimed_at_once == [1]


def test_a_batch_is_claimed_up_to_the_first_loss(claimed_at_once):
    """A batch is claimed one, two, four at a time. After a lost claim it leaves the rest to others."""
    _, queue = crowded(20)
    slow, quick = queue(), queue()
    same = slow.find_due(12)
    quick.claim(same[4:5])
    claimed_at_once.clear()

    claims = slow.claim(same)

    assert [claim.due_job.job_id for claim in claims] == [due_job.job_id for due_job in (*same[:4], *same[5:7])]
    assert claimed_at_once == [1, 2, 4]


def test_a_worker_alone_takes_the_oldest_jobs_first():
    """A worker alone takes all jobs in the order of their slots."""
    _, queue = crowded(60, slot_seconds=3600)
    alone = queue()
    seen = []
    while due_jobs := alone.find_due(12):
        seen += due_jobs
        alone.claim(due_jobs)

    assert len(seen) == 60
    assert [due_job.cursor for due_job in seen] == sorted(due_job.cursor for due_job in seen)


@pytest.mark.parametrize("slot_seconds", [86_400, 3600])
def test_workers_that_lost_a_claim_look_at_different_positions(slot_seconds):
    """This holds within one slot and between many."""
    _, queue = crowded(100, slot_seconds)
    first, *others = queues = [queue() for _ in range(8)]
    for each in others:
        same = each.find_due(1)
        first.claim(same)
        each.claim(same)

    found = {each.find_due(1)[0].job_id for each in queues}

    assert len(found) >= 5


def test_the_wait_after_losses_grows_and_ends_with_a_claim_won(monkeypatch):
    """The wait is at most 0.4 s after the first loss and doubles with each further loss, up to a limit."""
    waits = []
    monkeypatch.setattr(Wire, "back_off", lambda _wire, tries, seconds_first: waits.append((tries, seconds_first)))
    _, queue = crowded(20)
    unlucky, other = queue(), queue()
    for _ in range(6):
        due_jobs = unlucky.find_due(1)
        other.claim(due_jobs)
        unlucky.claim(due_jobs)
    unlucky.claim(unlucky.find_due(1))
    unlucky.find_due(1)

    assert waits == [(losses, 0.4) for losses in (1, 2, 3, 3, 3, 3)]


def test_jobs_claimed_before_the_database_failed_are_released_uncounted():
    """The database fails after the first claim of a batch. All jobs are pending again."""
    world, _ = crowded(10)
    writes = itertools.count(1)

    def failing(_number, method, _request):
        return Mode.REFUSED if method == "BatchWrite" and next(writes) > 1 else None

    with world.faulty(failing), pytest.raises(SystemFailureError):
        world.work()
    states = {(job["status"], job["attempts"]) for job in world.jobs().values()}

    assert states == {("pending", 0)}
    assert world.work(EVENING + timedelta(minutes=1)).tally.refreshed == 10
