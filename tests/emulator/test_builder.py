"""The builder against the real emulator. It queues each user once, works alone, and goes on after an interruption."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.core.packing import FlushLimits, Packer
from shared.core.ranges import Cursor
from shared.core.runs import ScanRequest
from shared.core.scan_choice import CHANGED
from shared.services.build import Builder, build
from shared.services.find import UserFinder
from shared.services.limits import Limits
from shared.services.reports import BuildReport
from shared.settings import Settings
from tests.support.faults import Mode, ProcessEnded, WireError, nth, on
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population


def queued(world: World) -> Counter[str]:
    """How often each user is in a job."""
    return Counter(user_id for job in world.jobs().values() for user_id in job["userIds"])


def test_a_builder_packs_every_due_user_into_one_job():
    """Every due user is in exactly one job of at most JOB_SIZE users of one slot."""
    world = World(job_size=50)
    users = population(200)
    world.users(users)

    report = world.build()

    assert (report.status, report.counts.scanned, report.counts.queued) == ("completed", 200, 200)
    assert queued(world) == Counter(dict.fromkeys(users, 1))
    jobs = world.jobs().values()
    assert max(len(job["userIds"]) for job in jobs) <= 50
    assert len(jobs) == report.counts.jobs_created == world.run()["jobsCreated"]
    for job in jobs:
        slots = {world.settings.schedule.slot_start(MIDNIGHT.date(), user_id) for user_id in job["userIds"]}
        assert slots == {job["scheduledFor"]}
        assert job["visibleAt"] == job["scheduledFor"]


def test_a_slot_that_has_passed_is_scheduled_for_now():
    """A builder that is called late puts all passed slots into jobs of the present moment."""
    world = World(slot_seconds=300)
    world.users(population(40))

    world.build(EVENING)

    jobs = world.jobs().values()
    assert {job["scheduledFor"] for job in jobs} == {EVENING}
    assert len(jobs) == 1


def test_a_completed_run_costs_one_read():
    """Calls after the run is completed read the run document and nothing else."""
    world = World()
    world.users(population(10))
    world.build()
    context = world.context(NOON)

    report = build(context, ScanRequest.AUTO, 60)

    assert report.status == "completed"
    assert (context.wire.cost.reads, context.wire.cost.writes) == (1, 0)


def test_a_builder_resumes_where_its_budget_ended():
    """A builder whose time is up saves its progress. The next call goes on there; no user is lost or doubled."""
    world = World(limits=Limits(page_users=20))
    users = population(110)
    world.users(users)
    reports = []
    while not reports or (reports[-1].has_more and len(reports) < 20):
        reports.append(world.build_a_page())

    assert [report.status for report in reports[:-1]] == ["in_progress"] * (len(reports) - 1)
    assert reports[-1].status == "completed"
    assert len(reports) == 6
    assert sum(report.counts.queued for report in reports) == 110
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_of_several_builders_at_once_only_one_scans():
    """A builder leases the run document before it scans."""
    world = World()
    users = population(300)
    world.users(users)
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(world.build())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(report.counts.scanned for report in reports) == 300
    assert sorted(report.counts.scanned for report in reports) == [0, 0, 0, 300]
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_a_leased_run_is_left_alone_until_the_lease_ends():
    """A builder that died holds the run for the lease and no longer."""
    world = World(lease_seconds=120)
    world.users(population(10))
    world.build(MIDNIGHT)
    world.update(
        "credit_refresh_runs/2026-11-22",
        status="in_progress",
        leaseUntil=MIDNIGHT + timedelta(seconds=120),
        cursor=None,
    )

    early = world.build(MIDNIGHT + timedelta(seconds=119))
    late = world.build(MIDNIGHT + timedelta(seconds=120))

    assert (early.status, early.counts.scanned) == ("in_progress", 0)
    assert (late.status, late.counts.scanned) == ("completed", 10)


def test_a_builder_that_lost_its_lease_can_not_flush(monkeypatch):
    """A flush is guarded by the run document, so a builder that was overtaken adds no job."""
    world = World()
    users = population(30)
    world.users(users)
    take = Packer.take
    overtaken: list[BuildReport | None] = []

    def overtake(packer, planned_by_hour):
        if not overtaken:
            overtaken.append(None)
            overtaken[0] = world.build(MIDNIGHT + timedelta(minutes=10))
        return take(packer, planned_by_hour)

    monkeypatch.setattr(Packer, "take", overtake)
    slow = world.build(MIDNIGHT)

    assert (slow.status, slow.counts.queued) == ("in_progress", 0)
    assert overtaken[0].counts.queued == 30
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_flushes_by_size_lose_nobody_who_was_scanned():
    """With a flush every few jobs there are many checkpoints, and each user is still in one job."""
    world = World(limits=Limits(flush=FlushLimits(flush_jobs=5)), job_size=10)
    users = population(300)
    world.users(users)

    report = world.build()

    assert report.counts.queued == 300
    assert world.run()["flushes"] > 5
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_a_flush_of_several_commits_is_one_checkpoint():
    """Jobs hold users from the whole scan, even if several commits are needed to create them."""
    world = World(limits=Limits(page_users=50, flush=FlushLimits(commit_jobs=1)), job_size=100)
    users = population(320)
    world.users(users)

    report = world.build()

    assert (report.counts.scanned, report.counts.queued, report.counts.jobs_created) == (320, 320, 4)
    assert (world.run()["queuedUsers"], world.run()["jobsCreated"], world.run()["marks"]) == (320, 4, [])
    assert queued(world) == Counter(dict.fromkeys(users, 1))


@pytest.mark.parametrize("scan", ["all", "due"])
@pytest.mark.parametrize("commits", range(2, 6))
def test_the_next_builder_goes_on_with_an_interrupted_flush(scan, commits):
    """It passes over users in the commits that landed, even if it stops after every page."""
    world = World(limits=Limits(page_users=20, flush=FlushLimits(commit_jobs=2)), job_size=5)
    users = population(60) | {"__id7__": {"credits": 1, "plan": "adder"}, "bad": {"credits": "x"}}
    world.users(users)
    yesterday = {"periods": {"adder": "2026-11-20"}, "plan": "adder", "dueOn": "2026-11-21"}
    for user_id in users:
        world.update(f"users/{user_id}", creditRefresh=yesterday)

    with world.faulty(nth("Commit", commits, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.build(MIDNIGHT, scan)
    marks = world.run()["marks"]
    reports = [world.build_a_page(MIDNIGHT + timedelta(minutes=5), scan)]
    while reports[-1].has_more and len(reports) < 20:
        reports.append(world.build_a_page(MIDNIGHT + timedelta(minutes=5), scan))

    assert len(marks) == (commits > 2)  # the first leases the run
    run = world.run()
    assert (run["scannedUsers"], run["queuedUsers"], run["failedUsers"], run["marks"]) == (62, 61, 1, [])
    assert queued(world) == Counter(dict.fromkeys(users.keys() - {"bad"}, 1))


@pytest.mark.parametrize("commits", range(2, 9))
def test_the_next_builder_goes_on_with_a_wrapped_scan_after_an_interrupted_flush(commits):
    """This holds for a flush before the wrap, after it, and across it."""
    world = World(limits=Limits(page_users=20, flush=FlushLimits(commit_jobs=2)), job_size=5)
    users = population(60)
    world.users(users)
    world.build_a_page(MIDNIGHT)

    with world.faulty(nth("Commit", commits, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.build(MIDNIGHT + DAY)
    report = world.build(MIDNIGHT + DAY + timedelta(minutes=5))

    today = [job for job in world.jobs().values() if job["runId"] == "2026-11-23"]
    assert report.status == "completed"
    assert Counter(user_id for job in today for user_id in job["userIds"]) == Counter(dict.fromkeys(users, 1))


def test_a_flush_checkpoint_counts_only_for_the_slots_it_was_made_for():
    """With wider slots users have other positions. Users in jobs are queued again, and no user is left out."""
    world = World(limits=Limits(flush=FlushLimits(commit_jobs=1)), slot_seconds=3600)
    users = population(60)
    world.users(users)
    with world.faulty(nth("Commit", 8, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.build()
    world.settings = Settings(**{**world.settings.model_dump(), "slot_seconds": 86_400})

    world.build(MIDNIGHT + timedelta(minutes=5))
    worked = world.work()

    assert queued(world).keys() == users.keys()
    assert worked.tally.refreshed == 60


def test_a_scan_goes_in_the_order_of_cursors():
    """Cursors compare like Firestore orders users, for ids of any kind."""
    world = World()
    names = [
        "a",
        "a!",
        "a-b",
        "ab",
        "B",
        "ü",
        "數",
        "\uffee",
        "😀",
        "__id-5__",
        "__id7__",
        "__id10__",
        "__id9__",
        "_",
        "__a",
        "~",
    ]
    world.users({name: {"credits": 1} for name in names})

    found = [document.user_id for document in world.context(MIDNIGHT).users().page(None, 100)]

    assert found == sorted(names, key=lambda name: Cursor(name).order)


def test_job_size_one_gives_one_job_per_user():
    """JOB_SIZE=1 uses the same code, with hundreds of jobs in a flush."""
    world = World(job_size=1)
    users = population(500)
    world.users(users)

    report = world.build()
    worked = world.work()

    assert report.counts.jobs_created == 500
    assert (worked.claimed, worked.tally.refreshed) == (500, 500)


def test_a_new_day_supersedes_an_unfinished_run_and_wraps_around():
    """The next day's scan begins where yesterday's stopped, and then scans the users before that place."""
    world = World(limits=Limits(page_users=20))
    users = population(100)
    world.users(users)
    world.build_a_page()

    report = world.build(MIDNIGHT + DAY)

    assert world.run("2026-11-22")["status"] == "superseded"
    assert world.run("2026-11-23")["wrapUntil"] == "user00019"
    assert (report.status, report.counts.scanned) == ("completed", 100)
    today = [job for job in world.jobs().values() if job["runId"] == "2026-11-23"]
    assert Counter(user_id for job in today for user_id in job["userIds"]) == Counter(dict.fromkeys(users, 1))


def test_a_wrapped_scan_resumes_on_either_side_of_the_wrap():
    """A scan that is stopped after every page, before and after the wrap, still reads each user once."""
    world = World(limits=Limits(page_users=20))
    users = population(100)
    world.users(users)

    world.build_a_page(MIDNIGHT)
    world.build_a_page(MIDNIGHT)
    reports = [world.build_a_page(MIDNIGHT + DAY)]
    while reports[-1].has_more and len(reports) < 20:
        reports.append(world.build_a_page(MIDNIGHT + DAY))

    today = [job for job in world.jobs().values() if job["runId"] == "2026-11-23"]
    assert reports[-1].status == "completed"
    assert Counter(user_id for job in today for user_id in job["userIds"]) == Counter(dict.fromkeys(users, 1))


def test_a_due_scan_reads_only_users_whose_day_has_come():
    """A `due` scan reads users by `dueOn`. Weekly users cost nothing in mid-week."""
    world = World()
    world.users(population(20) | {f"w{n}": {"credits": 1, "plan": "weekly"} for n in range(30)})
    world.day(MIDNIGHT)  # the last day of its week
    world.day(MIDNIGHT + DAY)

    context = world.context(MIDNIGHT + 2 * DAY)
    report = build(context, ScanRequest.DUE, 60)

    assert (report.counts.scanned, report.counts.queued) == (20, 20)
    assert context.wire.cost.reads < 40  # including the run, the pause switch and the roll-ups of earlier days


def test_a_due_scan_pages_through_equal_dates():
    """Many users share one `dueOn`. The cursor goes on within that date from call to call."""
    world = World(limits=Limits(page_users=7))
    users = population(40)
    world.users(users)
    world.day()
    reports = []
    while not reports or (reports[-1].has_more and len(reports) < 20):
        reports.append(world.build_a_page(MIDNIGHT + DAY, "due"))

    assert sum(report.counts.queued for report in reports) == 40
    assert len(reports) == 6


def test_auto_reads_everybody_first_then_the_due_then_everybody_weekly():
    """`auto` is `all` on the first day, `due` after, and `all` again seven days later."""
    world = World()
    world.users(population(5))

    scans = []
    for day in range(9):
        world.build(MIDNIGHT + day * DAY, "auto")
        scans.append(world.run((MIDNIGHT + day * DAY).date().isoformat())["scan"])

    assert scans == ["all", *["due"] * 6, "all", "due"]


def test_auto_reads_everybody_when_plans_change():
    """After a change of plans, users whose `dueOn` has not come are read too."""
    world = World()
    world.users(population(5))
    world.build(MIDNIGHT, "auto")
    world.plans = World(
        plans='default_plan = "adder"\n[plans.adder]\nallowance = 9\nperiod = "day"\npolicy = "reset"'
    ).plans

    world.build(MIDNIGHT + DAY, "auto")

    assert world.run("2026-11-23")["scan"] == "all"


def test_an_all_scan_reopens_a_run_completed_as_due():
    """When `all` is asked for after a `due` run of the same day, users that the first scan could not find are read."""
    world = World()
    world.build(MIDNIGHT, "due")
    world.users(population(5))

    again = world.build(NOON, "due")
    reopened = world.build(NOON, "all")

    assert (again.status, again.counts.scanned) == ("completed", 0)
    assert (reopened.status, reopened.counts.queued) == ("completed", 5)
    assert world.run()["scan"] == "all"


def test_plans_deployed_after_a_due_scan_cause_another_scan_that_day():
    """Plans that change on a completed day make `auto` read everybody once more."""
    world = World()
    world.users(population(5))
    world.build(MIDNIGHT - DAY, "auto")
    world.build(MIDNIGHT, "auto")
    world.plans = World(
        plans='default_plan = "adder"\n[plans.adder]\nallowance = 9\nperiod = "day"\npolicy = "reset"'
    ).plans

    scans = [(world.run()["scan"], world.build(NOON, "auto").counts.scanned) for _ in range(2)]

    assert scans == [("due", 5), ("all", 0)]


@pytest.mark.parametrize("fields", [{"runId": "2026-11-21"}, {"runId": "2026-11-21", "status": "unheard of"}], ids=str)
def test_an_unreadable_run_of_the_day_before_does_not_block_a_new_day(fields):
    """The new day begins as if there had been no run before, so `auto` reads everybody."""
    world = World()
    world.users(population(5))
    world.put("credit_refresh_runs/2026-11-21", fields)

    report = world.build(MIDNIGHT, "auto")

    assert (report.status, report.counts.queued, world.run()["scan"]) == ("completed", 5, "all")


def test_adopting_stamps_everybody_and_grants_nothing():
    """After `adopt` balances are unchanged. The first grant comes with the next period."""
    world = World()
    users = population(12) | {"p1": {"credits": 3, "plan": "pro", "createdAt": datetime(2026, 1, 31, tzinfo=UTC)}}
    world.users(users | {"bad": {"credits": "x"}})

    report = world.build(MIDNIGHT, "adopt")
    same_day = world.build(NOON, "all")
    worked_today = world.work(EVENING)
    tomorrow = world.build(MIDNIGHT + DAY, "auto")

    assert (report.status, report.counts.skipped, report.counts.failed) == ("completed", 13, 1)
    assert {user_id: world.user(user_id)["credits"] for user_id in users} == {
        user_id: fields["credits"] for user_id, fields in users.items()
    }
    assert same_day.counts.queued == 0
    assert worked_today.tally.refreshed == 0
    assert world.user("p1")["creditRefresh"]["periods"] == {"pro": "2026-10-31"}
    assert world.user("p1")["creditRefresh"]["anchor"] == "2026-01-31"
    assert world.user("p1")["creditRefresh"]["dueOn"] == "2026-11-30"
    assert "jobId" not in world.user("p1")["creditRefresh"]
    assert (world.run("2026-11-23")["scan"], tomorrow.counts.queued) == ("due", 12)


def test_an_unfinished_adoption_is_finished_before_anybody_is_granted():
    """A scheduled `auto` or `all` call first finishes an adoption that was left unfinished."""
    world = World(limits=Limits(page_users=5))
    users = population(12)
    world.users(users)
    world.build_a_page(MIDNIGHT, "adopt")

    world.build(NOON, "all")

    assert world.run()["scan"] == "adopt"
    assert world.jobs() == {}
    assert all("creditRefresh" in world.user(user_id) for user_id in users)


@pytest.mark.parametrize("scan", ["all", "due", "auto"])
def test_a_preview_counts_and_writes_nothing(scan):
    """`createJobs: false` counts the users who would be queued. No document is created or changed."""
    world = World()
    world.users(population(15))

    report = world.preview(scan=scan)

    assert report.counts.queued == (0 if scan == "due" else 15)
    assert report.counts.jobs_created == 0
    assert world.jobs() == world.all("credit_refresh_runs") == {}
    assert world.all("users") == population(15)


def test_a_preview_of_an_adoption_counts_whom_it_would_stamp():
    """Paused users count too. The adoption would queue nobody, and the preview writes nothing."""
    world = World()
    users = {
        **population(4),
        "paused": {"credits": 5, "creditRefresh": {"paused": True}},
        "typo": {"credits": 5, "plan": "prro"},
        "other": {"name": "no user of ours"},
    }
    world.users(users)

    counts = world.preview(scan="adopt").counts

    assert (counts.scanned, counts.adopted, counts.failed, counts.queued) == (7, 5, 1, 0)
    assert world.all("users") == users
    assert world.all("credit_refresh_runs") == {}


def test_a_paused_system_builds_nothing():
    """A paused builder says so. After the resume it goes on."""
    world = World()
    world.users(population(5))
    world.pause()

    paused = world.build()
    world.pause(paused=False)
    resumed = world.build()

    assert (paused.status, paused.counts.scanned, paused.has_more) == ("paused", 0, True)
    assert (resumed.status, resumed.counts.queued) == ("completed", 5)


def test_bad_users_are_named_on_the_run_and_queued_nowhere():
    """The run document names each failing user with a code."""
    world = World()
    world.users({"good": {"credits": 1}, "bad": {"credits": "x"}, "none": {"name": "no balance"}})

    report = world.build()

    assert (report.counts.queued, report.counts.skipped, report.counts.failed) == (1, 1, 1)
    assert [(error["userId"], error["code"]) for error in report.errors.shown] == [("bad", "bad_balance")]
    assert [(error["userId"], error["code"]) for error in world.run()["errors"]] == [("bad", "bad_balance")]
    assert queued(world) == Counter({"good": 1})


def test_an_adoption_unfinished_at_midnight_goes_on_and_then_the_due_are_found():
    """The next day's first call adopts the rest. The call after it queues only those adopted the day before."""
    world = World(limits=Limits(page_users=5))
    world.users(population(12))
    world.build_a_page(MIDNIGHT, "adopt")

    rest = world.build(MIDNIGHT + DAY, "auto")
    due = world.build(MIDNIGHT + DAY + timedelta(minutes=10), "auto")

    assert (rest.status, rest.counts.scanned, rest.counts.queued) == ("completed", 7, 0)
    assert (due.status, world.run("2026-11-23")["scan"]) == ("completed", "due")
    assert queued(world) == Counter(f"user{n:05d}" for n in range(5))


