"""Nobody is forgotten. Users without a right `dueOn` are found by the next day, and failing users are named."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.core.errors import SystemFailureError
from shared.core.plans import parse_plans
from shared.core.scan_choice import CHANGED
from shared.monitor import operator_actions
from shared.monitor.operator_actions import Operator
from shared.services import build, prove
from shared.services.adopt import adopt_users
from shared.services.limits import Limits
from tests.support.faults import Mode, WireError, on_user, refusing
from tests.support.plans import PLANS
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

TODAY, TOMORROW = "2026-11-22", "2026-11-23"
LITE = """
[plans.lite]
allowance = 20
period = "day"
policy = "top_up"
when_full = "skip"
"""
TEN_MINUTES = timedelta(minutes=10)


def build_all_day(world: World, midnight: datetime, calls: int = 4) -> None:
    """Call the builder every ten minutes, like the schedule."""
    for number in range(calls):
        world.build(midnight + number * TEN_MINUTES, "auto")


def live(world: World, midnight: datetime) -> None:
    """Run builder and worker for a whole day."""
    build_all_day(world, midnight)
    world.work(midnight + timedelta(hours=23, minutes=59))


def started(users: dict[str, Any], **settings: Any) -> World:
    """A deployment after its first day."""
    world = World(**settings)
    world.users(users)
    live(world, MIDNIGHT)
    return world


def follow_ups(world: World, run_id: str) -> list[dict[str, Any]]:
    """The entries of a run's follow-up list."""
    documents = world.all("credit_refresh_follow_ups", f"credit_refresh_runs/{run_id}").values()
    return [entry for document in documents for entry in document["entries"]]


def periods_of(world: World, user_id: str) -> list[str]:
    return list(world.user(user_id)["creditRefresh"]["periods"].values())


# Found without a right dueOn


def test_the_proof_holds_on_an_ordinary_day():
    """The proof shows that the scan by date is enough."""
    world = started(population(20))

    build_all_day(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["proof"]["differences"], run["generation"]) == ("due", [0], 0)
    assert (run["scannedUsers"], run["queuedUsers"], run["completedGeneration"]) == (20, 20, 0)


@pytest.mark.parametrize(
    "overwritten",
    [{"credits": 0}, {"credits": 0, "creditRefresh": {}}, {"credits": 0, "creditRefresh": {"periods": {}}}],
    ids=["no stamp", "empty stamp", "no dueOn"],
)
def test_a_user_whose_stamp_the_app_wiped_is_granted_the_next_day(overwritten):
    """After the app's set() without merge the proof fails three times, and everybody is read."""
    world = started(population(20))
    world.put("users/user00003", {**overwritten, "plan": "adder"})

    live(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["proof"]["differences"], run["generation"]) == ("all", [1, 1, 1], 1)
    assert "differ by 1" in run["scanReason"]
    assert world.user("user00003")["credits"] == 10
    assert {world.user(user_id)["credits"] for user_id in population(20)} - {10} == {25}
    live(world, MIDNIGHT + 2 * DAY)
    assert world.run("2026-11-24")["scan"] == "due"


def test_a_user_who_signed_up_unnoticed_is_granted_the_next_day():
    """No event of the sign-up came, or it came before the balance."""
    world = started(population(5))
    world.users({"new": {"credits": 0, "plan": "adder"}})

    live(world, MIDNIGHT + DAY)

    assert periods_of(world, "new") == [TOMORROW]


def test_an_unfinished_sign_up_is_no_reason_to_read_everybody():
    """The user has a stamp at the second count."""
    world = started(population(5))
    world.users({"new": {"credits": 0, "plan": "adder"}})
    world.build(MIDNIGHT + DAY, "auto")
    world.refresh("new", now=MIDNIGHT + DAY + timedelta(minutes=1))

    build_all_day(world, MIDNIGHT + DAY + TEN_MINUTES)

    run = world.run(TOMORROW)
    assert (run["scan"], run["proof"]["differences"], run["generation"]) == ("due", [1, 0], 0)


def test_a_difference_within_the_tolerance_causes_no_scan_of_everybody():
    """Without a tolerance constant sign-ups would have everybody read every day."""
    world = started(population(5), proof_tolerance=2)
    world.users({f"new{n}": {"credits": 0, "plan": "adder"} for n in range(2)})

    build_all_day(world, MIDNIGHT + DAY)

    assert (world.run(TOMORROW)["scan"], world.run(TOMORROW)["proof"]["differences"]) == ("due", [2])


