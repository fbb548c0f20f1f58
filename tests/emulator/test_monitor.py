"""The monitor against the real emulator: figures that equal a scan, a user's history, health, operator actions."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from functools import partial

import grpc
import pytest

from shared.core.errors import ConflictError, NotFoundError, NotPossibleError
from shared.core.figures import DURATION_RATIO
from shared.core.packing import FlushLimits
from shared.monitor import operator_actions
from shared.monitor.operator_actions import Operator
from shared.monitor.overview import check_health
from shared.services.limits import Limits
from tests.support.faults import Mode, ProcessEnded, WireError, nth, on, on_user
from tests.support.invariants import assert_granted_once, assert_settled
from tests.support.monitor import comparable_part, plans_scanned, scan_figures, story, view
from tests.support.plans import ONLY_ADDER
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

TODAY = "2026-11-22"
TOMORROW = MIDNIGHT + DAY
EVE = Operator("eve", "a test")
REJECTED = WireError(grpc.StatusCode.INVALID_ARGUMENT)
HOUR = timedelta(hours=1)


def two_days() -> World:
    """Yesterday has late and failed jobs. Today has jobs in every state, and retry jobs."""
    world = World(job_size=3, slot_seconds=21_600, max_attempts=2)
    world.users(population(60, plan="adder") | {"odd": {"credits": "x"}, "lost": {"credits": 1, "plan": "gone"}})
    world.build(MIDNIGHT)
    world.update("users/user00001", credits="turned bad")
    world.work(MIDNIGHT + timedelta(hours=7))
    world.work(MIDNIGHT + timedelta(hours=25))  # the rest, past midnight
    world.build(TOMORROW)
    jobs = [job for job in world.jobs().values() if job["runId"] == "2026-11-23"]
    due_soon = [job["userIds"] for job in jobs if job["scheduledFor"] <= TOMORROW + 6 * HOUR]
    turned_bad = next(user_id for user_ids in due_soon for user_id in user_ids if "user00003" not in user_ids)
    world.update(f"users/{turned_bad}", credits="turned bad")
    passing = WireError(grpc.StatusCode.INTERNAL)
    with world.faulty(on_user("user00003", passing)):
        world.work(TOMORROW + timedelta(hours=7))
    with world.faulty(nth("Commit", 2, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.work(TOMORROW + timedelta(hours=13), jobs_max=1)
    return world


@pytest.fixture(scope="module")
def days():
    return two_days()


@pytest.mark.parametrize("run_id", [TODAY, "2026-11-23", "2026-11-24"])
def test_the_figures_equal_a_scan(days, run_id):
    """This holds for two days with jobs in every state, and for a day that has not begun."""
    answer = view(days, TOMORROW + timedelta(hours=13), run_id)

    assert scan_figures(days, run_id) == comparable_part(answer)


def test_the_two_days_hold_jobs_in_every_state(days):
    """This keeps the comparison above from passing on days without such jobs."""
    first, second = view(days, NOON, TODAY), view(days, NOON, "2026-11-23")

    assert (first["pendingJobs"], first["failedJobs"], first["users"]["failed"]) == (0, 1, 3)
    assert all(second[f"{state}Jobs"] for state in ("pending", "processing", "completed", "failed"))
    assert any("-attempt2" in job_id for job_id in days.jobs())


def test_a_view_takes_few_reads_however_many_jobs_there_are():
    """A view takes at most 40, with a full list of recent jobs, with dead letters and with every shard in use."""
    world = World(job_size=1, slot_seconds=86_400)
    world.users(population(150))
    world.build()
    for n in range(8):
        world.update(f"users/user{n:05d}", credits="turned bad")
    world.work(EVENING, jobs_max=120)

    answer = view(world, EVENING)

    assert (answer["completedJobs"] + answer["failedJobs"], answer["pendingJobs"]) == (120, 30)
    assert len(answer["recentJobs"]) == 16
    assert 33 <= answer["reads"] <= 40
    assert answer["writes"] == 0


def test_a_day_without_run_jobs_and_worker_has_zeros_and_nulls():
    answer = view(World(), NOON)

    assert (answer["runStatus"], answer["totalJobs"], answer["successRate"], answer["lastRunTime"]) == (
        "not_started",
        0,
        None,
        None,
    )
    assert answer["cost"] == {"reads": 0, "writes": 0, "usd": 0, "usdPer100kUsers": None}
    assert answer["nextScheduledRun"] == "2026-11-22T12:05:00+00:00"
    assert [hour["hour"] for hour in answer["hours"]] == list(range(24))


def test_a_day_of_25_hours_has_as_many_rows():
    """Clocks in New York are set back on 1 November 2026."""
    answer = view(World(timezone="America/New_York"), MIDNIGHT, "2026-11-01")

    assert len(answer["hours"]) == 25


def test_users_are_planned_for_the_hours_of_their_slots():
    """All users who were queued are planned. They are done in the hour in which they were settled."""
    world = World(slot_seconds=3600)
    world.users(population(100))
    world.build()
    world.work(MIDNIGHT + timedelta(hours=2, minutes=5))

    hours = view(world, NOON)["hours"]

    assert sum(hour["planned"] for hour in hours) == 100
    assert len({hour["hour"] for hour in hours if hour["planned"]}) > 15
    assert {hour["hour"]: hour["done"] for hour in hours if hour["done"]} == {
        2: sum(hour["planned"] for hour in hours[:3])
    }


# Users by plan


def on_three_plans(adders: int = 12) -> dict[str, dict]:
    """Users who are due on three plans. One user names no plan. Two others fail and are not queued."""
    return {
        **population(adders),
        **{f"free{n}": {"credits": 5, "plan": "free"} for n in range(5)},
        "nameless": {"credits": 5},
        "pro": {"credits": 5, "plan": "pro", "createdAt": MIDNIGHT - 40 * DAY},
        "odd": {"credits": "x", "plan": "free"},
        "lost": {"credits": 1, "plan": "gone"},
    }


def by_plan(answer: dict) -> dict[str, int]:
    return {each["plan"]: each["users"] for each in answer["plans"]}


def test_users_by_plan_equal_a_scan():
    """Each user is counted once, under the plan that the scan found. A user who fails counts under no plan."""
    world = World(job_size=2, limits=Limits(page_users=4, flush=FlushLimits(flush_jobs=2, commit_jobs=1)))
    world.users(on_three_plans())
    world.build()

    answer = view(world, NOON)

    assert by_plan(answer) == plans_scanned(world, TODAY) == {"adder": 12, "free": 6, "pro": 1}
    assert [each["plan"] for each in answer["plans"]] == ["adder", "free", "pro"]
    assert sum(each["share"] for each in answer["plans"]) == pytest.approx(1)
    assert sum(by_plan(answer).values()) == world.run()["queuedUsers"]
    assert answer["usersOfUncountedPlans"] == 0


@pytest.mark.parametrize("commits", range(2, 6))
def test_users_by_plan_are_counted_once_if_a_flush_is_interrupted(commits):
    """The commits that landed have counted their users."""
    world = World(job_size=2, limits=Limits(page_users=4, flush=FlushLimits(commit_jobs=1)))
    world.users(on_three_plans())
    with world.faulty(nth("Commit", commits, Mode.ENDED)), pytest.raises(ProcessEnded):
        world.build()
    world.build(MIDNIGHT + timedelta(minutes=5))

    assert by_plan(view(world, NOON)) == plans_scanned(world, TODAY) == {"adder": 12, "free": 6, "pro": 1}


def test_a_former_name_counts_as_the_present_plan():
    """Each plan of the file has one line."""
    world = World(plans=ONLY_ADDER + 'was = ["starter"]\n')
    world.users({"ann": {"credits": 5, "plan": "starter"}, "bob": {"credits": 5}})
    world.build()

    assert by_plan(view(world, NOON)) == {"adder": 2}


@pytest.mark.parametrize(
    ("worked_until", "counted", "uncounted"),
    [
        (MIDNIGHT - HOUR, {"adder": 30, "free": 10}, 0),
        (EVENING, {"adder": 30, "free": 10}, 0),
        (MIDNIGHT + 7 * HOUR, None, None),
    ],
)
def test_after_a_rescan_the_plans_still_add_up(worked_until, counted, uncounted):
    """Nobody is counted twice. If only some users were settled before, those are counted without their plans."""
    world = World(job_size=5, slot_seconds=21_600)
    world.users(population(30) | {f"free{n}": {"credits": 5, "plan": "free"} for n in range(10)})
    world.build()
    settled = world.work(worked_until).tally.refreshed
    operator_actions.rescan(world.context(EVENING), EVE, date(2026, 11, 22))
    world.build(EVENING, "auto")

    answer = view(world, EVENING)

    assert sum(by_plan(answer).values()) + answer["usersOfUncountedPlans"] == 40
    if counted is None:
        assert 0 < settled < 40
        counted, uncounted = plans_scanned(world, TODAY), settled
    assert (by_plan(answer), answer["usersOfUncountedPlans"]) == (counted, uncounted)


def test_the_95th_percentile_is_within_a_quarter_of_the_truth():
    """The figure comes from classes of durations. Each class is a quarter wider than the one before."""
    world = World(job_size=1, slot_seconds=86_400)
    world.users(population(40))
    world.build()
    world.work(EVENING)
    times = sorted(job["processingMs"] for job in world.jobs().values())

    found = view(world, EVENING)["p95ProcessingTime"]

    true = times[37]  # the 38th of 40
    assert true <= found + 1 <= max(2, true) * DURATION_RATIO + 2


def test_who_is_late_counts_against_the_error_budget():
    """A user refreshed within half an hour of the slot is on time. Users refreshed later or failed are late."""
    world = World(slot_seconds=86_400, job_size=5)
    world.users(population(10) | {"bad": {"credits": 1, "plan": "adder"}})
    world.build()
    world.update("users/bad", credits="x")
    world.work(MIDNIGHT + timedelta(minutes=30), jobs_max=2)
    world.work(MIDNIGHT + timedelta(minutes=31))

    slo = view(world, NOON)["slo"]

    jobs = world.jobs().values()
    late = sum(job["refreshedUsers"] for job in jobs if job["completedAt"] > MIDNIGHT + timedelta(minutes=30)) + 1
    assert 1 < late < 11
    assert (slo["users"], slo["onTimeUsers"], slo["share"]) == (11, 11 - late, pytest.approx((11 - late) / 11))
    assert slo["errorBudgetLeft"] < 0


@pytest.mark.parametrize(
    ("day", "are_late"), [(date(2000, 1, 1), False), (date(2040, 1, 1), True)], ids=["signed up later", "known before"]
)
def test_users_whom_the_builder_queues_after_their_slot_are_late_if_they_were_there(day, are_late):
    """The builder comes half a day late. The sign-up is the document's create time, which lies between the two days."""
    world = World(slot_seconds=300)
    users = population(40)
    world.users(users)
    noon = datetime.combine(day, NOON.timetz())
    schedule = world.context(noon).schedule
    missed = sum(schedule.slot_start(day, user_id) < noon - HOUR / 2 for user_id in users)
    assert missed > 0

    world.build(noon)
    world.work(noon)

    settled = [job for job in world.jobs().values() if job.get("completedAt") == noon]
    assert sum(len(job["userIds"]) for job in settled) >= missed
    assert sum(job["lateUsers"] for job in settled) == missed * are_late