def test_an_adoption_works_while_the_system_is_paused():
    """An adoption grants nothing. The schedule's own call is held meanwhile."""
    world = World(limits=Limits(page_users=5))
    users = population(12)
    world.users(users)
    world.pause()

    held = world.build(MIDNIGHT, "auto")
    adopted = world.build(NOON, "adopt")

    assert (held.status, adopted.status, adopted.counts.adopted) == ("paused", "completed", 12)
    assert {world.user(user_id)["credits"] for user_id in users} == {5}


def test_a_run_paused_in_the_middle_says_so(monkeypatch):
    """The pause switch is read at every flush. Users scanned by then are kept."""
    world = World(limits=Limits(page_users=20, flush=FlushLimits(flush_jobs=3)), job_size=5)
    users = population(100)
    world.users(users)
    take = Builder._take

    def pausing(builder, page):
        world.pause()
        take(builder, page)

    monkeypatch.setattr(Builder, "_take", pausing)
    paused = world.build()
    monkeypatch.setattr(Builder, "_take", take)
    world.pause(paused=False)
    resumed = world.build()

    assert (paused.status, paused.counts.scanned) == ("paused", 20)
    assert (resumed.status, resumed.counts.scanned) == ("completed", 80)
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_the_new_run_after_a_deletion_makes_jobs_of_its_own():
    """The new run's jobs have other ids than the old ones, and users are still granted once."""
    world = World()
    users = population(20)
    world.users(users)
    world.build()
    world.delete("credit_refresh_runs/2026-11-22")

    again = world.build()
    worked = world.work()

    assert (again.status, again.counts.queued) == ("completed", 20)
    assert (worked.tally.refreshed, worked.tally.skipped) == (20, 20)