@pytest.mark.parametrize(
    "due_on",
    [
        None,
        True,
        7,
        math.nan,
        datetime(2026, 11, 22, tzinfo=UTC),
        "9999-12-31",
        "soon",
        "zebra",
        b"2026",
        ["2026-11-22"],
        {"day": "2026-11-22"},
    ],
    ids=str,
)
def test_a_due_on_that_can_not_be_right_is_found_and_corrected(due_on):
    """Values of any type are found, because the ranges without right values are read every day."""
    world = started(population(8))
    user = world.user("user00003")
    world.put("users/user00003", {**user, "creditRefresh": {**user["creditRefresh"], "dueOn": due_on}})

    live(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["scannedUsers"], run["queuedUsers"]) == ("due", 8, 8)
    assert periods_of(world, "user00003") == [TOMORROW]
    assert world.user("user00003")["creditRefresh"]["dueOn"] == "2026-11-24"


@pytest.mark.parametrize("page_users", [1, 2, 400])
@pytest.mark.parametrize(
    "due_on",
    [
        "z" * 1_000_000,
        "far" + "z" * 1_000_000,
        "2026-11-21" + "x" * 1_000_000,
        b"z" * 1_000_000,
        ["x" * 1_000_000],
        {"a": "x" * 1_000_000},
    ],
    ids=["after text", "too late", "by date", "bytes", "list", "map"],
)
def test_a_huge_due_on_holds_up_nobody(due_on, page_users):
    """The run document has no room for it, so the cursor names the user alone. Nobody is met twice or passed over."""
    world = started(population(8), limits=Limits(page_users=page_users, odd_page_users=page_users))
    for number in (2, 3, 5):
        world.update(f"users/user{number:05}", creditRefresh={"dueOn": due_on})

    for number in range(12):  # each call begins with the cursor that the last one has written
        world.build_a_page(MIDNIGHT + DAY + number * timedelta(seconds=1), "auto")
    live(world, MIDNIGHT + DAY + TEN_MINUTES)

    run = world.run(TOMORROW)
    assert (run["scan"], run["scannedUsers"], run["queuedUsers"]) == ("due", 8, 8)
    assert {world.user(user_id)["credits"] for user_id in population(8)} == {25}


@pytest.mark.parametrize("due_on", ["z" * 800_000, "2026-11-21" + "x" * 800_000], ids=["odd", "by date"])
def test_a_huge_due_on_that_was_corrected_meanwhile_holds_up_nobody(due_on):
    """The scan goes on an hour later, at a new moment of the database, at which the cursor's value is gone."""
    world = started(population(8), limits=Limits(page_users=2, odd_page_users=1))
    for number in (2, 3, 5):
        world.update(f"users/user{number:05}", creditRefresh={"dueOn": due_on})
    world.build_a_page(MIDNIGHT + DAY, "auto")
    run = world.run(TOMORROW)
    assert "~" in run["cursor"]
    for number in (2, 3, 5):
        world.update(f"users/user{number:05}", creditRefresh={"dueOn": TODAY})
    world.put(f"credit_refresh_runs/{TOMORROW}", {**run, "readTimeNs": run["readTimeNs"] - 2 * 3600 * 10**9})

    live(world, MIDNIGHT + DAY + TEN_MINUTES)

    assert {world.user(user_id)["credits"] for user_id in population(8)} == {25}


@pytest.mark.parametrize(
    "fields",
    [{"creditRefresh": {"dueOn": "z" * 900_000}, "credits": "5"}, {"credits": "z" * 900_000}],
    ids=["dueOn", "balance"],
)
def test_a_huge_value_of_a_user_who_fails_holds_up_nobody(fields):
    """The user is named since the day on which the scan met them first."""
    world = started(population(4, plan="lite"), plans=PLANS + LITE)
    world.update("users/user00002", **fields)
    world.update("users/user00001", credits=1)

    live(world, MIDNIGHT + DAY)

    run, entries = world.run(TOMORROW), follow_ups(world, TOMORROW)
    assert (run["status"], run["failedUsers"], world.user("user00001")["credits"]) == ("completed", 1, 20)
    assert [(entry["userId"], entry["since"]) for entry in entries] == [("user00002", TOMORROW)]


@pytest.mark.parametrize("balance", [1, "text"])
def test_a_null_due_on_is_met_once_where_full_users_are_left_alone(balance):
    """The user is in a range by `dueOn`, so the ranges by balance leave them out."""
    world = started(population(5, plan="lite", credits_each=20), plans=PLANS + LITE)
    world.update("users/user00001", credits=balance, creditRefresh={"dueOn": None})

    world.build(MIDNIGHT + DAY, "auto")

    run = world.run(TOMORROW)
    assert (run["scan"], run["scannedUsers"], run["queuedUsers"] + run["failedUsers"]) == ("due", 1, 1)


