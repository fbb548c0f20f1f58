"""Odd documents among good ones. Bad ones fail alone, unchanged and named. Unusual ones are refreshed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.support.invariants import assert_settled
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

# The emulator sets create times by the real clock, and a user has no period before the sign-up.
LATER = 36_525 * DAY

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"credits": "50"}, "bad_balance"),
    "true": ({"credits": True}, "bad_balance"),
    "null": ({"credits": None}, "bad_balance"),
    "nan": ({"credits": math.nan}, "bad_balance"),
    "infinity": ({"credits": math.inf}, "bad_balance"),
    "map": ({"credits": {"amount": 5}}, "bad_balance"),
    "unknown-plan": ({"credits": 5, "plan": "platinum"}, "unknown_plan"),
    "plan-number": ({"credits": 5, "plan": 7}, "bad_plan"),
    "stamp-text": ({"credits": 5, "creditRefresh": "yesterday"}, "bad_stamp"),
    "stamp-date": ({"credits": 5, "creditRefresh": {"periods": {"free": "soon"}}}, "bad_stamp"),
    "stamp-number": ({"credits": 5, "creditRefresh": {"periods": {"free": 20261122}}}, "bad_stamp"),
    "grant-too-large": ({"credits": -(2**63)}, "out_of_range"),
    "too-much": ({"credits": 2**63 - 5, "plan": "adder"}, "out_of_range"),
}
UNUSUAL: dict[str, tuple[dict[str, Any], Any]] = {
    "negative": ({"credits": -7}, 50),
    "fraction": ({"credits": 0.25, "plan": "adder"}, 10.25),
    "large": ({"credits": 2**62}, 2**62),
    "with.dots": ({"credits": 1}, 50),
    "with spaces ": ({"credits": 1}, 50),
    "[brackets]{}`'\"": ({"credits": 1}, 50),
    "emoji-😀-ümlaut": ({"credits": 1}, 50),
    "plan-null": ({"credits": 1, "plan": None}, 50),
    "stamp-null": ({"credits": 1, "creditRefresh": None}, 50),
    "created-text": ({"credits": 1, "plan": "pro", "createdAt": "2020-01-01"}, 2000),
}


def same(one: object, other: object) -> bool:
    """True if both are equal; NaN equals NaN."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def without_due_on(fields: dict) -> dict:
    """The user without `dueOn`, which makes a scan read a failing user every day."""
    stamp = fields.get("creditRefresh")
    if not isinstance(stamp, dict):
        return fields
    rest = {name: value for name, value in stamp.items() if name != "dueOn"}
    left = {name: value for name, value in fields.items() if name != "creditRefresh"}
    return {**left, "creditRefresh": rest} if rest else left


def seeded() -> World:
    world = World()
    documents = {user_id: fields for user_id, (fields, _) in {**BAD, **UNUSUAL}.items()}
    world.users(documents | population(30))
    return world


def assert_bad_untouched_and_rest_refreshed(world: World) -> None:
    for user_id, (fields, _) in BAD.items():
        assert same(without_due_on(world.user(user_id)), fields), user_id
    for user_id, (_, balance) in UNUSUAL.items():
        user = world.user(user_id)
        assert (user["credits"], type(user["credits"])) == (balance, type(balance)), user_id
    assert {world.user(user_id)["credits"] for user_id in population(30)} == {15}


def test_the_queue_names_bad_users_and_refreshes_the_others():
    """The builder names the bad users and queues the others."""
    world = seeded()

    built = world.build(MIDNIGHT + LATER)
    worked = world.work(EVENING + LATER)

    named = {error["userId"]: error["code"] for error in built.errors.shown}
    assert named == {user_id: code for user_id, (_, code) in BAD.items()}
    assert (worked.tally.refreshed, worked.tally.failed) == (30 + len(UNUSUAL), 0)
    assert_bad_untouched_and_rest_refreshed(world)
    assert_settled(world)


def test_a_direct_refresh_names_bad_users_and_refreshes_the_others():
    """The direct refresh names the bad users and refreshes the others of its page."""
    world = seeded()

    report = world.page(size=1000, now=NOON + LATER)

    named = {error["userId"]: error["code"] for error in report.errors.shown}
    assert named == {user_id: code for user_id, (_, code) in BAD.items()}
    assert report.tally.refreshed == 30 + len(UNUSUAL)
    assert_bad_untouched_and_rest_refreshed(world)


def test_the_worker_names_users_who_turned_bad_after_the_build():
    """The other users are refreshed."""
    world = World()
    world.users({user_id: {"credits": 1} for user_id in BAD} | population(30))
    world.build()
    world.users({user_id: fields for user_id, (fields, _) in BAD.items()})

    worked = world.work()

    named = {error["userId"]: error["code"] for error in worked.errors.shown}
    assert named == {user_id: code for user_id, (_, code) in BAD.items()}
    assert worked.tally.refreshed == 30
    for user_id, (fields, _) in BAD.items():
        assert same(without_due_on(world.user(user_id)), fields), user_id
    assert_settled(world)


@pytest.mark.parametrize("plan", ["a.b", "with space", "`tick`", "back\\slash", "数", "1st"])
def test_plans_with_odd_names_work(plan):
    """A plan's name is part of a field path. Any name that a plans file allows works."""
    name = plan.replace("\\", "\\\\")
    world = World(plans=f'default_plan = "{name}"\n[plans."{name}"]\nallowance = 9\nperiod = "day"\npolicy = "reset"')
    world.users({"ann": {"credits": 0}})

    world.day()

    assert world.user("ann")["credits"] == 9
    assert world.user("ann")["creditRefresh"]["periods"] == {plan: "2026-11-22"}


def test_fields_and_collections_may_have_other_names():
    """Names from the settings are used everywhere, so a second kind of credit works beside the first."""
    world = World(
        users_collection="tenants/acme/people",
        balance_field="wallet.tokens left",
        plan_field="billing.plan",
        stamp_field="wallet.refresh",
        collection_prefix="token_refresh",
    )
    world.put(
        "tenants/acme/people/ann",
        {"wallet": {"tokens left": 3, "colour": "red"}, "billing": {"plan": "adder"}, "credits": 1},
    )
    world.put("tenants/acme/people/flat", {"wallet": "none"})

    world.day()

    ann = world.get("tenants/acme/people/ann")
    assert (ann["wallet"]["tokens left"], ann["wallet"]["colour"], ann["credits"]) == (13, "red", 1)
    assert ann["wallet"]["refresh"]["periods"] == {"adder": "2026-11-22"}
    assert world.get("tenants/acme/people/flat") == {"wallet": "none"}
    assert len(world.all("token_refresh_jobs")) == 1
    assert world.jobs() == {}