def test_a_run_has_the_figures_of_the_days_before():
    """The service level of thirty days needs no read of thirty runs."""
    world = World(slot_seconds=86_400)
    world.users(population(10))
    for n in range(4):
        world.build(MIDNIGHT + n * DAY)
        world.work(MIDNIGHT + n * DAY + timedelta(hours=2 if n == 1 else 0))

    answer = view(world, MIDNIGHT + 3 * DAY)

    run = world.run("2026-11-25")
    assert [(day["runId"], day["onTimeUsers"], day["lateUsers"]) for day in run["history"]] == [
        ("2026-11-22", 10, 0),
        ("2026-11-23", 0, 10),
        ("2026-11-24", 10, 0),
    ]
    assert (answer["slo"]["users"], answer["slo"]["onTimeUsers"]) == (40, 30)


def test_users_settled_after_midnight_are_in_the_figures_of_their_day():
    """A day's jobs may be settled until two days later, so its figures are read a second time."""
    world = World(slot_seconds=86_400)
    world.users(population(10))
    world.build(MIDNIGHT)
    world.build(TOMORROW)
    world.work(TOMORROW + HOUR, jobs_max=1)  # the first day's

    world.build(TOMORROW + DAY)

    history = {day["runId"]: day["lateUsers"] for day in world.run("2026-11-24")["history"]}
    assert history[TODAY] == 10