def test_users_of_a_backup_are_found_after_their_plan_ceased_to_leave_full_users_alone():
    """Their `dueOn` says that they are found by balance, and no scan reads balances any more."""
    users = population(5, plan="lite", credits_each=20)
    world = started(users, plans=PLANS + LITE)
    backup = world.all("users")
    world.plans = World(plans=PLANS + LITE.replace('"skip"', '"stamp"')).plans
    live(world, MIDNIGHT + DAY)

    world.users({user_id: {**user, "credits": 1} for user_id, user in backup.items()})
    live(world, MIDNIGHT + 2 * DAY)

    assert world.run("2026-11-24")["scan"] == "due"
    assert {world.user(user_id)["credits"] for user_id in users} == {20}


@pytest.mark.parametrize(
    ("due_on", "found_on"),
    [("2026-11-24 ", "2026-11-25"), ("2026-11-24T00:00:00.000Z", "2026-11-25"), ("2026-11-2", TOMORROW)],
)
def test_a_text_that_sorts_like_a_later_date_is_found_when_that_day_has_come(due_on, found_on):
    """It stands between right dates, so no range can hold it and not them."""
    world = started({"ann": {"credits": 5, "plan": "adder"}})
    world.update("users/ann", creditRefresh={"dueOn": due_on})

    for day in (1, 2, 3):
        live(world, MIDNIGHT + day * DAY)
        was_found = bool(world.run((MIDNIGHT + day * DAY).date().isoformat())["queuedUsers"])
        assert was_found is ((MIDNIGHT + day * DAY).date().isoformat() >= found_on)


def test_odd_due_ons_are_read_in_pages_of_any_size():
    """A cursor works among values of any type, and no user is met twice."""
    users = {
        f"odd{n:02}": {"credits": 1, "plan": "adder", "creditRefresh": {"dueOn": value}}
        for n, value in enumerate([None, False, True, 1, 2.5, math.nan, b"x", ["a"], {"a": 1}, "far", "zoo"] * 3)
    }
    world = started(population(3), limits=Limits(page_users=4, odd_page_users=4))
    world.users(users)

    live(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["scannedUsers"], run["queuedUsers"]) == ("due", 36, 36)
    assert {periods_of(world, user_id)[0] for user_id in users} == {TOMORROW}


def test_users_are_found_after_the_system_was_paused_from_its_first_day_on():
    """No user has a stamp, and the first day's jobs are too old. No scan by date could find these users."""
    world = World(plans='default_plan = "adder"\n[plans.adder]\nallowance = 10\nperiod = "day"\npolicy = "accumulate"')
    users = {f"user{n:02}": {"credits": 5} for n in range(20)}
    world.users(users)
    world.build(MIDNIGHT, "auto")
    world.pause()
    for day in (1, 2):
        build_all_day(world, MIDNIGHT + day * DAY)
        world.work(NOON + day * DAY)
    world.pause(paused=False)

    live(world, MIDNIGHT + 3 * DAY)

    assert {periods_of(world, user_id)[0] for user_id in users} == {"2026-11-25"}
    assert {world.user(user_id)["credits"] for user_id in users} == {15}


@pytest.mark.parametrize("names", [{"balance_field": "tokens"}, {"plan_field": "tier"}, {"stamp_field": "refresh"}])
def test_other_field_names_have_everybody_read_at_once(names):
    """The users are the same, but their stamps refer to other fields."""
    world = started({"ann": {"credits": 5, "tokens": 7, "plan": "adder", "tier": "adder"}})
    world.settings = world.settings.model_copy(update=names)

    report = world.build(EVENING, "auto")

    assert (report.scan, report.scan_reason, report.counts.scanned) == ("all", CHANGED, 1)


def test_another_collection_of_users_is_read_at_once():
    """Its users were never scanned."""
    world = started({"ann": {"credits": 5, "plan": "adder"}})
    world.put("teams/red", {"credits": 5, "plan": "adder"})
    world.settings = world.settings.model_copy(update={"users_collection": "teams"})

    world.build(NOON, "auto")
    world.work(EVENING)

    assert world.get("teams/red")["credits"] == 15


def test_corrected_plans_are_used_on_a_day_whose_scan_is_complete():
    """Users who failed for an unknown plan are refreshed on the same day."""
    world = started({"ann": {"credits": 5, "plan": "gold"}})
    assert world.run()["errorsByCode"] == {"unknown_plan": 1}
    world.plans = World(
        plans='default_plan = "gold"\n[plans.gold]\nallowance = 90\nperiod = "day"\npolicy = "top_up"'
    ).plans

    world.build(NOON, "auto")
    world.work(EVENING)

    assert world.user("ann")["credits"] == 90


