"""Fields that an app writes beside the balance: bought credits, own allowances, odd values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.core.errors import RejectedError
from shared.services.signup import take_event
from shared.services.work import work
from shared.store.users import UserDocument
from tests.support.invariants import assert_settled
from tests.support.plans import SKIPPING
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population

MONTHLY = """
default_plan = "small"
on_plan_change = "difference"
[plans.small]
allowance = 400
period = "month"
policy = "reset"
was = ["starter"]
[plans.large]
allowance = 2000
period = "month"
policy = "reset"
carry = 500
"""


def by_queue(world: World) -> None:
    world.day()


def directly(world: World) -> None:
    world.refresh("ann")


both_ways = pytest.mark.parametrize("refresh", [by_queue, directly])


@both_ways
@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        ("weekly", (300, 100), (170, 100)),
        ("weekly", (60, 100), (130, 60)),
        ("weekly", (-30, 100), (70, 0)),
        ("weekly", (0.5, 100), (70.5, 0.5)),
        ("free", (80, 500), (130, 80)),
        ("capped", (90, 50), (130, 50)),
    ],
)
def test_bought_credits_survive_a_grant(refresh, plan, before, after):
    """The policy applies to the plan's own credits alone. The grant also writes what is left of the bought ones."""
    world = World(purchased_field="wallet.bought")
    wallet = {"bought": before[1], "colour": "red"}
    world.users({"ann": {"credits": before[0], "plan": plan, "wallet": wallet}})

    refresh(world)

    ann = world.user("ann")
    assert (ann["credits"], ann["wallet"]) == (after[0], {"bought": after[1], "colour": "red"})
    assert type(ann["wallet"]["bought"]) is type(after[1])


@both_ways
@pytest.mark.parametrize("wallet", [{}, {"wallet": None}, {"wallet": {"bought": None}}, {"wallet": {"colour": "red"}}])
def test_a_missing_field_of_bought_credits_is_not_created(refresh, wallet):
    """A field that is null or absent counts as 0 and stays as it is."""
    world = World(purchased_field="wallet.bought")
    world.users({"ann": {"credits": 300, "plan": "weekly", **wallet}})

    refresh(world)

    ann = world.user("ann")
    assert ann["credits"] == 70
    assert {name: value for name, value in ann.items() if name == "wallet"} == wallet


def test_without_the_setting_bought_credits_are_neither_read_nor_written():
    """Without `PURCHASED_FIELD` a field of that kind may hold anything."""
    world = World()
    world.users({"ann": {"credits": 300, "plan": "weekly", "purchased": "much"}})

    world.day()

    assert (world.user("ann")["credits"], world.user("ann")["purchased"]) == (70, "much")


@both_ways
def test_an_own_allowance_is_granted(refresh):
    """The queue takes it from the job's snapshot, a direct refresh from the document."""
    world = World()
    own = {"plan": "weekly", "allowance": 1000}
    world.users({"ann": {"credits": 300, "plan": "weekly", "creditRefresh": {"override": own}}})

    refresh(world)

    ann = world.user("ann")
    assert (ann["credits"], ann["creditRefresh"]["override"]) == (1000, own)


@both_ways
def test_a_better_plan_adds_the_difference(refresh):
    """The small plan has granted the same month under its former name. Its stamped period stays."""
    world = World(plans=MONTHLY)
    periods = {"starter": "2026-11-01"}
    world.users({"ann": {"credits": 100, "plan": "large", "creditRefresh": {"periods": periods}}})

    refresh(world)

    ann = world.user("ann")
    assert (ann["credits"], ann["creditRefresh"]["granted"]) == (1700, 1600)
    assert ann["creditRefresh"]["periods"] == {**periods, "large": "2026-11-01"}


def test_a_job_decides_on_its_snapshots_without_a_further_read():
    """Bought credits, own allowances and plan changes cost no extra read or write."""
    plain, rich = World(plans=MONTHLY, purchased_field="bought"), World(plans=MONTHLY, purchased_field="bought")
    plain.users({f"user{n:02}": {"credits": 100} for n in range(30)})
    rich.users(
        {
            f"user{n:02}": {
                "credits": 100,
                "plan": "large",
                "bought": 40,
                "creditRefresh": {
                    "periods": {"small": "2026-11-01"},
                    "override": {"plan": "large", "allowance": 1000 + n},
                },
            }
            for n in range(30)
        }
    )

    costs = []
    for world in (plain, rich):
        world.build()
        context = world.context(EVENING)
        worked = work(context, 1000, 60)
        costs.append((context.wire.cost.reads, context.wire.cost.writes))
        assert (worked.tally.refreshed, worked.conflicts) == (30, 0)

    assert costs[0] == costs[1]
    assert [world["credits"] for world in rich.all("users").values()] == [700 + n for n in range(30)]


