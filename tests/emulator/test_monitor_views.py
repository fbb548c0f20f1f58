"""The monitor's further views against the real emulator: days, failures, jobs, the activity log, and previews."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta

import grpc
import pytest

from shared.core.errors import NotFoundError, NotPossibleError, SystemFailureError
from shared.core.plans import parse_plans
from shared.monitor import failures, operator_actions, previews
from shared.monitor.activity import read_activity
from shared.monitor.days import days_answer, read_days
from shared.monitor.failures import failures_answer, read_failures
from shared.monitor.job_details import job_answer, read_job
from shared.monitor.operator_actions import Operator
from shared.monitor.overview import check_health
from shared.monitor.previews import preview_requeue_job, preview_requeue_run, preview_rescan
from tests.support.faults import Mode, WireError
from tests.support.monitor import comparable_part, scan_figures, story, view
from tests.support.plans import PLANS, SKIPPING
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

TODAY = date(2026, 11, 22)
EVE = Operator("eve@example.com", "a test", "uid-eve")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
REJECTED = WireError(grpc.StatusCode.INVALID_ARGUMENT)


def day_with_failures(users: int = 30, **settings) -> World:
    """A day with failures of three causes.

    Jobs fail by a plan that is gone and by a balance that is text. The builder finds a plan of the wrong type.
    """
    world = World(**{"slot_seconds": 21_600, "job_size": 5, **settings})
    world.users(population(users) | {"odd": {"credits": 1, "plan": 7}})
    world.build()
    for n in range(6):
        world.update(f"users/user{n:05d}", plan="gone")
    for n in range(6, 8):
        world.update(f"users/user{n:05d}", credits="x")
    world.work(EVENING)
    return world


def pages(world, day=TODAY, code=None):
    """Every page of a day's failures."""
    found, cursor = [], None
    while True:
        context = world.context(EVENING)
        page = failures_answer(read_failures(context, day, code, cursor))
        assert context.wire.cost.reads <= 32
        found.append(page)
        cursor = page["cursor"]
        if cursor is None:
            return found


# Failures by cause


def test_causes_of_failures_equal_a_scan_and_the_largest_is_first():
    """A cause has its users, its jobs, users found by the builder, a remedy and an example."""
    world = day_with_failures()
    jobs = [job for job in world.jobs().values() if job["status"] == "failed"]

    causes = view(world, EVENING)["failures"]

    expected = {
        code: sum(any(error["code"] == code for error in job["errors"]) for job in jobs)
        for code in ("unknown_plan", "bad_balance")
    }
    assert [(cause["code"], cause["users"], cause["foundByBuilder"]) for cause in causes] == [
        ("unknown_plan", 6, 0),
        ("bad_balance", 2, 0),
        ("bad_plan", 1, 1),
    ]
    assert {cause["code"]: cause["jobs"] for cause in causes} == {**expected, "bad_plan": 0}
    assert causes[0]["remedy"].startswith("Add the plan to plans.toml")
    assert causes[2]["example"] == "the plan is a whole number, not a text; correct it by hand"


def test_every_failed_user_is_reachable(monkeypatch):
    """The pages name each user once, or only the users of one cause. The first has those found by the builder."""
    monkeypatch.setattr(failures, "PAGE_USERS", 3)
    monkeypatch.setattr(failures, "QUERY_JOBS", 2)
    world = day_with_failures()

    everybody = pages(world)
    of_one = pages(world, code="bad_balance")

    found = [user["userId"] for page in everybody for user in page["users"]]
    assert len(everybody) > 1
    assert sorted(found) == sorted(["odd", *(f"user{n:05d}" for n in range(8))])
    assert sorted(user["userId"] for page in of_one for user in page["users"]) == ["user00006", "user00007"]
    assert everybody[0]["users"][-1]["jobId"] is None or everybody[0]["users"][0]["jobId"] is None


def test_all_users_found_by_the_builder_are_named():
    """The run keeps a hundred of them, the follow-up list keeps all. Without the list the others are only counted."""
    world = World()
    world.users({f"user{n:03d}": {"credits": "x"} for n in range(130)})
    world.build()

    (page,) = pages(world)
    for document_id in world.all("credit_refresh_follow_ups", "credit_refresh_runs/2026-11-22"):
        world.delete(f"credit_refresh_runs/2026-11-22/credit_refresh_follow_ups/{document_id}")
    (without,) = pages(world)

    assert (len(page["users"]), page["unnamedUsers"]) == (130, 0)
    assert (len(without["users"]), without["unnamedUsers"]) == (100, 30)