# A user's history


def test_a_user_s_history_explains_the_balance():
    """It says what was granted when, what was spent since, and what comes next."""
    world = World()
    world.users({"ann": {"credits": 20, "plan": "free"}})
    for n in range(3):
        world.day(MIDNIGHT + n * DAY)
    world.update("users/ann", credits=42)

    answer = story(world, "ann", MIDNIGHT + 2 * DAY + 23 * HOUR)

    assert "the plan free granted nothing, as the balance of 50 was full." in answer["explanation"]
    assert "Since then 8 were spent, so it is 42." in answer["explanation"]
    assert "the present period has been granted" in answer["explanation"]
    assert [(receipt["runId"], receipt["before"], receipt["after"]) for receipt in answer["receipts"]] == [
        ("2026-11-24", 50, 50),
        ("2026-11-23", 50, 50),
        ("2026-11-22", 20, 50),
    ]
    assert answer["nextRefresh"].startswith("2026-11-25")
    assert answer["decision"] == {"action": "skip", "reason": "already_granted", "granted": None}


def test_receipts_come_in_pages_of_thirty_days():
    """A call for older ones names the first day of the answer before."""
    world = World(plans='default_plan = "w"\n[plans.w]\nallowance = 5\nperiod = "week"\npolicy = "accumulate"\n')
    world.users({"ann": {"credits": 0}})
    for week in range(8):
        world.day(MIDNIGHT + 7 * week * DAY)
    now = MIDNIGHT + 50 * DAY

    recent = story(world, "ann", now)
    older = story(world, "ann", now, before=recent["receiptsFrom"])

    runs = [receipt["runId"] for receipt in (*recent["receipts"], *older["receipts"])]
    assert runs == sorted(runs, reverse=True)
    assert len(runs) == 8
    assert recent["hasMore"]


