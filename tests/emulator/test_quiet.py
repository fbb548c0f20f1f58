"""With `STAGGER=quiet` grants write at which hours a user is active. Users are refreshed in their quiet hours."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dev.billing import billing
from shared.core.packing import FLUSH_LIMITS, FlushLimits
from shared.core.quiet_hours import learn_hour, quiet_range
from shared.services.limits import Limits
from tests.support.faults import Mode, ProcessEnded, nth
from tests.support.invariants import assert_settled
from tests.support.world import DAY, MIDNIGHT, NOON, World, population

HOUR = timedelta(hours=1)
EVENINGS = learn_hour(learn_hour(None, 18), 18)  # the activity of a user who was seen twice at six in the evening
DAWN = range(7)  # the quiet hours of that user that lie in the day


def quiet_world(**settings: Any) -> World:
    return World(**{"stagger": "quiet", "slot_seconds": 300, **settings})


def seen(number: int, activity: str = EVENINGS) -> dict[str, dict[str, Any]]:
    """Users who are due and have this activity."""
    return {
        user_id: {**fields, "creditRefresh": {"activity": activity, "periods": {}}}
        for user_id, fields in population(number).items()
    }


def slots_of(world: World, day: datetime = MIDNIGHT) -> dict[str, datetime]:
    return {
        user_id: job["scheduledFor"]
        for job in world.jobs().values()
        if job["runId"] == day.date().isoformat()
        for user_id in job["userIds"]
    }


def updated_at(world: World, user_id: str) -> datetime:
    """When the document last changed, by the emulator's clock."""
    (document,) = world.context(NOON).users().read([user_id]).values()
    return datetime.fromtimestamp(document.update_time_ns / 1e9, UTC)


def test_a_grant_writes_the_hour_of_the_app_s_last_write():
    """The app wrote the document just now. The grant adds that hour to the activity."""
    world = quiet_world()
    world.users(population(1))
    hour = updated_at(world, "user00000").hour

    world.day()

    stamp = world.user("user00000")["creditRefresh"]
    assert stamp["activity"] == learn_hour(None, hour)


def test_our_own_grant_is_no_activity():
    """The app has not written the document since the last grant, so the next grant does not change the activity."""
    world = quiet_world()
    world.users(population(1))
    now = updated_at(world, "user00000")

    world.refresh("user00000", now=now)  # the emulator's own time
    first = world.user("user00000")["creditRefresh"]["activity"]
    report = world.refresh("user00000", now=now + DAY)

    assert report.tally.refreshed == 1
    assert first == learn_hour(None, now.hour)
    assert world.user("user00000")["creditRefresh"]["activity"] == first


def test_the_worker_learns_from_a_document_that_changed_after_the_build():
    """The worker reads the document again, so the hour of that change counts, too."""
    world = quiet_world()
    world.users(seen(1, learn_hour(None, 3)))
    world.build()
    world.update("users/user00000", credits=1)
    hour = updated_at(world, "user00000").hour

    world.work()

    stamp = world.user("user00000")["creditRefresh"]
    assert stamp["activity"] == learn_hour(learn_hour(None, 3), hour)


def test_a_direct_refresh_learns_too():
    world = quiet_world()
    world.users(population(1))

    world.refresh("user00000")

    assert world.user("user00000")["creditRefresh"]["activity"].count("0") == 23


