"""Users with a time zone of their own are granted once per local day, within the window after their midnight."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.services.signup import take_event
from shared.store.users import UserDocument
from tests.support.faults import Mode, ProcessEnded, at
from tests.support.world import DAY, MIDNIGHT, NOON, World

HOUR = timedelta(hours=1)
ZONES = ("Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata", "Europe/London", "UTC")
EIGHT_HOURS = 8 * 3600
# Each is the day before a change of clocks in America, Europe or New Zealand.
FIRST_DAYS = ("2026-03-07", "2026-03-28", "2026-04-03", "2026-10-24", "2026-10-31")


def zoned_world(**settings: Any) -> World:
    return World(**{"zone_field": "zone", "slot_seconds": 3600, **settings})


def people(zone: str, number: int = 3) -> dict[str, dict[str, Any]]:
    return {
        f"{zone.replace('/', '-')}-{n}": {"credits": 0, "plan": "adder", "zone": zone, "createdAt": "2020-01-01"}
        for n in range(number)
    }


def midnight(zone: ZoneInfo, local_date: str) -> datetime:
    return datetime.fromisoformat(local_date).replace(tzinfo=zone).astimezone(UTC)


def tick(world: World, now: datetime) -> None:
    world.build(now, "auto")
    world.work(now)


def grants_of(world: World) -> dict[str, list[datetime]]:
    """When each user was granted, in order."""
    found: dict[str, list[datetime]] = {}
    for job in world.jobs().values():
        for receipt in job.get("receipts", ()):
            if receipt["outcome"] == "refreshed":
                found.setdefault(receipt["userId"], []).append(job["completedAt"])
    return {user_id: sorted(times) for user_id, times in found.items()}


@pytest.mark.parametrize(
    ("timezone", "begin", "window_seconds"),
    [
        ("UTC", "2026-11-22", EIGHT_HOURS),
        *itertools.product(("UTC", "America/New_York"), FIRST_DAYS, [24 * 3600]),
    ],
)
def test_each_user_is_granted_once_per_local_day(timezone, begin, window_seconds):
    """Hourly calls for four days grant nobody before midnight or after the window, and no date twice."""
    world = zoned_world(timezone=timezone, window_seconds=window_seconds)
    for zone in ZONES:
        world.users(people(zone, 2))
    start = datetime.fromisoformat(begin).replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    window = timedelta(seconds=window_seconds)
    granted: dict[str, dict[str, datetime]] = {}

    for hour in range(4 * 24 + 1):
        tick(world, start + hour * HOUR)
        for user_id, user in world.all("users").items():
            for local_date in user.get("creditRefresh", {}).get("periods", {}).values():
                granted.setdefault(user_id, {}).setdefault(local_date, start + hour * HOUR)

    for user_id, user in world.all("users").items():
        own_zone, times = ZoneInfo(user["zone"]), granted[user_id]
        assert user["credits"] == 10 * len(times), user_id
        for local_date, time in times.items():
            begins = midnight(own_zone, local_date)
            assert start <= begins <= time <= begins + window + HOUR, user_id
        days = [(start.date() + number * DAY).isoformat() for number in range(-1, 5)]
        begun = {day for day in days if start <= midnight(own_zone, day) <= start + 4 * DAY - window - HOUR}
        assert begun <= times.keys(), user_id
        following = date.fromisoformat(max(times)) + DAY
        next_midnight = midnight(own_zone, following.isoformat())
        assert next_midnight <= user["creditRefresh"]["nextAt"] < next_midnight + window
    assert [world.run(run_id)["scan"] for run_id in sorted(world.all("credit_refresh_runs"))][2:4] == ["due", "due"]


def test_a_run_with_two_midnights_grants_both():
    """The clocks in London go forward during a run of UTC. The run has two jobs, 23 hours apart."""
    begin = datetime.fromisoformat("2026-03-28T00:00:00+00:00")
    world = zoned_world(window_seconds=3600)
    world.users(people("Europe/London"))

    for hour in range(3 * 24):
        tick(world, begin + hour * HOUR)

    for times in grants_of(world).values():
        assert [time.isoformat()[5:13] for time in times] == ["03-28T00", "03-29T00", "03-29T23", "03-30T23"]
    assert {job.get("localDate") for job in world.jobs().values() if job["runId"] == "2026-03-29"} == {
        None,
        "2026-03-30",
    }


def test_a_run_without_a_midnight_grants_nothing():
    """The clocks in London go back during a run of UTC."""
    begin = datetime.fromisoformat("2026-10-24T00:00:00+00:00")
    world = zoned_world(window_seconds=3600)
    world.users(people("Europe/London"))

    for hour in range(3 * 24):
        tick(world, begin + hour * HOUR)

    for times in grants_of(world).values():
        assert [time.isoformat()[5:13] for time in times] == ["10-24T23", "10-26T00"]


def test_a_bad_zone_is_named_once_and_the_schedule_s_zone_is_used():
    """The user is refreshed and does not count as failed."""
    world = zoned_world()
    world.users({"lost": {"credits": 0, "plan": "adder", "zone": "Mars/Olympus"}, **people("UTC", 1)})

    report = world.build()
    world.build(MIDNIGHT + HOUR)
    world.work()

    (error,) = report.errors.shown
    assert (error["userId"], error["code"]) == ("lost", "bad_zone")
    assert [error["code"] for error in world.run()["errors"]] == ["bad_zone"]
    assert (world.run()["failedUsers"], world.rollup().get("failedUsers", 0)) == (0, 0)
    assert world.user("lost")["creditRefresh"]["dueOn"] == "2026-11-23"
    assert world.user("lost")["credits"] == 10


def test_without_the_setting_a_zone_is_not_read():
    """The user has the schedule's days, and the job has no local date."""
    world = World(slot_seconds=3600)
    world.users(people("Pacific/Auckland"))

    world.day()

    assert {user["creditRefresh"]["periods"]["adder"] for user in world.all("users").values()} == {"2026-11-22"}
    assert all("localDate" not in job for job in world.jobs().values())