def receipts_of(user_id: str, day: str, hours: list[float]) -> dict:
    """Settled jobs of that day for one user, by path. As with real jobs, the order of ids is not that of time."""
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    return {
        f"credit_refresh_jobs/{day}-{(n * 7919) % 65536:04x}-{n}": {
            "v": 1,
            "runId": day,
            "status": "completed",
            "userIds": [user_id],
            "completedAt": start + hour * HOUR,
            "receipts": [{"userId": user_id, "outcome": "refreshed", "before": 0, "after": n}],
        }
        for n, hour in enumerate(hours)
    }


def test_the_newest_hundred_receipts_come_first():
    """The user has five receipts a day for thirty days. The next page has the others."""
    world = World()
    world.users({"ann": {"credits": 5}})
    days = [(MIDNIGHT + n * DAY).date().isoformat() for n in range(30)]
    for day in days:
        world.put_all(receipts_of("ann", day, [1, 2, 3, 4, 5]))

    answer = story(world, "ann", MIDNIGHT + 29 * DAY + 20 * HOUR)
    older = story(world, "ann", MIDNIGHT + 29 * DAY + 20 * HOUR, before=answer["receiptsFrom"])

    assert len(answer["receipts"]) == 100
    assert [receipt["runId"] for receipt in answer["receipts"]] == [
        day for day in reversed(days[10:]) for _ in range(5)
    ]
    assert [receipt["after"] for receipt in answer["receipts"][:5]] == [4, 3, 2, 1, 0]
    assert answer["hasMore"]
    assert len({receipt["jobId"] for receipt in (*answer["receipts"], *older["receipts"])}) == 150


def test_the_newest_hundred_receipts_of_one_day_come_first():
    """An app may refresh one user all day long."""
    world = World()
    world.users({"ann": {"credits": 5}})
    hours = [n / 10 for n in range(150)]
    world.put_all(receipts_of("ann", "2026-11-22", hours))
    world.put_all(receipts_of("ann", "2026-11-21", [1]))

    answer = story(world, "ann", MIDNIGHT + 20 * HOUR)

    assert [receipt["after"] for receipt in answer["receipts"]] == list(reversed(range(50, 150)))
    assert answer["receiptsFrom"] == "2026-11-22"
    assert answer["hasMore"]


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"credits": "x"}, {"balance": None, "problem": "bad_balance"}),
        ({"credits": 5, "plan": "gone"}, {"balance": 5, "problem": "unknown_plan"}),
        ({"credits": 5, "creditRefresh": "x"}, {"balance": 5, "problem": "bad_stamp", "stamp": None}),
        ({"plan": "free"}, {"balance": None, "problem": None, "decision": None}),
        ({"credits": 5, "creditRefresh": {"paused": True, "dueOn": TODAY}}, {"paused": True, "problem": None}),
    ],
)
def test_a_history_of_an_odd_user_says_what_is_odd(document, answer):
    """The view does not fail because of it."""
    world = World()
    world.users({"ann": document})

    found = story(world, "ann", NOON)

    found["problem"] = found["problem"] and found["problem"]["code"]
    assert answer == {name: found[name] for name in answer}


