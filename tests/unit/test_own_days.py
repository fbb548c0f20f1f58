"""A user's own days: each local date belongs to one run, and is not granted before the user's midnight."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.decision import Grant, Skip, decide, user_after
from shared.core.own_days import OwnDays, day_at, find_zone, midnight
from shared.core.plans import PeriodKind, Plan, PlanTable, Policy
from shared.core.schedule import Schedule
from shared.core.users import ABSENT, BadParent, RawUser, User, read_user
from tests.unit.strategies import days, instants

ONE_DAY = timedelta(days=1)
CREATED = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
DAILY = Plan("free", 10, PeriodKind.DAY, Policy.ACCUMULATE)
PLANS = PlanTable({"free": DAILY}, "free", "f")

zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)


def own(zone: str, runs_zone: str = "UTC") -> OwnDays:
    return OwnDays(ZoneInfo(zone), ZoneInfo(runs_zone))


def on(text: str) -> date:
    return date.fromisoformat(text)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "run", "dates"),
    [
        ("Pacific/Auckland", "2026-11-22", ["2026-11-23"]),
        ("America/Los_Angeles", "2026-11-22", ["2026-11-22"]),
        ("Asia/Kolkata", "2026-11-22", ["2026-11-23"]),
        ("UTC", "2026-11-22", ["2026-11-22"]),
        ("Europe/London", "2026-03-28", ["2026-03-28"]),
        ("Europe/London", "2026-03-29", ["2026-03-29", "2026-03-30"]),
        ("Europe/London", "2026-10-24", ["2026-10-25"]),
        ("Europe/London", "2026-10-25", ["2026-10-25"]),  # no midnight in it: the latest date before
        ("Europe/London", "2026-10-26", ["2026-10-26"]),
        ("Pacific/Apia", "2011-12-29", ["2011-12-29"]),
        ("Pacific/Apia", "2011-12-30", ["2011-12-31"]),  # the 30th was skipped
    ],
)
def test_a_run_grants_the_dates_whose_midnight_lies_in_it(zone, run, dates):
    """The schedule is in UTC."""
    assert own(zone).days_in_run(on(run)) == tuple(map(on, dates))


@pytest.mark.parametrize(
    ("zone", "day", "run"),
    [
        ("Pacific/Auckland", "2026-11-23", "2026-11-22"),
        ("America/Los_Angeles", "2026-11-23", "2026-11-23"),
        ("Europe/London", "2026-03-30", "2026-03-29"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30"),
        ("Pacific/Auckland", "9999-12-31", "9999-12-30"),
        ("America/Los_Angeles", "9999-12-31", "9999-12-31"),
        ("Pacific/Auckland", "0001-01-01", "0001-01-01"),
    ],
)
def test_a_date_belongs_to_the_run_that_holds_its_midnight(zone, day, run):
    assert own(zone).run_day(on(day)) == on(run)


@settings(max_examples=100)
@given(zones, zones, days)
@example(ZoneInfo("Europe/London"), ZoneInfo("UTC"), date(2026, 3, 29))
@example(ZoneInfo("Pacific/Apia"), ZoneInfo("UTC"), date(2011, 12, 30))
@example(ZoneInfo("Pacific/Apia"), ZoneInfo("Pacific/Auckland"), date(2011, 12, 31))
def test_each_date_is_granted_by_the_run_it_belongs_to(zone, runs_zone, day):
    """This holds for any two zones. No run grants a date that the zone skips."""
    found = OwnDays(zone, runs_zone)
    exists = midnight(zone, day) < midnight(zone, day + ONE_DAY)
    run = found.run_day(day)

    assert (day in found.days_in_run(run)) == exists
    others = [run + number * ONE_DAY for number in (-2, -1, 1, 2)]
    twice = [other for other in others if day in found.days_in_run(other) and _begins_in(zone, runs_zone, day, other)]
    assert twice == []


def _begins_in(zone: ZoneInfo, runs_zone: ZoneInfo, day: date, run: date) -> bool:
    return midnight(runs_zone, run) <= midnight(zone, day) < midnight(runs_zone, run + ONE_DAY)


@settings(max_examples=60)
@given(zones, zones, days, st.integers(0, 10_000))
def test_each_date_is_granted_once_and_not_before_midnight(zone, runs_zone, first, number):
    """Four runs grant each date that begins in them, in order. Each slot lies in the window after its midnight."""
    own_days, schedule = OwnDays(zone, runs_zone), Schedule(runs_zone, 86_400, 300, 3600)
    user = User(0, None, {"free": own_days.days_in_run(first)[0] - ONE_DAY}, None, own_days=own_days)
    granted: list[date] = []
    for run in (first + day * ONE_DAY for day in range(4)):
        for day in own_days.days_in_run(run):
            decision = decide(user, PLANS, day, None)
            if isinstance(decision, Grant):
                slot = schedule.slot_start(day, f"user{number}", own_days)
                assert timedelta(hours=1) <= slot - midnight(zone, day) < timedelta(hours=25)
                granted.append(decision.period.start)
                user = user_after(user, decision)

    begun = [granted[0] + day * ONE_DAY for day in range((granted[-1] - granted[0]).days + 1)]
    assert granted == [day for day in begun if midnight(zone, day) < midnight(zone, day + ONE_DAY)]
    assert user.balance == 10 * len(granted)


def test_the_stamp_names_the_run_of_the_next_midnight():
    """The midnight of Auckland's next day lies in the run of the day before."""
    user = User(0, None, {}, None, own_days=own("Pacific/Auckland"))

    first = decide(user, PLANS, on("2026-11-23"), None)

    assert isinstance(first, Grant)
    assert (first.period.end.isoformat(), first.due_on) == ("2026-11-24", "2026-11-23")
    again = decide(user_after(user, first), PLANS, on("2026-11-23"), None)
    assert isinstance(again, Skip)
    assert again.due_on is None, "the stamp is right"