def test_only_jobs_of_one_cause_are_requeued():
    """The others stay dead letters, and the figures still equal a scan."""
    world = day_with_failures()
    for n in range(6):
        world.update(f"users/user{n:05d}", plan="adder")
    jobs = [job for job in world.jobs().values() if job["status"] == "failed"]
    concerned = [job for job in jobs if any(error["code"] == "unknown_plan" for error in job["errors"])]

    done = operator_actions.requeue_run(world.context(EVENING), EVE, "2026-11-22", "unknown_plan")
    after = view(world, EVENING)

    assert done.jobs == len(concerned)
    assert after["failedJobs"] == len(jobs) - len(concerned)
    assert all(cause["code"] != "unknown_plan" for cause in after["failures"])
    assert without_hours(comparable_part(after)) == without_hours(scan_figures(world, "2026-11-22"))


def without_hours(figures):
    """The figures without times. A requeued job has lost the times of its earlier work; the roll-up has them."""
    return {name: figure for name, figure in figures.items() if name not in ("done", "averageProcessingTime")}


# Previews


def test_a_requeue_s_preview_counts_corrected_users():
    """It has jobs, users and cost. It counts users who would fail again by their own data."""
    world = day_with_failures()
    for n in range(4):
        world.update(f"users/user{n:05d}", plan="adder")
    before = (world.jobs(), world.all("users"))

    preview = preview_requeue_run(world.context(EVENING), TODAY, "unknown_plan")
    of_all = preview_requeue_run(world.context(EVENING), TODAY, None)

    assert (preview["users"], preview["checkedUsers"], preview["readyUsers"], preview["failingUsers"]) == (6, 6, 4, 2)
    assert (of_all["users"], of_all["readyUsers"], of_all["failingUsers"]) == (8, 4, 4)
    assert of_all["jobs"] == view(world, EVENING)["failedJobs"]
    reads, writes = preview["cost"]["reads"], preview["cost"]["writes"]
    assert preview["cost"]["usd"] == pytest.approx((reads * 0.03 + writes * 0.09) / 100_000)
    assert (world.jobs(), world.all("users")) == before


def test_a_requeue_s_preview_of_one_job_counts_only_a_dead_letter():
    """Any other job counts 0. A job that does not exist is refused."""
    world = day_with_failures()
    dead = next(job_id for job_id, job in world.jobs().items() if job["status"] == "failed")
    well = next(job_id for job_id, job in world.jobs().items() if job["status"] == "completed")

    assert preview_requeue_job(world.context(EVENING), dead)["jobs"] == 1
    assert preview_requeue_job(world.context(EVENING), well)["jobs"] == 0
    with pytest.raises(NotFoundError, match="no such job"):
        preview_requeue_job(world.context(EVENING), "nothing")


def test_a_rescan_s_preview_counts_the_users():
    """A count costs a read for up to a thousand users."""
    world = day_with_failures(users=12)
    context = world.context(EVENING)

    preview = preview_rescan(context, TODAY)

    assert (preview["users"], preview["isAtLeast"], preview["cost"]["reads"]) == (13, False, 13)
    assert context.wire.cost.reads == 5


def previewed_and_queued(world, now=NOON):
    """How many users the preview of a rescan counts, and how many the builder then queues."""
    preview = preview_rescan(world.context(now), TODAY)["queuedUsersAtMost"]
    operator_actions.rescan(world.context(now), EVE, TODAY)
    report = world.build(now, "auto")
    assert report.status == "completed"
    return preview, report.counts.queued


@pytest.mark.parametrize("worked_until", [MIDNIGHT - HOUR, MIDNIGHT + 7 * HOUR, EVENING])
def test_a_rescan_s_preview_says_how_many_it_will_queue(worked_until):
    """It counts users in open jobs, new and corrected users, but none who was refreshed or is due on another day."""
    world = World(job_size=5)
    world.users(population(40) | {f"weekly{n}": {"credits": 5, "plan": "weekly"} for n in range(5)})
    world.users({"odd": {"credits": "x", "plan": "adder"}, "guest": {"name": "no balance"}})
    world.build()
    refreshed = world.work(worked_until).tally.refreshed
    world.users({"late": {"credits": 5, "plan": "adder"}})
    world.update("users/odd", credits=5)

    preview, queued = previewed_and_queued(world, EVENING)

    assert preview == queued == 45 - refreshed + 2