OWN_TIME = {"zone", "localDate", "zoneProblem"}


def test_a_history_has_the_user_s_own_time():
    """It has the local date, the last refresh and the next one. The user's days begin at 15:00 UTC."""
    world = World(zone_field="zone", slot_seconds=86_400)
    world.users({"ann": {"credits": 5, "plan": "adder", "zone": "Asia/Tokyo"}})
    world.build()
    world.work(MIDNIGHT + 15 * HOUR)

    answer = story(world, "ann", MIDNIGHT + 16 * HOUR)

    assert (answer["zone"], answer["localDate"]) == ("Asia/Tokyo", "2026-11-23")
    assert answer["nextRefresh"] == "2026-11-23T15:00:00+00:00"
    assert (
        "On 2026-11-22 at 15:00 UTC (2026-11-23 at 00:00 in Asia/Tokyo) the plan adder granted 10"
        in answer["explanation"]
    )
    assert answer["explanation"].endswith("it is 2026-11-23; the next refresh is due there on 2026-11-24 at 00:00.")


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("zone", {}),
        ("zone", {"zone": "UTC"}),
        ("zone", {"zone": None}),
        (None, {"zone": "Asia/Tokyo"}),
    ],
)
def test_a_user_in_the_schedule_s_zone_has_no_zone_in_the_history(field, document):
    """The user names no other zone, or the setting is off."""
    world = World(zone_field=field)
    world.users({"ann": {"credits": 5, "plan": "adder", **document}})
    world.day()

    answer = story(world, "ann", EVENING)

    assert OWN_TIME.isdisjoint(answer)
    assert "time zone" not in answer["explanation"]


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"zone": "Mars/Olympus"}, "'Mars/Olympus' is not an IANA name such as Europe/Berlin; UTC is used until"),
        ({"zone": 5}, "the time zone: it is a whole number, not a text; UTC is used until"),
        ({"zone": 5, "credits": "x"}, "the time zone: it is a whole number"),
    ],
)
def test_a_history_says_why_a_zone_can_not_be_used(document, answer):
    """It says so even if the document has another problem."""
    world = World(zone_field="zone")
    world.users({"ann": {"credits": 5, "plan": "adder", **document}})

    found = story(world, "ann", NOON)

    assert answer in found["zoneProblem"]
    assert "zone" not in found
    assert (found["problem"] is None) == ("credits" not in document)


def test_a_history_has_the_zone_although_another_field_is_bad():
    world = World(zone_field="zone")
    world.users({"ann": {"credits": "x", "zone": "Asia/Tokyo"}})

    answer = story(world, "ann", MIDNIGHT + 16 * HOUR)

    assert (answer["zone"], answer["localDate"], answer["problem"]["code"]) == (
        "Asia/Tokyo",
        "2026-11-23",
        "bad_balance",
    )


def test_the_history_of_a_user_who_never_existed_is_not_found():
    """A deleted user's receipts are still there."""
    world = World()
    world.users({"ann": {"credits": 20}})
    world.day()
    world.delete("users/ann")

    assert (story(world, "ann", NOON)["found"], len(story(world, "ann", NOON)["receipts"])) == (False, 1)
    with pytest.raises(NotFoundError) as raised:
        story(world, "bob", NOON)
    assert raised.value.code == "user_not_found"


# Health


def reasons(world, now):
    return {reason.code.value for reason in check_health(world.context(now))}


def test_a_day_done_is_healthy():
    """The builder has finished, the worker was seen, nothing waits and nothing failed."""
    world = World()
    world.users(population(5))
    world.day()

    assert reasons(world, EVENING) == set()
    assert view(world, EVENING)["health"] == {"status": "ok", "reasons": []}