def test_a_direct_refresh_grants_the_user_s_own_date():
    """At noon UTC it is tomorrow in Auckland. The next midnight there lies in tomorrow's run."""
    world = zoned_world()
    world.users(people("Pacific/Auckland", 1))

    world.refresh("Pacific-Auckland-0", now=NOON)

    stamp = world.user("Pacific-Auckland-0")["creditRefresh"]
    assert (stamp["periods"], stamp["dueOn"]) == ({"adder": "2026-11-23"}, "2026-11-23")


def test_a_user_who_moves_after_the_scan_is_not_granted_before_midnight():
    """The job is for 23 November in Auckland. The user is in Los Angeles when it is worked."""
    world = zoned_world(window_seconds=3600)
    world.users(people("Pacific/Auckland", 1))
    world.build()
    world.update("users/Pacific-Auckland-0", zone="America/Los_Angeles")

    world.work(MIDNIGHT + 13 * HOUR)

    assert world.user("Pacific-Auckland-0")["creditRefresh"]["periods"] == {"adder": "2026-11-22"}


def test_a_user_who_signs_up_in_the_evening_is_granted_at_midnight_too():
    """It is 21:00 of the 21st in Los Angeles. The run of the 22nd has scanned, and holds the next midnight there."""
    world = zoned_world(window_seconds=3600)
    world.users(people("UTC", 1))
    tick(world, MIDNIGHT)
    world.users(people("America/Los_Angeles", 1))
    world.refresh("America-Los_Angeles-0", now=MIDNIGHT + 5 * HOUR)

    for hour in range(6, 34):
        tick(world, MIDNIGHT + hour * HOUR)

    user = world.user("America-Los_Angeles-0")
    assert (user["credits"], user["creditRefresh"]["periods"]) == (30, {"adder": "2026-11-23"})


def call(world: World, user: UserDocument, now: datetime) -> None:
    world.refresh(user.user_id, now=now)


def deliver_the_event(world: World, user: UserDocument, now: datetime) -> None:
    """The event of the user's creation, with the document as it was then."""
    take_event(world.context(now), "event", None, user)


def serve_the_request(world: World, _user: UserDocument, now: datetime) -> None:
    world.work(now)