@pytest.mark.parametrize(
    ("odd", "more"),
    [
        ({"paused": {"credits": 5, "plan": "adder", "creditRefresh": {"paused": True}}}, 1),
        ({"odd": {"credits": "x"}}, 1),
        ({"lost": {"credits": 5, "plan": "gone"}}, 1),
        ({"guest": {"name": "no balance"}}, 0),
    ],
)
def test_a_rescan_s_preview_may_count_too_many(odd, more):
    """It counts users who are paused or would fail again, because reading each user would cost too much."""
    world = World()
    world.users(population(10) | odd)
    world.build()

    preview, queued = previewed_and_queued(world)

    assert (preview, queued) == (10 + more, 10)


def test_a_rescan_s_preview_counts_no_full_users_who_are_left_alone():
    """It counts users below the allowance, even one who has spent today's grant and is not queued."""
    world = World(plans=SKIPPING)
    world.users({f"user{n}": {"credits": 50} for n in range(20)})
    for day in range(2):
        world.build(MIDNIGHT - (1 - day) * DAY, "auto")
        world.work(MIDNIGHT - (1 - day) * DAY + HOUR)
    for n in range(3):
        world.update(f"users/user{n}", credits=7)

    preview, queued = previewed_and_queued(world)
    world.work(EVENING)
    world.update("users/user0", credits=7)
    again = previewed_and_queued(world, EVENING)

    assert (preview, queued) == (3, 3)
    assert again == (1, 0)


def test_after_a_change_of_plans_a_rescan_s_preview_counts_everybody():
    """Stamps say when users are due under the plans of the last scan."""
    world = World()
    world.users(population(10))
    world.build()
    world.work(EVENING)
    world.plans = parse_plans(PLANS.replace("allowance = 10", "allowance = 11"))

    assert previewed_and_queued(world, EVENING) == (10, 0)


def test_a_rescan_of_an_adoption_queues_nobody():
    """An adoption grants nothing."""
    world = World()
    world.users(population(10))
    world.build(MIDNIGHT, "adopt")
    world.users(population(12))

    assert preview_rescan(world.context(NOON), TODAY)["queuedUsersAtMost"] == 0


def test_a_rescan_s_preview_has_null_if_due_users_can_not_be_counted(monkeypatch):
    """The index is missing, or there are too many users. The count of all users is shown all the same."""
    world = World()
    world.users(population(10))
    world.build()
    without = lambda _n, method, request: (  # noqa: E731
        WireError(grpc.StatusCode.FAILED_PRECONDITION)
        if method == "RunAggregationQuery" and "dueOn" in str(request)
        else None
    )

    with world.faulty(without):
        preview = preview_rescan(world.context(NOON), TODAY)
    monkeypatch.setattr(previews, "COUNTED_USERS_MAX", 10)
    of_many = preview_rescan(world.context(NOON), TODAY)

    assert (preview["users"], preview["queuedUsersAtMost"]) == (10, None)
    assert (of_many["users"], of_many["isAtLeast"], of_many["queuedUsersAtMost"]) == (10, True, None)


# A job


def test_a_job_s_view_has_all_its_users():
    """Failed users come first. The view also has the attempts and a filter for the log."""
    world = day_with_failures()
    job_id, job = next((job_id, job) for job_id, job in world.jobs().items() if job["status"] == "failed")

    answer = job_answer(read_job(world.context(EVENING), job_id))

    assert sorted(user["userId"] for user in answer["users"]) == sorted(job["userIds"])
    assert answer["users"][0]["outcome"] == "failed"
    assert answer["users"][0]["code"] in ("unknown_plan", "bad_balance")
    assert {user["granted"] for user in answer["users"] if user["outcome"] == "refreshed"} <= {10}
    assert (answer["attempts"], answer["maxAttempts"]) == (1, 3)
    assert answer["logFilter"] == f'jsonPayload.jobId="{job_id}"'


def test_users_of_a_pending_job_have_no_outcome():
    world = World()
    world.users(population(3))
    world.build()

    answer = job_answer(read_job(world.context(MIDNIGHT), next(iter(world.jobs()))))

    assert {user["outcome"] for user in answer["users"]} == {None}
    assert answer["status"] == "pending"


# Days