# Named until they are in order


def test_a_user_who_fails_is_named_every_day_and_refreshed_once_corrected():
    """This holds on days with a scan by date, too."""
    world = started({**population(3), "text": {"credits": "50", "plan": "adder"}})
    named = []
    for day in (1, 2, 3):
        live(world, MIDNIGHT + day * DAY)
        run = world.run((MIDNIGHT + day * DAY).date().isoformat())
        named.append((run["scan"], run["failedUsers"], [error["userId"] for error in run["errors"]]))
    world.update("users/text", credits=50)
    live(world, MIDNIGHT + 4 * DAY)

    assert named == [("due", 1, ["text"])] * 3
    assert world.user("text")["credits"] == 60
    assert world.run("2026-11-26")["failedUsers"] == 0


@pytest.mark.parametrize("balance", [None, True, "50", [50], {"amount": 50}, math.nan, math.inf, -math.inf])
def test_a_user_whose_balance_is_no_number_is_named_once_a_day(balance):
    """Where a plan leaves full users alone, such a user is found by date and by balance."""
    world = started({**population(3), "odd": {"credits": balance, "plan": "lite"}}, plans=PLANS + LITE)

    live(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["failedUsers"]) == ("due", 1)
    assert [error["userId"] for error in run["errors"]] == ["odd"]


def test_a_user_whose_stamp_is_no_map_is_read_by_name_every_day():
    """The app's value stays, and the proof counts the user by name."""
    world = started({**population(3), "odd": {"credits": 5, "plan": "adder", "creditRefresh": "mine"}})
    for day in (1, 2):
        live(world, MIDNIGHT + day * DAY)
        run = world.run((MIDNIGHT + day * DAY).date().isoformat())
        assert (run["scan"], run["proof"]["differences"], run["scannedUsers"]) == ("due", [0], 4)
        assert [error["userId"] for error in run["errors"]] == ["odd"]
    assert world.user("odd")["creditRefresh"] == "mine"

    world.put("users/odd", {"credits": 5, "plan": "adder"})
    live(world, MIDNIGHT + 3 * DAY)
    live(world, MIDNIGHT + 4 * DAY)

    assert periods_of(world, "odd") == ["2026-11-26"]
    assert world.user("odd")["credits"] == 25
    assert world.run("2026-11-26")["namesFrom"] is None


def test_the_follow_up_list_keeps_the_day_on_which_a_user_first_failed():
    """This holds for a user found by date and for one found by name."""
    world = started({"text": {"credits": "50"}, "odd": {"credits": 5, "creditRefresh": "mine"}})
    for day in (1, 2):
        live(world, MIDNIGHT + day * DAY)

    entries = follow_ups(world, "2026-11-24")
    assert {entry["userId"]: entry["since"] for entry in entries} == {"text": TODAY, "odd": TODAY}
    assert {entry["userId"]: entry.get("named", False) for entry in entries} == {"text": False, "odd": True}


def test_a_run_document_that_was_deleted_is_made_again_with_its_follow_up_list():
    """The day is scanned again. The list that the deleted run left below it is no obstacle."""
    world = started({**population(3), "text": {"credits": "50"}})
    world.delete(f"credit_refresh_runs/{TODAY}")

    report = world.build(NOON, "auto")

    assert (report.status, report.counts.scanned, report.counts.failed) == ("completed", 4, 1)


def test_a_paused_user_keeps_a_date_that_the_scan_finds():
    """A resumed user is granted the next day at the latest."""
    world = started({"ann": {"credits": 5, "plan": "adder", "creditRefresh": {"paused": True}}})
    for day in (1, 2):
        live(world, MIDNIGHT + day * DAY)
        assert world.run((MIDNIGHT + day * DAY).date().isoformat())["scan"] == "due"
    world.update("users/ann", creditRefresh={"dueOn": TODAY})

    live(world, MIDNIGHT + 3 * DAY)

    assert world.user("ann")["credits"] == 15


def test_a_user_who_lost_the_balance_loses_the_due_on():
    """In the proof such a `dueOn` would hide a user who is missing."""
    world = started(population(3))
    user = world.user("user00001")
    world.put("users/user00001", {"plan": "adder", "creditRefresh": user["creditRefresh"]})

    live(world, MIDNIGHT + DAY)
    live(world, MIDNIGHT + 2 * DAY)

    assert "dueOn" not in world.user("user00001")["creditRefresh"]
    assert world.run("2026-11-24")["proof"]["differences"] == [0]


# Adoption