def test_users_are_refreshed_in_their_quiet_hours():
    """Users who were seen in the evening have a slot before ten in the morning. A new user keeps the hash's slot."""
    world = quiet_world()
    world.users({**seen(8), "stranger": {"credits": 5, "plan": "adder"}})

    world.build()

    slots = slots_of(world)
    assert slots.pop("stranger") == world.settings.schedule.slot_start(MIDNIGHT.date(), "stranger")
    assert Counter((slot - MIDNIGHT) // HOUR for slot in slots.values()).keys() <= {*range(10)}


def test_no_hour_holds_more_than_three_times_its_share():
    """240 users have the same quiet hours. An hour takes 30 of them, and the others go to the hours beside."""
    world = quiet_world()
    world.users(seen(240))

    world.build()

    hours = Counter((slot - MIDNIGHT) // HOUR for slot in slots_of(world).values())
    assert hours.total() == 240
    assert max(hours.values()) == 30
    assert hours.keys() <= {*range(10)}
    assert sum(hours[hour] for hour in DAWN) >= 200
    assert world.run()["plannedByHour"] == {f"h{hour:02d}": users for hour, users in hours.items()}


def test_next_at_is_when_the_next_job_comes():
    """The app shows `nextAt`. It follows from the activity that the same write records."""
    world = quiet_world()
    world.users(seen(10))

    world.day()
    promised = {user_id: world.user(user_id)["creditRefresh"]["nextAt"] for user_id in population(10)}
    world.build(MIDNIGHT + DAY)

    schedule = world.settings.schedule
    for user_id, slot in slots_of(world, MIDNIGHT + DAY).items():
        stamp = world.user(user_id)["creditRefresh"]
        assert promised[user_id] == schedule.slot_start(slot.date(), user_id, None, stamp["activity"])
        assert abs(slot - promised[user_id]) <= 10 * HOUR  # 10 users, one an hour


def test_lateness_counts_from_the_slot_of_the_day():
    """A job worked at its slot is on time, to whatever slot its users were moved."""
    world = quiet_world()
    world.users(seen(48))
    world.build()

    now = MIDNIGHT
    while now < MIDNIGHT + DAY:
        world.work(now)
        now += timedelta(minutes=15)

    assert world.rollup()["onTimeUsers"] == 48
    assert world.rollup().get("lateUsers", 0) == 0
    assert_settled(world)


@pytest.mark.parametrize("commit", range(1, 5))
def test_an_interrupted_flush_neither_loses_nor_doubles_anybody(commit):
    """The flush has several commits, and users were moved. After the interruption the next builder goes on."""
    bounds = FlushLimits(flush_jobs=FLUSH_LIMITS.flush_jobs, commit_jobs=3)
    world = quiet_world(limits=Limits(flush=bounds))
    world.users(seen(60))

    with world.faulty(nth("Commit", commit, Mode.ENDED_AFTER)), pytest.raises(ProcessEnded):
        world.build()
    world.build(MIDNIGHT + timedelta(minutes=3))

    queued = [user_id for job in world.jobs().values() for user_id in job["userIds"]]
    assert sorted(queued) == sorted(population(60))
    assert world.run()["queuedUsers"] == 60


def test_an_odd_activity_counts_as_none():
    """Whatever the field holds, the user is refreshed, and the grant writes a right activity."""
    odd: list[Any] = [7, True, None, "", "x" * 24, {"a": 1}, ["0"], "Z" * 24]
    world = quiet_world()
    world.users(
        {
            f"odd{n}": {"credits": 5, "plan": "adder", "creditRefresh": {"activity": value}}
            for n, value in enumerate(odd)
        }
    )

    report = world.day()

    assert report.tally.refreshed == len(odd)
    for number in range(len(odd)):
        assert len(world.user(f"odd{number}")["creditRefresh"]["activity"]) == 24


def test_without_quiet_nothing_is_learnt_or_written():
    world = World()
    world.users({**population(2), "left": seen(1)["user00000"]})

    world.day()

    assert "activity" not in world.user("user00000")["creditRefresh"]
    # The activity is from an earlier deployment with quiet hours. It is not read.
    assert world.user("left")["creditRefresh"]["activity"] == EVENINGS
    assert quiet_range(EVENINGS, 0, 86_400) is not None
    assert "activity" not in str([job.get("snapshots") for job in world.jobs().values()])


def test_quiet_slots_cost_what_slots_of_the_hash_cost():
    """A third of the users spends on each of three days. Reads and writes are at most 2% more."""
    costs, spenders = {}, list(population(200))
    for stagger in ("hash", "quiet"):
        with billing(str(World().settings.emulator_host)) as (host, bill):
            world = World(host, stagger=stagger, slot_seconds=3600)
            world.users(seen(600))
            for day in range(3):
                begin = MIDNIGHT + day * DAY
                world.build(begin)
                world.work(begin + DAY - timedelta(minutes=1))
                world.put_all({f"users/{user_id}": {**world.user(user_id), "credits": 0} for user_id in spenders})
            costs[stagger] = (bill.reads, bill.writes)

    assert costs["quiet"][0] <= 1.02 * costs["hash"][0]
    assert costs["quiet"][1] <= 1.02 * costs["hash"][1]


def test_with_zones_each_local_day_is_granted_once_in_the_users_own_window():
    """Builder and worker are called every hour for three days. Nobody is granted before midnight of the own zone."""
    zones = ("Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "UTC")
    world = quiet_world(zone_field="zone", slot_seconds=3600)
    for zone in zones:
        world.users(
            {
                f"{zone.replace('/', '-')}-{number}": {**user, "zone": zone, "createdAt": "2020-01-01"}
                for number, user in enumerate(seen(6).values())
            }
        )

    for hour in range(3 * 24 + 1):
        world.build(MIDNIGHT + hour * HOUR, "auto")
        world.work(MIDNIGHT + hour * HOUR)

    for user_id, user in world.all("users").items():
        stamp = user["creditRefresh"]
        last = date.fromisoformat(stamp["periods"]["adder"])
        midnight = datetime(last.year, last.month, last.day, tzinfo=ZoneInfo(user["zone"]))
        assert midnight <= stamp["refreshedAt"] < midnight + DAY + HOUR, user_id
        assert user["credits"] - 5 in (30, 40), user_id  # three local days, or four where a fourth has begun
    assert_settled_of_the_past(world, MIDNIGHT + 3 * DAY)


def assert_settled_of_the_past(world: World, now: datetime) -> None:
    """No job whose slot has come is open, and no user has two grants of one local date."""
    jobs = world.jobs().values()
    assert [job for job in jobs if "visibleAt" in job and job["scheduledFor"] <= now - HOUR] == []
    dates = Counter(
        (receipt["userId"], job.get("localDate") or job["runId"])
        for job in jobs
        for receipt in job.get("receipts", ())
        if receipt["outcome"] == "refreshed"
    )
    assert set(dates.values()) == {1}