def test_each_fault_has_its_code_as_long_as_it_lasts():
    """The faults are: no worker, no builder, a waiting job, a dead letter."""
    world = World(slot_seconds=86_400, max_attempts=1)
    world.users(population(5))

    assert reasons(world, MIDNIGHT + 2 * HOUR) == {"no_worker_heartbeat", "builder_unfinished"}
    world.build(MIDNIGHT + 2 * HOUR)
    assert reasons(world, MIDNIGHT + 3 * HOUR) == {"no_worker_heartbeat", "queue_lag"}
    with world.faulty(on_user("user00001", REJECTED)):
        world.work(MIDNIGHT + 3 * HOUR)
    assert reasons(world, MIDNIGHT + 3 * HOUR) == {"dead_letters"}
    assert reasons(world, MIDNIGHT + 3 * HOUR + timedelta(minutes=16)) == {"dead_letters", "no_worker_heartbeat"}
    operator_actions.requeue_run(world.context(MIDNIGHT + 4 * HOUR), EVE, TODAY)
    world.work(MIDNIGHT + 4 * HOUR)
    assert reasons(world, MIDNIGHT + 4 * HOUR) == set()


def test_yesterday_s_dead_letters_are_still_reported():
    """They are not reported any more after two days."""
    world = World(slot_seconds=86_400)
    world.users(population(3))
    world.build()
    world.update("users/user00001", credits="x")
    world.work(EVENING)

    for n in range(1, 3):
        world.build(MIDNIGHT + n * DAY)
        world.work(MIDNIGHT + n * DAY)

    assert "dead_letters" in reasons(world, TOMORROW)
    assert view(world, TOMORROW)["health"]["status"] == "unhealthy"
    assert "dead_letters" not in reasons(world, TOMORROW + DAY)


def test_a_worker_with_nothing_to_do_is_seen():
    """It writes its heartbeat even while the refresh is paused."""
    world = World()
    world.pause()

    context = world.context(NOON)
    world.work(NOON)

    assert world.get("credit_refresh_control/worker") == {"lastRunAt": NOON}
    assert context.control().read(NOON).worker_seen_at == NOON


# Operator actions


def test_pausing_holds_builder_and_worker_and_is_noted_once():
    """The same action again changes nothing."""
    world = World()
    world.users(population(5))

    changed = [operator_actions.pause(world.context(NOON), EVE) for _ in range(2)]
    held = (world.build(NOON).status, world.work(NOON).claimed)
    changed += [operator_actions.resume(world.context(NOON), EVE) for _ in range(2)]

    assert changed == [True, False, True, False]
    assert held == ("paused", 0)
    assert world.build(NOON).status == "completed"
    activity = [entry for entry in view(world, NOON)["recentActivity"] if entry["kind"] == "action"]
    assert sorted((entry["action"], entry["actor"], entry["reason"]) for entry in activity) == [
        ("pause", "eve", "a test"),
        ("resume", "eve", "a test"),
    ]


def without_hours(figures):
    """The figures without times. A requeued job has lost the times of its earlier work; the roll-up has them."""
    return {name: figure for name, figure in figures.items() if name not in ("done", "averageProcessingTime")}


def failed_day(**settings) -> World:
    """A day with one job of ten users. It has failed because of two of them."""
    world = World(slot_seconds=86_400, **settings)
    world.users(population(10))
    world.build()
    world.update("users/user00003", credits="x")
    world.update("users/user00004", credits="x")
    world.work(NOON)
    return world


def corrected(world: World) -> None:
    for user_id in ("user00003", "user00004"):
        world.update(f"users/{user_id}", credits=5)


def test_a_requeued_job_settles_only_users_who_failed():
    """Its receipts are complete again, nobody is granted twice, and all figures equal a scan at every step."""
    world = failed_day()
    (job_id,) = world.jobs()
    before = world.jobs()[job_id]["receipts"]
    corrected(world)

    done = operator_actions.requeue_job(world.context(NOON + HOUR), EVE, job_id)
    between = (comparable_part(view(world, NOON + HOUR)), scan_figures(world, TODAY))
    report = world.work(NOON + HOUR)

    assert (done.jobs, done.users) == (1, 2)
    assert without_hours(between[0]) == without_hours(between[1])
    assert between[0]["users"] == {"refreshed": 8, "skipped": 0, "failed": 0, "pending": 2}
    assert (report.claimed, report.tally.refreshed) == (1, 2)
    job = world.jobs()[job_id]
    assert (job["status"], job["attempts"], job["failedUsers"], job["refreshedUsers"]) == ("completed", 1, 0, 10)
    kept = [receipt for receipt in before if receipt["outcome"] == "refreshed"]
    assert [receipt for receipt in job["receipts"] if receipt in before] == kept
    assert_granted_once(world, population(10), 10)
    assert_settled(world)
    assert comparable_part(view(world, NOON + HOUR))["done"] == {12: 8, 13: 2}
    assert without_hours(comparable_part(view(world, NOON + HOUR))) == without_hours(scan_figures(world, TODAY))