def test_a_due_on_of_a_later_run_is_corrected():
    """A change of zones may leave such a `dueOn`."""
    user = User(0, None, {"free": on("2026-11-23")}, None, due_on="2026-11-24", own_days=own("Pacific/Auckland"))

    found = decide(user, PLANS, on("2026-11-23"), None)

    assert isinstance(found, Skip)
    assert found.due_on == "2026-11-23"


def test_changing_zones_every_hour_gains_a_day_once():
    """The user is in Auckland in every other hour. After the first grant, each date comes at Auckland's midnight."""
    here, there = own("America/Los_Angeles"), own("Pacific/Auckland")
    user = User(0, None, {"free": on("2026-11-25")}, None, own_days=here)
    granted = []
    for hour in range(5 * 24):
        now = at("2026-11-26") + timedelta(hours=hour)
        own_days = there if hour % 2 else here  # another zone each hour
        user = replace(user, own_days=own_days)
        found = decide(user, PLANS, own_days.day_of(now), None)
        if isinstance(found, Grant):
            granted.append((found.period.start.isoformat(), now.isoformat()[5:16]))
            user = user_after(user, found)

    assert granted == [
        ("2026-11-26", "11-26T01:00"),
        ("2026-11-27", "11-26T11:00"),
        ("2026-11-28", "11-27T11:00"),
        ("2026-11-29", "11-28T11:00"),
        ("2026-11-30", "11-29T11:00"),
        ("2026-12-01", "11-30T11:00"),
    ]


@settings(max_examples=100)
@given(st.lists(zones, min_size=1, max_size=6), days)
def test_changing_zones_gains_two_days_at_most(zones_in_turn, first):
    """At no moment do local dates differ by more than two days, so no series of changes gains more."""
    user = User(0, None, {"free": first - ONE_DAY}, None)
    start, grants = midnight(ZoneInfo("UTC"), first), 0
    for number in range(6 * 24):
        now, zone = start + timedelta(hours=number), zones_in_turn[number % len(zones_in_turn)]
        own_days = OwnDays(zone, ZoneInfo("UTC"))
        user = replace(user, own_days=own_days)
        found = decide(user, PLANS, own_days.day_of(now), None)
        if isinstance(found, Grant):
            user, grants = user_after(user, found), grants + 1

    assert grants <= 6 + 2


# The zone in a user's document


def read(zone: object) -> User:
    found = read_user(RawUser(5, ABSENT, ABSENT, ABSENT, CREATED, zone=zone), ZoneInfo("Europe/Berlin"))
    assert found is not None
    return found


@pytest.mark.parametrize("zone", [ABSENT, None, "Europe/Berlin"])
def test_a_user_without_another_zone_has_the_deployments_days(zone):
    assert (read(zone).own_days, read(zone).zone_problem) == (None, "")


def test_the_sign_up_is_on_the_users_own_date():
    """23:30 UTC is the next day in Tokyo."""
    assert read("Asia/Tokyo").anchor == on("2026-02-01")
    assert read("America/New_York").anchor == on("2026-01-31")


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("Mars/Olympus", "'Mars/Olympus' is not an IANA name"),
        ("", "'' is not an IANA name"),
        ("../../../etc/passwd", "is not an IANA name"),
        ("/etc/localtime", "is not an IANA name"),
        ("Europe/Berlin\x00", "is not an IANA name"),
        ("europe/berlin", "is not an IANA name"),
        ("Europe", "is not an IANA name"),
        ("a" * 100_000, "is not an IANA name"),
        ("\ud800", "is not an IANA name"),
        (7, "it is a whole number, not a text"),
        ({}, "it is a map, not a text"),
        (BadParent("profile", "x"), "profile is a text, not a map"),
    ],
)
def test_a_bad_zone_is_named_and_the_deployments_zone_is_used(zone, problem):
    """The user does not fail."""
    found = read(zone)

    assert found.own_days is None
    assert problem in found.zone_problem
    assert "Europe/Berlin is used" in found.zone_problem


@given(st.text())
def test_any_text_is_a_zone_or_none(text):
    """An app or a user may write anything there."""
    found = find_zone(text)

    assert found is None or found.key == text


@given(zones, instants)
def test_a_moment_lies_in_the_day_of_the_users_date(zone, moment):
    """This also holds for days of 23 and 25 hours."""
    day = day_at(zone, moment)

    assert midnight(zone, day) <= moment < midnight(zone, day + ONE_DAY)