def test_a_user_who_could_not_be_adopted_is_adopted_after_the_correction():
    """The schedule's scan adopts the user. The 250,000 credits stay unchanged until the next period."""
    plans = (
        'default_plan = "pro"\n[plans.pro]\nallowance = 100000\nperiod = "month"\npolicy = "reset"\n'
        '[plans.basic]\nallowance = 5\nperiod = "month"\npolicy = "reset"'
    )
    world = World(plans=plans)
    world.users(
        {
            "ann": {"credits": 250_000},
            "typo": {"credits": 250_000, "plan": "prro"},
            "text": {"credits": "250000"},
            "odd": {"credits": 250_000, "creditRefresh": "mine"},
        }
    )
    first = world.build(MIDNIGHT, "adopt")
    assert (first.counts.adopted, first.counts.failed) == (1, 3)
    world.update("users/typo", plan="pro")
    world.update("users/text", credits=250_000)
    world.put("users/odd", {"credits": 250_000})

    live(world, MIDNIGHT + DAY)

    for user_id in ("ann", "typo", "text", "odd"):
        assert world.user(user_id)["credits"] == 250_000, user_id
        assert periods_of(world, user_id) == ["2026-11-01"]
        assert "adopt" not in world.user(user_id)["creditRefresh"]
    live(world, datetime(2026, 12, 1, tzinfo=UTC))
    assert {world.user(user_id)["credits"] for user_id in ("ann", "typo", "text", "odd")} == {100_000}


def test_an_adoption_called_again_tries_those_it_could_not_stamp():
    """It reads no other users."""
    world = World()
    world.users({**population(9), "text": {"credits": "5", "plan": "adder"}})
    world.build(MIDNIGHT, "adopt")
    again = world.build(NOON, "adopt")
    world.update("users/text", credits=5)

    last = world.build(EVENING, "adopt")

    assert (again.counts.scanned, again.counts.failed) == (1, 1)
    assert (last.counts.scanned, last.counts.adopted, last.counts.failed) == (1, 1, 0)
    assert (world.user("text")["credits"], periods_of(world, "text")) == (5, [TODAY])
    assert world.run()["scannedUsers"] == 10


def test_an_adoption_after_changed_plans_grants_nobody():
    """The day's scan has read everybody under the old plans. The refresh is paused while the new ones are adopted."""
    monthly = PLANS.replace('allowance = 10\nperiod = "day"', 'allowance = 10\nperiod = "month"')
    world = started({"ann": {"credits": 5, "plan": "adder"}}, plans=monthly, full_scan_below=100)
    world.pause()
    world.plans = parse_plans(PLANS)

    adopted = world.build(NOON, "adopt")
    world.pause(paused=False)
    world.work(EVENING)

    assert (adopted.scan, adopted.status, adopted.counts.adopted) == ("adopt", "completed", 1)
    assert world.user("ann")["credits"] == 15
    assert periods_of(world, "ann") == [TODAY]


def test_an_adoption_called_again_names_each_user_once():
    """A failing user is found by date, and may be found by balance as well."""
    world = World(plans=PLANS + LITE)
    world.users({"ann": {"credits": 3}, "typo": {"credits": 3, "plan": "prro"}, "text": {"credits": "3"}})
    world.build(MIDNIGHT, "adopt")

    again = world.build(NOON, "adopt")

    assert (again.counts.scanned, again.counts.failed, again.errors.total) == (2, 2, 2)
    assert sorted(error["userId"] for error in again.errors.shown) == ["text", "typo"]


WEEKLY = 'default_plan = "weekly"\n[plans.weekly]\nallowance = 70\nperiod = "week"\npolicy = "reset"'


def adopted_but_for(stamp: Any = "mine", balance: Any = 250_000) -> World:
    """A deployment whose adoption met a user `old` with that stamp and balance, and could not stamp this user."""
    world = World(plans=WEEKLY, slot_seconds=86_400)
    fields = {"credits": balance} if stamp is None else {"credits": balance, "creditRefresh": stamp}
    world.users({"old": fields, "ann": {"credits": 3}, "zoe": {"credits": 3}})
    world.build(MIDNIGHT, "adopt")
    return world