def test_requeueing_twice_is_requeueing_once():
    """The second call finds no dead letter, and neither does a call after the job was settled."""
    world = failed_day()
    (job_id,) = world.jobs()
    corrected(world)
    context = world.context(NOON + HOUR)

    requeued = [operator_actions.requeue_job(context, EVE, job_id).jobs for _ in range(2)]
    world.work(NOON + HOUR)
    requeued.append(operator_actions.requeue_job(context, EVE, job_id).jobs)

    assert requeued == [1, 0, 0]
    assert world.rollup()["failedJobs"] == 0


def test_a_job_may_fail_and_be_requeued_again_and_again():
    """Each time attempts count from 0 and retry jobs get new ids. Receipts and figures stay correct."""
    world = failed_day(max_attempts=2)
    (job_id,) = world.jobs()
    flaky = WireError(grpc.StatusCode.INTERNAL)
    now = NOON
    corrected(world)
    for _ in range(2):
        now += HOUR
        assert operator_actions.requeue_run(world.context(now), EVE, TODAY).jobs >= 1
        with world.faulty(on_user("user00003", flaky)):
            world.work(now)
            world.work(now := now + HOUR)
    assert operator_actions.requeue_run(world.context(now), EVE, TODAY).jobs == 1
    world.work(now + HOUR)

    retry_id = f"{job_id}-requeue1-attempt2"
    assert sorted(world.jobs()) == [job_id, retry_id, f"{retry_id}-requeue1-attempt2"]
    assert_granted_once(world, population(10), 10)
    assert without_hours(comparable_part(view(world, now))) == without_hours(scan_figures(world, TODAY))


def test_a_whole_run_is_requeued_page_by_page(monkeypatch):
    """No dead letter is left out, even if they fill several pages."""
    monkeypatch.setattr(operator_actions, "PAGE_SIZE", 4)
    world = World(job_size=1, slot_seconds=86_400)
    users = population(11)
    world.users(users)
    world.build()
    for user_id in users:
        world.update(f"users/{user_id}", credits="x")
    world.work(NOON)
    for user_id in users:
        world.update(f"users/{user_id}", credits=5)

    done = operator_actions.requeue_run(world.context(NOON), EVE, TODAY)

    assert (done.jobs, done.users, done.has_more) == (11, 11, False)
    assert world.work(NOON).tally.refreshed == 11
    assert_granted_once(world, users, 10)


def test_requeueing_stops_when_its_time_is_up(monkeypatch):
    """The answer says that there is more."""
    monkeypatch.setattr(operator_actions, "PAGE_SIZE", 2)
    monkeypatch.setattr(operator_actions, "LAST_SECONDS", 1000)
    world = World(job_size=1, slot_seconds=86_400)
    world.users(population(5))
    world.build()
    for n in range(5):
        world.update(f"users/user{n:05d}", credits="x")
    world.work(NOON)

    done = operator_actions.requeue_run(world.context(NOON), EVE, TODAY)

    assert (done.jobs, done.has_more) == (2, True)


def test_an_unreadable_job_can_be_requeued():
    """Settling it has removed the unreadable snapshots."""
    world = World(slot_seconds=86_400)
    users = population(4)
    world.users(users)
    world.build()
    (job_id,) = world.jobs()
    world.update(f"credit_refresh_jobs/{job_id}", snapshots="nonsense")
    world.work(NOON)
    assert view(world, NOON)["errorsByCode"] == {"unreadable_job": 4}

    operator_actions.requeue_job(world.context(NOON), EVE, job_id)
    world.work(NOON)

    assert_granted_once(world, users, 10)
    assert view(world, NOON)["errorsByCode"] == {}