def test_plans_deployed_during_a_scan_make_it_begin_again():
    """Everybody is read again, under the new plans, on the same day."""
    world = World()
    world.users(population(5))
    world.build(MIDNIGHT, "auto")
    world.update("credit_refresh_runs/2026-11-22", status="in_progress", cursor="user00002", completedAt=None)
    world.plans = World(
        plans='default_plan = "adder"\n[plans.adder]\nallowance = 9\nperiod = "day"\npolicy = "reset"'
    ).plans

    report = world.build(NOON, "auto")

    run = world.run()
    assert (report.scan, report.scan_reason, report.counts.scanned) == ("all", CHANGED, 5)
    assert (run["generation"], run["completedGeneration"], run["scannedUsers"]) == (1, 1, 5)


def test_what_was_scanned_before_an_outage_is_kept(monkeypatch):
    """A page that can't be read ends the call; the pages before it are not read again."""
    world = World(limits=Limits(page_users=10))
    users = population(50)
    world.users(users)
    read = UserFinder._read
    calls = []

    def failing(finder, each, after, *, more):
        calls.append(after)
        if len(calls) == 4:
            raise SystemFailureError("the database is gone")
        return read(finder, each, after, more=more)

    monkeypatch.setattr(UserFinder, "_read", failing)
    with pytest.raises(SystemFailureError):
        world.build()
    kept = queued(world)
    report = world.build()

    assert kept == Counter(f"user{n:05d}" for n in range(30))
    assert (report.status, report.counts.scanned) == ("completed", 20)
    assert queued(world) == Counter(dict.fromkeys(users, 1))


def test_users_that_can_not_be_adopted_now_are_not_passed_over():
    """Users who were passed over would be granted the next day. So the call fails, and the next call tries again."""
    world = World()
    users = population(12)
    world.users(users)
    spoiled = on("BatchWrite", WireError(grpc.StatusCode.UNAVAILABLE), times=1000)
    with world.faulty(spoiled), pytest.raises(SystemFailureError):
        world.build(MIDNIGHT, "adopt")
    left = [user for user in world.all("users").values() if "creditRefresh" not in user]
    reports = [world.build(NOON, "adopt"), world.build(EVENING, "adopt")]

    assert len(left) == 12
    assert [report.status for report in reports] == ["completed", "completed"]
    assert all("periods" in world.user(user_id)["creditRefresh"] for user_id in users)