def test_users_are_read_again_if_their_snapshots_lack_bought_credits():
    """Such snapshots are of an older form. The worker must not grant on them."""
    world = World(purchased_field="bought")
    world.users({"ann": {"credits": 300, "plan": "weekly", "bought": 100}})
    world.build()
    ((job_id, job),) = world.jobs().items()
    assert '"bought":100' in job["snapshots"]
    older = job["snapshots"].replace(',{"bought":100}', "")
    world.update(f"credit_refresh_jobs/{job_id}", snapshots=older)

    world.work()

    assert (world.user("ann")["credits"], world.user("ann")["bought"]) == (170, 100)
    assert_settled(world)


@pytest.mark.parametrize(
    ("changed", "fields", "left"),
    [
        ({"balance_field": "tokens"}, {"credits": 7, "tokens": 70_000}, {"credits": 7, "tokens": 70_000}),
        ({"plan_field": "tier"}, {"credits": 7, "tier": "weekly"}, {"credits": 70, "tier": "weekly"}),
        ({"purchased_field": "bought"}, {"credits": 30, "bought": 20}, {"credits": 70, "bought": 20}),
        ({"purchased_field": "bought"}, {"credits": 90, "bought": 80}, {"credits": 130, "bought": 80}),
    ],
)
def test_a_job_built_with_other_settings_has_its_users_read_again(changed, fields, left):
    """The job's snapshots were read from other fields."""
    world = World()
    world.users({"ann": fields})
    world.build()
    world.settings = world.settings.model_copy(update=changed)

    worked = world.work()

    ann = world.user("ann")
    assert {name: ann[name] for name in fields} == left
    assert (worked.tally.refreshed, worked.conflicts) == (1, 0)


# Fields whose parent is no map

ODD_PARENTS = [
    ({"balance_field": "wallet.credits"}, {"wallet": "none"}, "bad_balance"),
    ({"balance_field": "a.b.credits"}, {"a": {"b": 7}}, "bad_balance"),
    ({"plan_field": "subscription.plan"}, {"credits": 8700, "subscription": "pro"}, "bad_plan"),
    ({"plan_field": "subscription.plan"}, {"credits": 8700, "subscription": ["pro"]}, "bad_plan"),
    ({"stamp_field": "billing.creditRefresh"}, {"credits": 5, "billing": "invoice, net 30"}, "bad_stamp"),
    ({"stamp_field": "a.b.stamp"}, {"credits": 5, "a": {"b": False}}, "bad_stamp"),
    ({"purchased_field": "shop.bought"}, {"credits": 5, "shop": 500}, "bad_purchased"),
    ({"created_at_field": "dates.created"}, {"credits": 5, "dates": "2020-01-01"}, "bad_created_at"),
]


@pytest.mark.parametrize(("settings", "fields", "code"), ODD_PARENTS, ids=lambda value: str(value)[:40])
def test_a_parent_that_is_no_map_fails_the_user_and_is_not_replaced(settings, fields, code):
    """This holds for the queue, a direct refresh and an adoption."""
    world = World(**settings)
    world.users({"ann": fields, "bob": {"credits": 0, "plan": "free", "wallet": {"credits": 0}}})

    built, page, adopted = world.build(), world.page(), world.build(MIDNIGHT + DAY, "adopt")

    for report in (built, page, adopted):
        assert [error["code"] for error in report.errors.shown if error["userId"] == "ann"] == [code]
    world.work()
    assert without_hints(world.user("ann")) == fields


def without_hints(user: dict) -> dict:
    """The user without the fields that make the next scan read it again. The stamp must hold nothing else."""
    stamp = user.get("creditRefresh", {})
    assert set(stamp) <= {"dueOn", "adopt"}
    return {name: value for name, value in user.items() if name != "creditRefresh"}


@pytest.mark.parametrize(("settings", "fields", "code"), ODD_PARENTS, ids=lambda value: str(value)[:40])
def test_a_user_with_an_odd_parent_is_named_every_day_and_the_proof_holds(settings, fields, code):
    """A `due` scan finds the user by date or through the follow-up list."""
    world = World(**settings, full_scan_below=0)
    world.users({"ann": fields, "bob": {"credits": 0, "wallet": {"credits": 0}, "a": {"b": {"credits": 0}}}})
    world.build()
    world.work()

    for number in (1, 2, 3):
        built = world.build(MIDNIGHT + number * DAY, "auto")
        world.work(EVENING + number * DAY)

        assert (built.scan, [error["code"] for error in built.errors.shown]) == ("due", [code])
        assert world.run(f"2026-11-{22 + number}")["proof"]["differences"] == [0]


@pytest.mark.parametrize("settings", [{"stamp_field": "billing.creditRefresh"}, {"stamp_field": "billing.our.stamp"}])
def test_a_sign_up_puts_no_map_where_there_is_a_text(settings):
    """A pause of the user puts none there either."""
    world = World(**settings)
    world.users({"ann": {"credits": 5, "billing": "invoice, net 30"}})
    context = world.context(NOON)
    document = context.users().read(["ann"])["ann"]
    assert isinstance(document, UserDocument)

    assert take_event(context, "event-1", None, document)["code"] == "bad_stamp"
    with pytest.raises(RejectedError, match="ann: the stamp, or a parent of it, is no map"):
        context.users().pause(document, paused=True)
    assert world.user("ann") == {"credits": 5, "billing": "invoice, net 30"}