@pytest.mark.parametrize("mode", [Mode.REFUSED, Mode.LOST])
def test_a_requeue_survives_a_refused_commit_and_a_lost_reply(mode):
    """The job is requeued once."""
    world = failed_day()
    (job_id,) = world.jobs()
    corrected(world)

    with world.faulty(on("Commit", mode)):
        done = operator_actions.requeue_job(world.context(NOON), EVE, job_id)
    world.work(NOON)

    assert done.jobs == 1
    assert world.jobs()[job_id]["requeues"] == 1
    assert_settled(world)


def test_four_operators_at_the_same_moment_requeue_a_job_once():
    world = failed_day()
    (job_id,) = world.jobs()
    results = []
    barrier = threading.Barrier(4)

    def ask():
        barrier.wait()
        results.append(operator_actions.requeue_job(world.context(NOON), EVE, job_id).jobs)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [0, 0, 0, 1]
    assert world.rollup()["failedJobs"] == 0


def test_a_rescan_finds_missed_users_and_grants_nobody_twice():
    """Today's run begins again with the first user. A second request changes nothing."""
    world = World()
    users = population(20)
    world.users(users)
    world.day()
    world.users({"late": {"credits": 5, "plan": "adder"}})

    first, run = operator_actions.rescan(world.context(EVENING), EVE, date(2026, 11, 22))
    second, _ = operator_actions.rescan(world.context(EVENING), EVE, date(2026, 11, 22))
    world.build(EVENING, scan="auto")
    world.work(EVENING)

    assert (first, run.rescan_requested, second) == (True, True, False)
    assert_granted_once(world, users | {"late": {"credits": 5}}, 10)
    assert comparable_part(view(world, EVENING)) == scan_figures(world, TODAY)


def test_only_today_s_run_is_scanned_again():
    """An older run is refused, and so is a day without a run."""
    world = World()
    world.build(MIDNIGHT)

    with pytest.raises(NotPossibleError, match="only today's run"):
        operator_actions.rescan(world.context(TOMORROW), EVE, date(2026, 11, 22))
    with pytest.raises(NotFoundError, match="no run of that day"):
        operator_actions.rescan(world.context(TOMORROW), EVE, date(2026, 11, 23))


def test_a_paused_user_is_left_out_until_resumed():
    """No other field of the document changes, and the same action again changes nothing."""
    world = World()
    world.users({"ann": {"credits": 5, "plan": "adder", "name": "Ann"}, "bob": {"credits": 5, "plan": "adder"}})
    ask = partial(operator_actions.pause_user, world.context(NOON), EVE, "ann")

    changed = [ask(paused=True), ask(paused=True)]
    world.day()
    paused = world.user("ann")
    changed += [ask(paused=False), ask(paused=False)]
    world.refresh("ann")

    assert changed == [True, False, True, False]
    assert paused == {"credits": 5, "plan": "adder", "name": "Ann", "creditRefresh": {"paused": True, "dueOn": TODAY}}
    assert (world.user("ann")["credits"], world.user("bob")["credits"]) == (15, 15)


def test_a_user_with_a_bad_stamp_can_not_be_paused():
    """The document does not change. A user who does not exist is refused as well."""
    world = World()
    world.users({"ann": {"credits": 5, "creditRefresh": "mine"}})

    with pytest.raises(NotPossibleError, match="not a map"):
        operator_actions.pause_user(world.context(NOON), EVE, "ann", paused=True)
    with pytest.raises(NotFoundError, match="no such user"):
        operator_actions.pause_user(world.context(NOON), EVE, "bob", paused=True)
    assert world.user("ann") == {"credits": 5, "creditRefresh": "mine"}


def test_an_action_takes_effect_although_it_can_not_be_noted(monkeypatch):
    """Only the recent activity does not show it."""
    world = World()
    world.users({"ann": {"credits": 5, "plan": "adder"}})

    def refuse(*_args):
        raise ConflictError("again and again")

    monkeypatch.setattr("shared.store.control.ControlStore.note", refuse)

    assert operator_actions.refresh(world.context(NOON), EVE, ["ann"]).tally.refreshed == 1


def test_the_recent_activity_is_bounded():
    """Fifty entries are kept, the newest first."""
    world = World()
    for n in range(60):
        act = operator_actions.resume if n % 2 else operator_actions.pause
        act(world.context(NOON + timedelta(seconds=n)), EVE)

    entries = world.get("credit_refresh_control/activity")["entries"]

    assert len(entries) == 50
    assert entries[0]["time"] == NOON + timedelta(seconds=59)