@pytest.mark.parametrize(
    "fault",
    [
        on_user("old", WireError(grpc.StatusCode.UNAVAILABLE)),
        on_user("old", WireError(grpc.StatusCode.INTERNAL)),
        on_user("old", WireError(grpc.StatusCode.PERMISSION_DENIED)),
        on_user("old", Mode.REFUSED),
        on_user("old", Mode.LOST),
        refusing(14, "old"),
        refusing(3, "old"),
    ],
    ids=["unavailable", "internal", "denied", "refused", "lost", "write-14", "write-3"],
)
def test_a_user_to_be_adopted_whom_one_scan_can_not_write_is_adopted_by_the_next(fault):
    """The scan names the user and goes on. The 250,000 credits stay unchanged until the next period."""
    world = adopted_but_for()
    world.update("users/old", creditRefresh={})
    with world.faulty(fault):
        report = world.build(MIDNIGHT + DAY, "auto")

    live(world, MIDNIGHT + 2 * DAY)

    assert (report.status, report.errors.shown[0]["userId"]) == ("completed", "old")
    assert (world.user("old")["credits"], periods_of(world, "old")) == (250_000, ["2026-11-23"])
    live(world, MIDNIGHT + 8 * DAY)
    assert world.user("old")["credits"] == 70


def test_a_user_to_be_adopted_is_not_lost_to_a_scan_that_ends_there(monkeypatch):
    """The call ends while it adopts the user. The next call begins with this user, and counts each user once."""
    world = adopted_but_for()
    world.update("users/old", creditRefresh={})

    def failing(*_arguments):
        raise SystemFailureError("the database is gone")

    monkeypatch.setattr(build, "adopt_users", failing)
    with pytest.raises(SystemFailureError):
        world.build(MIDNIGHT + DAY)
    monkeypatch.setattr(build, "adopt_users", adopt_users)
    world.build(MIDNIGHT + DAY + TEN_MINUTES)

    run = world.run(TOMORROW)
    assert (run["scannedUsers"], run["adoptedUsers"], run["queuedUsers"]) == (3, 1, 2)
    assert (world.user("old")["credits"], periods_of(world, "old")) == (250_000, [TOMORROW])


@pytest.mark.parametrize(
    ("stamp", "balance", "corrected"),
    [
        (None, "250000", {}),
        ("mine", 250_000, {"creditRefresh": {"paused": True}}),
        ({"anchor": 7}, 250_000, {"creditRefresh": {}}),
    ],
    ids=["no stamp", "paused", "empty stamp"],
)
def test_a_user_to_be_adopted_whose_mark_the_app_wiped_is_adopted(stamp, balance, corrected):
    """The app corrects the user by set() without merge. The follow-up list still has the user by name."""
    world = adopted_but_for(stamp, balance)
    world.put("users/old", {"credits": 250_000, **corrected})

    live(world, MIDNIGHT + DAY)
    live(world, MIDNIGHT + 2 * DAY)

    assert world.run("2026-11-24")["namesFrom"] is None
    assert (world.user("old")["credits"], periods_of(world, "old")) == (250_000, [TOMORROW])


def test_a_user_to_be_adopted_is_kept_until_in_order():
    """The app wipes the mark, and the user still fails. Each day's list takes the user over from the one before."""
    world = adopted_but_for(None, "250000")
    world.put("users/old", {"credits": "250000"})
    live(world, MIDNIGHT + DAY)
    world.put("users/old", {"credits": "250,000"})
    live(world, MIDNIGHT + 2 * DAY)
    world.put("users/old", {"credits": 250_000})

    live(world, MIDNIGHT + 3 * DAY)

    assert (world.user("old")["credits"], periods_of(world, "old")) == (250_000, [TOMORROW])


def test_a_preview_counts_a_user_to_be_adopted_as_adopted():
    """It writes nothing."""
    world = adopted_but_for()
    world.update("users/old", creditRefresh={})

    counts = world.preview(MIDNIGHT + DAY).counts

    assert (counts.scanned, counts.adopted, counts.queued, counts.failed) == (3, 1, 2, 0)
    assert world.user("old")["creditRefresh"] == {}


@pytest.mark.parametrize("scan", ["auto", "all", "due"])
def test_an_adoption_unfinished_at_midnight_keeps_those_it_could_not_stamp(scan):
    """The next day's run goes on behind them. Its follow-up list has them all the same."""
    world = World(plans=WEEKLY, slot_seconds=86_400, limits=Limits(page_users=2))
    world.users({"ann": {"credits": 3}, "old": {"credits": 250_000, "creditRefresh": "mine"}, "zoe": {"credits": 3}})
    world.build_a_page(MIDNIGHT - DAY, "adopt")
    world.update("users/old", creditRefresh={})

    for number in range(3):
        world.build(MIDNIGHT + number * TEN_MINUTES, scan)
    world.work()

    balances = {user_id: user["credits"] for user_id, user in world.all("users").items()}
    assert balances == {"ann": 3, "old": 250_000, "zoe": 3}
    assert periods_of(world, "old") == ["2026-11-16"]