@pytest.mark.parametrize("billing", [{}, {"billing": None}, {"billing": {}}, {"billing": {"address": "here"}}])
def test_a_parent_that_is_absent_or_null_counts_as_absent(billing):
    """The grant creates the parent with the stamp. Its other fields stay."""
    world = World(stamp_field="billing.creditRefresh", plan_field="billing.plan")
    world.users({"ann": {"credits": 5, **billing}})

    world.day()

    ann = world.user("ann")
    assert ann["credits"] == 50
    stamp = ann["billing"].pop("creditRefresh")
    assert stamp["periods"] == {"free": "2026-11-22"}
    assert ann["billing"] == (billing.get("billing") or {})


# createdAt


@pytest.mark.parametrize(
    ("created_at", "anchor"),
    [
        ("2020-01-31T23:30:00+02:00", "2020-01-31"),
        (1_580_513_400_000, "2020-01-31"),
        (1_580_513_400, "2020-01-31"),
        ({"seconds": 1_580_513_400, "nanoseconds": 0}, "2020-01-31"),
        ({"_seconds": 1_580_513_400, "_nanoseconds": 0}, "2020-01-31"),
        (datetime(2020, 1, 31, tzinfo=UTC), "2020-01-31"),
        ("last spring", None),
        ({"seconds": 1_580_513_400}, None),
        (True, None),
    ],
    ids=str,
)
def test_created_at_is_read_where_it_can_mean_only_one_moment(created_at, anchor):
    """With any other value a user fails on a plan that counts from it, and is refreshed on one that does not."""
    world = World(created_at_field="meta.created")
    anchored, free = {"credits": 1, "plan": "pro", "meta": {"created": created_at}}, {"credits": 1}
    world.users({"ann": anchored, "bob": {**free, "meta": {"created": created_at}}})

    built = world.build()
    world.work()

    ann = world.user("ann")
    assert world.user("bob")["credits"] == 50
    assert [error["code"] for error in built.errors.shown] == ([] if anchor else ["bad_created_at"])
    if anchor is None:
        assert without_hints(ann) == anchored
    else:
        assert ann["creditRefresh"]["anchor"] == anchor


# Full balances and sign-up


def test_full_users_get_no_grant_on_a_plan_that_leaves_them_alone():
    """This holds for a direct refresh and the queue. A user below the allowance is granted, then found by balance."""
    world = World(plans=SKIPPING)
    world.users({"full": {"credits": 50}, "rich": {"credits": 700}, "low": {"credits": 3}, **population(3)})

    report = world.refresh("full", "rich")
    world.day()

    assert (report.tally.skipped, world.user("full")["credits"], world.user("rich")["credits"]) == (2, 50, 700)
    assert all("periods" not in world.user(user_id).get("creditRefresh", {}) for user_id in ("full", "rich"))
    low = world.user("low")
    assert (low["credits"], low["creditRefresh"]["dueOn"], low["creditRefresh"]["periods"]) == (
        50,
        "when-low",
        {"free": "2026-11-22"},
    )
    assert world.user("user00000")["creditRefresh"]["dueOn"] == "2026-11-23"


def test_the_first_period_may_be_granted_by_the_app():
    """With SIGN_UP=stamp the period of the document's create time counts as granted."""
    world = World(sign_up="stamp")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world.users({"ann": {"credits": 700, "plan": "pro"}, "bob": {"credits": 7}})

    report = world.refresh("ann", "bob", now=today + DAY / 2)
    tomorrow = world.refresh("ann", "bob", now=today + DAY * 3 / 2)

    assert (report.tally.skipped, tomorrow.tally.skipped, tomorrow.tally.refreshed) == (2, 1, 1)
    assert (world.user("ann")["credits"], world.user("bob")["credits"]) == (700, 50)
    assert world.user("ann")["creditRefresh"]["periods"] == {"pro": today.date().isoformat()}


def test_the_queue_stamps_the_period_that_the_app_gave():
    """The first scan that meets a new user puts it into a job. The job leaves the balance unchanged."""
    world = World(sign_up="stamp")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    world.users({"ann": {"credits": 700, "plan": "pro"}, "bob": {"credits": 7}})

    world.build(today)
    worked = world.work(today + (EVENING - MIDNIGHT))
    world.build(today + DAY)
    world.work(today + DAY + (EVENING - MIDNIGHT))

    assert (worked.tally.refreshed, worked.tally.skipped) == (0, 2)
    assert (world.user("ann")["credits"], world.user("bob")["credits"]) == (700, 50)
    assert world.user("ann")["creditRefresh"]["periods"] == {"pro": today.date().isoformat()}