def test_the_figures_of_each_day_equal_a_scan():
    """The figures are users by outcome, cost, and dead letters that wait."""
    world = World(slot_seconds=86_400)
    world.users(population(10))
    for n in range(3):
        world.build(MIDNIGHT + n * DAY)
        if n == 1:
            world.update("users/user00001", credits="x")
        world.work(MIDNIGHT + n * DAY + HOUR)
    context = world.context(MIDNIGHT + 2 * DAY + 2 * HOUR)

    answer = days_answer(context, read_days(context))

    assert context.wire.cost.reads == 30 * 9
    assert len(answer["days"]) == 30
    for day in answer["days"][-3:]:
        scan = scan_figures(world, day["runId"])
        assert {name: day[name] for name in ("refreshed", "skipped", "failed", "pending")} == scan["users"]
        assert day["deadLetters"] == scan["failedJobs"]
        assert {name: day["cost"][name] for name in ("reads", "writes")} == scan["cost"]
    assert answer["days"][0]["status"] == "not_started"
    so_far = answer["month"]["soFar"]
    assert so_far["reads"] == sum(day["cost"]["reads"] for day in answer["days"] if day["runId"] >= "2026-11-01")


def test_the_forecast_goes_on_at_the_pace_of_the_days_that_had_a_run():
    """It adds the mean of these days for today and each day to come."""
    world = World(slot_seconds=86_400)
    world.users(population(10))
    for n in range(2):
        world.build(MIDNIGHT + n * DAY)
        world.work(MIDNIGHT + n * DAY + HOUR)
    context = world.context(MIDNIGHT + DAY + 2 * HOUR)

    answer = days_answer(context, read_days(context))

    first, second = (day["cost"] for day in answer["days"][-2:])
    days_left = 8  # from the 23rd to the 30th
    expected = first["reads"] + max(second["reads"], days_left * first["reads"])
    assert answer["month"]["forecast"]["reads"] == expected


def test_without_a_past_day_there_is_no_forecast():
    context = World().context(NOON)

    assert days_answer(context, read_days(context))["month"]["forecast"] is None


def test_the_view_of_a_past_day_has_nothing_of_today():
    """It has no lag, no worker and no health, and only jobs and actions of that day."""
    world = World(slot_seconds=86_400)
    world.users(population(4))
    world.day()
    operator_actions.pause(world.context(NOON), EVE)
    operator_actions.resume(world.context(NOON + DAY), EVE)
    world.build(MIDNIGHT + DAY)
    world.work(MIDNIGHT + DAY + HOUR)

    answer = view(world, NOON + DAY, "2026-11-22")

    assert (answer["queueLagSeconds"], answer["worker"], answer["health"], answer["nextScheduledRun"]) == (None,) * 4
    assert {job["runId"] for job in answer["recentJobs"]} == {"2026-11-22"}
    assert [entry["action"] for entry in answer["recentActivity"] if entry["kind"] == "action"] == ["pause"]


# The pause


def test_a_pause_keeps_who_paused_why_and_until_when():
    """It outlasts any number of later actions, ends by itself, and holds the builder until then."""
    world = World()
    world.users(population(5))
    until = NOON + 3 * HOUR

    assert operator_actions.pause(world.context(NOON), EVE, until)
    for n in range(60):
        operator_actions.pause_user(world.context(NOON), EVE, "user00001", paused=n % 2 == 0)
    answer = view(world, NOON + HOUR)["pause"]

    assert (answer["by"], answer["reason"], answer["since"], answer["until"]) == (
        "eve@example.com",
        "a test",
        NOON.isoformat(),
        until.isoformat(),
    )
    assert world.build(until - timedelta(seconds=1)).status == "paused"
    assert view(world, until)["paused"] is False
    assert world.build(until).status == "completed"
    assert world.work(until).claimed > 0


def test_a_second_pause_moves_the_end():
    """Its beginning stays, and the same end again changes nothing."""
    world = World()

    changed = [
        operator_actions.pause(world.context(NOON), EVE),
        operator_actions.pause(world.context(NOON + HOUR), EVE, NOON + 3 * HOUR),
        operator_actions.pause(world.context(NOON + HOUR), EVE, NOON + 3 * HOUR),
    ]

    assert changed == [True, True, False]
    assert world.get("credit_refresh_control/state")["pausedAt"] == NOON
    with pytest.raises(NotPossibleError, match="choose a later moment"):
        operator_actions.pause(world.context(NOON), EVE, NOON)