def test_an_adoption_of_marked_users_unfinished_at_midnight_adopts_nobody_else():
    """The other users were adopted the day before. The new day's scan grants them."""
    world = World()
    world.users({**population(5), "text": {"credits": "5", "plan": "adder"}})
    world.build(MIDNIGHT, "adopt")
    world.update("credit_refresh_runs/2026-11-22", status="in_progress", adoptsMarked=True, completedAt=None)
    world.update("users/text", credits=5)

    live(world, MIDNIGHT + DAY)

    assert {user_id: user["credits"] for user_id, user in world.all("users").items()} == {
        **dict.fromkeys(population(5), 15),
        "text": 5,
    }


def test_a_user_who_was_adopted_in_an_unfinished_scan_is_granted_the_next_day():
    """The new day's scan reads the old follow-up list. The user's stamp says that the adoption has been made."""
    world = World(slot_seconds=86_400)
    world.users({"ann": {"credits": 3, "plan": "adder", "creditRefresh": "mine"}, **population(3)})
    world.build(MIDNIGHT, "adopt")
    world.build(MIDNIGHT + TEN_MINUTES, "auto")
    world.update("users/ann", creditRefresh={})
    world.build_a_page(MIDNIGHT + DAY, "auto")
    assert (world.user("ann")["credits"], periods_of(world, "ann")) == (3, [TOMORROW])

    live(world, MIDNIGHT + 2 * DAY)

    assert world.run(TOMORROW)["status"] == "superseded"
    assert (world.user("ann")["credits"], periods_of(world, "ann")) == (13, ["2026-11-24"])


# A scan at one moment


def test_nobody_is_queued_twice_while_workers_settle_older_jobs():
    """Builder and worker begin at the same moment, while last evening's jobs wait."""
    world = World(limits=Limits(page_users=10), job_size=5)
    users = population(60)
    world.users(users)
    world.build(MIDNIGHT)
    reports = [world.build_a_page(MIDNIGHT + DAY, "auto")]
    while reports[-1].has_more:
        world.work(MIDNIGHT + DAY, jobs_max=2)
        reports.append(world.build_a_page(MIDNIGHT + DAY, "auto"))
    world.work(MIDNIGHT + DAY + timedelta(hours=23, minutes=59))

    queued = [user_id for job in world.jobs().values() if job["runId"] == TOMORROW for user_id in job["userIds"]]
    assert sorted(queued) == sorted(set(queued))


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_of_three_hundred_users_meets_each_of_them_once(seed):
    """Workers settle a random number of last evening's jobs between the pages. No user is counted or granted twice."""
    drawn = random.Random(seed)
    world = World(limits=Limits(page_users=40), job_size=20)
    world.users(population(300))
    live(world, MIDNIGHT)
    world.build(MIDNIGHT + DAY, "auto")
    midnight = MIDNIGHT + 2 * DAY
    report = world.build_a_page(midnight, "auto")
    while report.has_more:
        world.work(midnight, jobs_max=drawn.randrange(1, 6))
        report = world.build_a_page(midnight, "auto")
    world.work(midnight + timedelta(hours=23, minutes=59))

    run = world.run("2026-11-24")
    assert (run["scan"], run["scannedUsers"]) == ("due", 300)
    days = Counter((receipt["userId"], job_id[:10]) for job_id, receipt in world.receipts())
    assert set(days.values()) == {1}
    assert {user["credits"] for user in world.all("users").values()} <= {25, 35}


# Counts that can't be made


def test_a_count_that_fails_is_no_proof_and_no_failure():
    """If the index is missing or still being built, the scan by date goes on, and the run says why."""
    world = started(population(5))
    world.users({"new": {"credits": 0, "plan": "adder"}})
    no_index = lambda _n, method, _request: (  # noqa: E731
        WireError(grpc.StatusCode.FAILED_PRECONDITION) if method == "RunAggregationQuery" else None
    )
    with world.faulty(no_index):
        build_all_day(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["scan"], run["status"], run["queuedUsers"]) == ("due", "completed", 5)
    assert run["proof"]["unavailable"]


@pytest.mark.parametrize("full_scan_below", [0, 20_000])
def test_a_day_is_completed_although_no_count_can_be_made(full_scan_below):
    """The day needs neither the count of a small project's users nor that of full users."""
    world = started(population(5), plans=PLANS + LITE)
    world.settings = world.settings.model_copy(update={"full_scan_below": full_scan_below})
    no_counts = lambda _n, method, _request: (  # noqa: E731
        WireError(grpc.StatusCode.DEADLINE_EXCEEDED) if method == "RunAggregationQuery" else None
    )
    with world.faulty(no_counts):
        build_all_day(world, MIDNIGHT + DAY)

    run = world.run(TOMORROW)
    assert (run["status"], run["queuedUsers"], run["whenLowUsers"]) == ("completed", 5, None)