@pytest.mark.parametrize("way", [call, deliver_the_event, serve_the_request])
@pytest.mark.parametrize("mode", [Mode.ENDED, Mode.ENDED_AFTER])
def test_a_call_that_dies_does_not_lose_the_next_midnight(mode, way):
    """It is 21:00 of the 21st in Los Angeles, and the run of the 22nd is complete. Both dates are granted."""
    user_id = "America-Los_Angeles-0"
    for number in itertools.count(1):
        world = zoned_world(window_seconds=3600)
        tick(world, MIDNIGHT)
        asks = {"creditRefresh": {"refreshRequested": True}} if way is serve_the_request else {}
        world.users({user_id: {**people("America/Los_Angeles", 1)[user_id], **asks}})
        user = world.context(MIDNIGHT).users().read([user_id])[user_id]
        assert isinstance(user, UserDocument)
        with world.faulty(at(number, mode)) as faults, suppress(ProcessEnded):
            way(world, user, MIDNIGHT + 5 * HOUR)
        if not faults.spoiled:
            break
        way(world, user, MIDNIGHT + 6 * HOUR)

        world.work(MIDNIGHT + 9 * HOUR)

        assert (world.user(user_id)["credits"], number) == (20, number)
    assert number > 3


def test_an_unreadable_run_stops_no_direct_refresh():
    """The job for the next midnight is made all the same."""
    world = zoned_world(window_seconds=3600)
    world.users(people("America/Los_Angeles", 1))
    world.put("credit_refresh_runs/2026-11-22", {"scan": 7})

    world.refresh("America-Los_Angeles-0", now=MIDNIGHT + 5 * HOUR)
    world.work(MIDNIGHT + 9 * HOUR)

    assert world.user("America-Los_Angeles-0")["credits"] == 20


def test_a_user_who_moves_east_and_requests_a_refresh_misses_no_midnight():
    """The 22nd is granted in Los Angeles at 8:00 UTC. At 10:00 it still lasts for an hour in Auckland."""
    world = zoned_world(window_seconds=3600)
    world.users(people("America/Los_Angeles", 1))
    user_id = "America-Los_Angeles-0"
    for hour in range(10):
        tick(world, MIDNIGHT + hour * HOUR)
    stamp = world.user(user_id)["creditRefresh"]
    world.update(f"users/{user_id}", zone="Pacific/Auckland", creditRefresh={**stamp, "refreshRequested": True})

    for hour in range(10, 36):
        tick(world, MIDNIGHT + hour * HOUR)

    user = world.user(user_id)
    assert (user["credits"], user["creditRefresh"]["periods"]) == (30, {"adder": "2026-11-24"})


def test_a_slot_past_the_end_of_the_run_may_be_late_as_well():
    """The 23rd in Berlin begins in the run of the 22nd. Its slots on the 23rd are worked half an hour into the 24th."""
    world = zoned_world()
    world.users(people("Europe/Berlin", 24))
    for day in range(3):
        world.build(MIDNIGHT + day * DAY, "all")
    assert world.run("2026-11-24")["completedGeneration"] == 0

    world.work(MIDNIGHT + 2 * DAY + HOUR / 2)

    jobs = [job for job in world.jobs().values() if job["runId"] == "2026-11-22"]
    late = [job for job in jobs if job["scheduledFor"] > MIDNIGHT + DAY]
    outcomes = [receipt["outcome"] for job in late for receipt in job["receipts"]]
    assert {job["localDate"] for job in jobs} == {"2026-11-23"}
    assert set(outcomes) == {"refreshed"}
    assert len(outcomes) >= 12


def test_users_of_different_zones_with_one_next_slot_have_their_own_due_on():
    """The writes of one call share what users have in common, but not `dueOn`."""
    world = zoned_world(timezone="America/New_York", slot_seconds=6 * 3600)
    schedule, day = world.settings.schedule, MIDNIGHT.date()
    ids = [f"user{number}" for number in range(40)]
    here = next(one for one in ids if schedule.slot_start(day, one) == schedule.day_start(day))
    there = next(one for one in ids if schedule.slot_start(day, one) == schedule.day_start(day) + 6 * HOUR)
    people = {"credits": 5, "plan": "adder", "createdAt": "2020-01-01"}
    world.users({here: people, there: {**people, "zone": "Europe/Berlin"}})

    world.refresh(here, there)

    stamps = [world.user(user_id)["creditRefresh"] for user_id in (here, there)]
    assert stamps[0]["nextAt"] == stamps[1]["nextAt"]
    assert [stamp["periods"] for stamp in stamps] == [{"adder": "2026-11-22"}] * 2
    assert [stamp["dueOn"] for stamp in stamps] == ["2026-11-23", "2026-11-22"]  # midnight in Berlin is 18:00 here