def test_a_resume_leaves_only_its_moment():
    """Health needs the moment. A pause that is set by hand needs only the field `paused`."""
    world = World()
    operator_actions.pause(world.context(NOON), EVE, NOON + HOUR)
    operator_actions.resume(world.context(NOON), EVE)

    assert world.get("credit_refresh_control/state") == {"paused": False, "resumedAt": NOON}
    world.pause()
    assert view(world, NOON)["pause"]["by"] is None
    operator_actions.resume(world.context(NOON), EVE)
    operator_actions.pause(world.context(NOON), EVE)
    assert "resumedAt" not in (world.get("credit_refresh_control/state") or {})


def test_a_pause_alone_is_healthy_and_reported():
    """It excuses the lag that it causes. Other faults are reported beside it."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build()
    world.work(MIDNIGHT - HOUR)  # a heartbeat
    operator_actions.pause(world.context(MIDNIGHT), EVE)
    world.work(NOON)

    assert [reason.code for reason in check_health(world.context(NOON))] == ["paused"]
    answer = view(world, NOON)
    assert answer["health"]["status"] == "paused"
    assert answer["pause"]["usersLate"] == 5
    assert [reason.code for reason in check_health(world.context(NOON + HOUR))] == ["paused", "no_worker_heartbeat"]


def test_an_outage_of_writes_is_reported_within_45_minutes():
    """Each call of the worker fails and releases its job. The lag counts from when the job was due."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build(MIDNIGHT, "auto")
    refused = lambda _n, method, request: (  # noqa: E731
        Mode.REFUSED if method == "BatchWrite" and "/users/" in str(request) else None
    )
    found = {}
    with world.faulty(refused):
        for minutes in range(1, 46, 4):
            now = MIDNIGHT + timedelta(minutes=minutes)
            with suppress(SystemFailureError):
                world.work(now)
            found[minutes] = [reason.code for reason in check_health(world.context(now))]

    assert found[29] == []
    assert found[33] == found[45] == ["queue_lag"]
    answer = view(world, MIDNIGHT + 45 * MINUTE)
    assert (answer["queueLagSeconds"], answer["health"]["status"]) == (45 * 60, "unhealthy")


def test_a_pause_of_ten_days_is_paused_on_each_of_them():
    """Builder and worker are called all the while. The day after the pause is an ordinary one."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build(MIDNIGHT, "auto")
    operator_actions.pause(world.context(MIDNIGHT), EVE)
    answer = set()
    for day in range(10):
        noon = NOON + day * DAY
        world.build(noon, "auto")
        world.work(noon)
        answer.add(tuple((reason.code, reason.is_failure) for reason in check_health(world.context(noon))))
    operator_actions.resume(world.context(NOON + 9 * DAY), EVE)

    world.build(MIDNIGHT + 10 * DAY, "auto")
    world.work(MIDNIGHT + 10 * DAY + HOUR)

    assert answer == {(("paused", False),)}
    assert check_health(world.context(MIDNIGHT + 10 * DAY + HOUR)) == ()
    assert {user["credits"] for user in world.all("users").values()} == {15}


@pytest.mark.parametrize("ends_by_itself", [False, True])
def test_just_after_a_pause_of_three_days_all_is_well(ends_by_itself):
    """What the pause held has half an hour for the jobs, and an hour for the scan."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build(MIDNIGHT, "auto")
    resumed = NOON + 3 * DAY
    operator_actions.pause(world.context(MIDNIGHT), EVE, resumed if ends_by_itself else None)
    for hours in range(3 * 24 + 12):
        world.build(MIDNIGHT + hours * HOUR, "auto")
    if not ends_by_itself:
        operator_actions.resume(world.context(resumed), EVE)
    found = {}
    for minutes in (0, 30, 31, 61):
        now = resumed + minutes * MINUTE
        world.put("credit_refresh_control/worker", {"lastRunAt": now})
        found[minutes] = [reason.code for reason in check_health(world.context(now))]

    assert found == {0: [], 30: [], 31: ["queue_lag"], 61: ["queue_lag", "builder_unfinished"]}