def test_a_count_that_hangs_leaves_time_for_the_scan(monkeypatch):
    """The count gets a share of the call's time, and is not tried again in the call."""
    world = started(population(5))
    monkeypatch.setattr(prove, "COUNT_SHARE", 0.01)

    def hanging(_number, method, _request):
        if method != "RunAggregationQuery":
            return None
        time.sleep(0.7)
        return WireError(grpc.StatusCode.DEADLINE_EXCEEDED)

    with world.faulty(hanging) as faults:
        report = world.build(MIDNIGHT + DAY, "auto")

    assert (report.status, report.counts.queued, faults.calls.count("RunAggregationQuery")) == ("completed", 5, 1)
    assert world.run(TOMORROW)["proof"]["missed"] == 1


@pytest.mark.parametrize(("refused", "scan", "unavailable"), [(1, "all", False), (99, "due", True)])
def test_a_count_that_fails_for_a_passing_reason_is_made_by_a_later_call(refused, scan, unavailable):
    """An outage at midnight must not cost the day its proof. After three failed tries the day has none."""
    world = started(population(5))
    world.users({"new": {"credits": 0, "plan": "adder"}})
    overloaded = lambda _n, method, _request: (  # noqa: E731
        WireError(grpc.StatusCode.RESOURCE_EXHAUSTED) if method == "RunAggregationQuery" else None
    )
    for call in range(6):
        with world.faulty(overloaded) if call < refused else nullcontext():
            world.build(MIDNIGHT + DAY + call * TEN_MINUTES, "auto")

    run = world.run(TOMORROW)
    assert (run["scan"], run["status"]) == (scan, "completed")
    assert (run["proof"]["missed"], run["proof"]["unavailable"] is not None) == (min(refused, 3), unavailable)


# Small projects


@pytest.mark.parametrize(("users", "scan"), [(5, "all"), (6, "due")])
def test_a_small_project_reads_everybody_every_day(users, scan):
    """Up to `FULL_SCAN_BELOW` users nothing depends on `dueOn`."""
    world = started(population(users), full_scan_below=5)

    report = world.build(MIDNIGHT + DAY, "auto")

    assert report.scan == scan
    assert world.run(TOMORROW)["generation"] == 0


# Rescans


def test_a_rescan_while_jobs_wait_counts_nobody_twice():
    """Users whose jobs still wait are in the jobs of the new scan, and the older jobs are closed unread."""
    world = World(job_size=5, slot_seconds=21_600)
    world.users(population(40))
    world.build(MIDNIGHT, "auto")
    world.work(MIDNIGHT + timedelta(hours=7))
    settled = world.rollup()["refreshedUsers"]
    assert 0 < settled < 40
    world.update("credit_refresh_runs/2026-11-22", rescanRequested=True)

    world.build(MIDNIGHT + timedelta(hours=7, minutes=10), "auto")

    run = world.run()
    assert (run["generation"], run["completedGeneration"]) == (1, 1)
    assert (run["queuedUsers"], run["scannedUsers"], run["skippedUsers"]) == (40, 40, settled)


def test_after_a_restore_a_rescan_finds_everybody():
    """The restored dates are those of a plan that was monthly. They look right, so only a rescan finds the users."""
    daily = '[plans.adder]\nallowance = 10\nperiod = "day"'
    world = World(plans=PLANS.replace(daily, daily.replace("day", "month")))
    world.users(population(5))
    live(world, MIDNIGHT)
    backup = world.all("users")
    world.plans = parse_plans(PLANS)
    live(world, MIDNIGHT + DAY)
    world.users(backup)

    live(world, MIDNIGHT + 2 * DAY)
    without = world.all("users")
    eve = Operator("eve@example.com", "a restore", "uid-eve")
    noon = NOON + 3 * DAY
    world.build(MIDNIGHT + 3 * DAY, "auto")
    operator_actions.rescan(world.context(noon), eve, noon.date())
    world.build(noon, "auto")
    world.work(EVENING + 3 * DAY)

    assert without == backup
    assert {user["credits"] for user in world.all("users").values()} == {25}
    assert {user["creditRefresh"]["dueOn"] for user in world.all("users").values()} == {"2026-11-26"}


def test_the_moment_of_a_scan_is_in_whole_microseconds():
    """Firestore refuses to read at any other moment."""
    world = started(population(3))

    moments = [world.context(NOON).control().look(NOON).read_time_ns for _ in range(5)]

    assert [moment % 1000 for moment in moments] == [0] * 5
    assert world.run()["readTimeNs"] % 1000 == 0