@pytest.mark.parametrize(("scan", "message"), [("auto", "still open"), ("due", "never read")])
def test_a_scan_that_nothing_proves_is_told(scan, message):
    """A schedule that calls `due` never counts, and one call a day counts once. It costs health no read."""
    world = World()
    world.users(population(5))
    if scan == "auto":
        world.build(MIDNIGHT - DAY, "auto")
        world.work(EVENING - DAY)
        world.users({"user00003": {"credits": 0, "plan": "adder"}})
    world.build(MIDNIGHT, scan)
    world.work(NOON)
    context = world.context(NOON)

    (reason,) = check_health(context)

    assert (reason.code, reason.is_failure) == ("not_proved", False)
    assert message in reason.message
    assert context.wire.cost.reads <= 6
    assert check_health(world.context(MIDNIGHT + 3 * HOUR)) == ()


def test_an_ordinary_day_is_proved():
    """So is a day on which the proof fails and everybody is read."""
    world = World()
    world.users(population(5))
    for day in range(3):
        for minutes in range(0, 60, 10):
            world.build(MIDNIGHT + day * DAY + minutes * MINUTE, "auto")
            world.work(MIDNIGHT + day * DAY + minutes * MINUTE)
            assert check_health(world.context(MIDNIGHT + day * DAY + minutes * MINUTE)) == ()
        world.work(EVENING + day * DAY)
        assert check_health(world.context(EVENING + day * DAY)) == ()
        if day:
            world.users({"user00003": {"credits": 0, "plan": "adder"}})

    assert [world.run(f"2026-11-{22 + day}")["scan"] for day in range(3)] == ["all", "due", "all"]


def test_a_broken_user_is_in_the_figures_of_each_day():
    """This includes days with a scan by date."""
    world = World(standing_failures_max=0)
    world.users(population(3) | {"odd": {"credits": "x"}})
    for day in range(4):
        for number in range(3):
            world.build(MIDNIGHT + day * DAY + number * 10 * MINUTE, "auto")
        now = EVENING + day * DAY
        world.work(now)
        answer = view(world, now)
        assert (answer["users"]["failed"], answer["standingFailures"], answer["errorsByCode"]) == (
            1,
            1,
            {"bad_balance": 1},
        )
        assert [reason["code"] for reason in answer["health"]["reasons"]] == ["standing_failures"]
    assert world.run("2026-11-25")["scan"] == "due"


# Rescans and set-up


def test_a_rescan_that_was_just_requested_is_healthy():
    """The overview shows it until the scan is complete."""
    world = World()
    world.users(population(5))
    world.day()

    operator_actions.rescan(world.context(EVENING), EVE, TODAY)

    assert check_health(world.context(EVENING)) == ()
    answer = view(world, EVENING)
    assert (answer["rescanning"], answer["health"]["status"]) == (True, "ok")
    world.build(EVENING)
    assert view(world, EVENING)["rescanning"] is False


@pytest.mark.parametrize(("hours", "codes"), [(1, []), (1.1, ["builder_unfinished"])])
def test_a_rescan_that_takes_more_than_an_hour_is_reported(hours, codes):
    world = World()
    world.users(population(5))
    world.build()
    world.work(NOON)
    operator_actions.rescan(world.context(NOON), EVE, TODAY)
    later = NOON + timedelta(hours=hours)
    world.work(later)

    assert [reason.code for reason in check_health(world.context(later))] == codes


def test_a_rescan_while_jobs_wait_counts_each_user_once():
    """At every step the figures add up to all users. At the end they equal a scan."""
    world = World(job_size=5, slot_seconds=21_600)
    world.users(population(40))
    world.build()
    world.work(MIDNIGHT + 7 * HOUR)
    now = MIDNIGHT + 8 * HOUR
    steps = [view(world, now)["users"]]
    operator_actions.rescan(world.context(now), EVE, TODAY)
    world.build(now, "auto")
    steps.append(view(world, now)["users"])
    world.work(MIDNIGHT + 13 * HOUR)
    steps.append(view(world, MIDNIGHT + 13 * HOUR)["users"])
    world.work(EVENING)
    last = view(world, EVENING)

    assert [sum(step.values()) for step in (*steps, last["users"])] == [40, 40, 40, 40]
    assert last["users"] == {"refreshed": 40, "skipped": 0, "failed": 0, "pending": 0}
    assert sum(hour["planned"] for hour in last["hours"]) == 40
    assert last["users"] == scan_figures(world, "2026-11-22")["users"]


def test_rescans_one_after_another_count_each_user_once():
    """The jobs that the first rescan replaced are closed unread. Their users do not count as settled."""
    world = World(job_size=5, slot_seconds=21_600)
    world.users(population(40))
    world.build()
    world.work(MIDNIGHT + 7 * HOUR)
    for hours in (8, 14):
        operator_actions.rescan(world.context(MIDNIGHT + hours * HOUR), EVE, TODAY)
        world.build(MIDNIGHT + hours * HOUR, "auto")
        world.work(MIDNIGHT + (hours + 5) * HOUR)
        figures = view(world, MIDNIGHT + (hours + 5) * HOUR)["users"]
        assert figures == scan_figures(world, "2026-11-22")["users"]
        assert sum(figures.values()) == 40
    world.work(EVENING)

    assert view(world, EVENING)["users"] == {"refreshed": 40, "skipped": 0, "failed": 0, "pending": 0}


def test_a_user_who_was_refreshed_and_fails_in_a_rescan_counts_once():
    """The newest scan's word counts. Once the document is corrected, the user counts as refreshed again."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build()
    world.work(MIDNIGHT + HOUR)
    found = []
    for hours, balance in ((2, "text"), (4, "text"), (6, 15)):
        world.update("users/user00001", credits=balance)
        now = MIDNIGHT + hours * HOUR
        operator_actions.rescan(world.context(now), EVE, TODAY)
        world.build(now, "auto")
        world.work(now + HOUR)
        found.append(view(world, now + HOUR)["users"])
        assert found[-1] == scan_figures(world, "2026-11-22")["users"]

    broken = {"refreshed": 4, "skipped": 0, "failed": 1, "pending": 0}
    assert found == [broken, broken, {"refreshed": 5, "skipped": 0, "failed": 0, "pending": 0}]


def world_of_users_who_are_due_again() -> World:
    """Five users who were refreshed, and whom a second scan has queued. The week begins on another day since then."""
    world = World(slot_seconds=86_400)
    world.users(population(5, plan="weekly"))
    world.build()
    world.work(MIDNIGHT + HOUR)
    world.plans = parse_plans('week_start = "sunday"\n' + PLANS)
    world.build(MIDNIGHT + 2 * HOUR, "auto")
    return world


def test_users_who_are_granted_again_on_the_same_day_count_once():
    """They are pending until their second job comes."""
    world = world_of_users_who_are_due_again()
    before = view(world, MIDNIGHT + 2 * HOUR)
    world.work(MIDNIGHT + 3 * HOUR)
    after = view(world, MIDNIGHT + 3 * HOUR)

    assert before["users"] == {"refreshed": 0, "skipped": 0, "failed": 0, "pending": 5}
    assert after["users"] == {"refreshed": 5, "skipped": 0, "failed": 0, "pending": 0}
    assert len(list(world.receipts())) == 10


def test_users_who_were_granted_twice_count_once_after_a_further_rescan():
    """The third scan meets nobody who is due."""
    world = world_of_users_who_are_due_again()
    world.work(MIDNIGHT + 3 * HOUR)
    now = MIDNIGHT + 4 * HOUR
    operator_actions.rescan(world.context(now), EVE, TODAY)
    world.build(now, "auto")

    assert view(world, now)["users"] == {"refreshed": 5, "skipped": 0, "failed": 0, "pending": 0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"creditRefresh": "text"}, {"refreshed": 4, "skipped": 0, "failed": 1, "pending": 0}),
        ({"creditRefresh": {}}, {"refreshed": 5, "skipped": 0, "failed": 0, "pending": 0}),
    ],
    ids=["the stamp is no map", "the stamp is gone"],
)
def test_a_user_whose_stamp_was_lost_after_the_refresh_counts_once(change, expected):
    """Nothing in the document tells that a job of the day has refreshed the user before."""
    world = World(slot_seconds=86_400)
    world.users(population(5))
    world.build()
    world.work(MIDNIGHT + HOUR)
    world.update("users/user00001", **change)
    now = MIDNIGHT + 2 * HOUR
    operator_actions.rescan(world.context(now), EVE, TODAY)
    world.build(now, "auto")
    before = view(world, now)["users"]
    world.work(now + HOUR)

    assert sum(before.values()) == 5
    assert view(world, now + HOUR)["users"] == expected


@pytest.mark.parametrize(("most", "codes"), [(2, ["standing_failures"]), (3, [])])
def test_standing_failures_above_their_limit_are_reported(most, codes):
    """Each has the day of the first failure."""
    world = World(standing_failures_max=most)
    world.users(population(3) | {f"odd{n}": {"credits": "x"} for n in range(3)})
    for n in range(2):
        world.build(MIDNIGHT + n * DAY)
        world.work(MIDNIGHT + n * DAY + HOUR)

    answer = view(world, MIDNIGHT + DAY + HOUR)
    (page,) = pages(world, day=TODAY + timedelta(days=1))

    assert [reason["code"] for reason in answer["health"]["reasons"]] == codes
    assert answer["standingFailures"] == 3
    assert {(user["userId"][:3], user["since"]) for user in page["users"]} == {("odd", "2026-11-22")}


def test_the_set_up_is_shown_until_its_steps_are_done():
    """Its steps are done when builder and worker have run and users were found."""
    world = World()
    steps = [view(world, MIDNIGHT)["setup"]]
    world.build(MIDNIGHT)
    steps.append(view(world, MIDNIGHT)["setup"])
    world.work(MIDNIGHT)
    steps.append(view(world, MIDNIGHT)["setup"])
    world.users(population(3))
    world.build(MIDNIGHT + DAY)
    steps.append(view(world, MIDNIGHT + DAY)["setup"])

    assert [sum(step.values()) if step else None for step in steps] == [0, 2, 3, None]
    assert view(world, MIDNIGHT + 2 * DAY)["setup"] is None


def test_dead_letters_name_their_days():
    """The page links to these days."""
    world = World(slot_seconds=86_400)
    world.users(population(3))
    world.build()
    world.update("users/user00001", credits="x")
    world.work(EVENING)
    world.build(MIDNIGHT + DAY)
    world.work(MIDNIGHT + DAY)

    (reason,) = view(world, MIDNIGHT + DAY)["health"]["reasons"]

    assert (reason["code"], reason["runIds"]) == ("dead_letters", ["2026-11-22"])


# The activity log


def test_the_activity_log_has_every_action_newest_first():
    """It can be filtered by actor and action. An entry has actor and result, and expires after ninety days."""
    world = World()
    world.users({"ann": {"credits": 5, "plan": "adder"}, "bad": {"credits": "x"}})
    bob = Operator("bob@example.com", None, "uid-bob")
    for n in range(30):
        act = operator_actions.resume if n % 2 else operator_actions.pause
        act(world.context(NOON + timedelta(seconds=n)), EVE)
    operator_actions.refresh(world.context(NOON + HOUR), bob, ["ann", "bad"])
    context = world.context(NOON + HOUR)

    first = read_activity(context, None, None, None)
    rest = read_activity(context, first["cursor"], None, None)
    of_bob = read_activity(context, None, "uid-bob", None)
    resumes = read_activity(context, None, "eve@example.com", "resume")

    times = [entry["time"] for entry in (*first["entries"], *rest["entries"])]
    assert (len(times), rest["cursor"]) == (31, None)
    assert times == sorted(times, reverse=True)
    (refreshed,) = of_bob["entries"]
    assert (refreshed["actor"], refreshed["result"], refreshed["failed"]) == (
        "bob@example.com",
        "1 refreshed, 0 with nothing due, 1 failed",
        True,
    )
    assert len(resumes["entries"]) == 15
    expiries = {document["expireAt"] - document["time"] for document in world.all("credit_refresh_activity").values()}
    assert expiries == {90 * DAY}


def test_the_recent_activity_marks_a_refresh_that_failed():
    world = World()
    world.users({"bad": {"credits": "x"}})
    operator_actions.refresh(world.context(NOON), EVE, ["bad"])

    (entry,) = view(world, NOON)["recentActivity"]

    assert (entry["action"], entry["failed"]) == ("refresh", True)


# Grants without a run


def test_a_request_s_receipt_is_in_the_user_s_history_and_in_no_figure():
    """Totals and recent jobs are those of the run alone."""
    world = World()
    world.users({"ann": {"credits": 5, "plan": "adder", "creditRefresh": {"refreshRequested": True}}})
    world.work(NOON)

    answer, history = view(world, NOON), story(world, "ann", NOON)

    (receipt,) = history["receipts"]
    assert (receipt["kind"], receipt["granted"], receipt["after"]) == ("request", 10, 15)
    assert (answer["totalJobs"], answer["recentJobs"], sum(answer["users"].values())) == (0, [], 0)
    assert job_answer(read_job(world.context(NOON), receipt["jobId"]))["kind"] == "request"
