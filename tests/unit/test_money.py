"""A user's month: bought credits, own allowances, plan changes, sign-up and full balances, decided day by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.decision import AlreadyApplied, Decision, Grant, Skip, SkipReason, decide, decide_adoption
from shared.core.errors import UserError
from shared.core.own_days import OwnDays
from shared.core.packing import pack_snapshot, unpack_snapshots
from shared.core.plans import Anchor, Balance, OnPlanChange, PeriodKind, Plan, PlanTable, Policy, WhenFull
from shared.core.ranges import WHEN_LOW
from shared.core.snapshots import snapshot_of, user_of
from shared.core.users import LastGrant, Override, User
from tests.unit.strategies import days, plan_tables, users

FREE = Plan("F", 50, PeriodKind.DAY, Policy.TOP_UP)
SMALL = Plan("S", 400, PeriodKind.MONTH, Policy.RESET, was=("starter",))
PRO = Plan("P", 2000, PeriodKind.MONTH, Policy.RESET)
CARRYING = Plan("C", 2000, PeriodKind.MONTH, Policy.RESET, carry=500)
WEEKLY = Plan("W", 400, PeriodKind.WEEK, Policy.ACCUMULATE, cap=1200)
ANCHORED = Plan("A", 2000, PeriodKind.MONTH, Policy.RESET, Anchor.SIGNUP)
DORMANT = Plan("D", 50, PeriodKind.DAY, Policy.TOP_UP, when_full=WhenFull.SKIP)
ALL = {plan.name: plan for plan in (FREE, SMALL, PRO, CARRYING, WEEKLY, ANCHORED, DORMANT)}
GRANTING = PlanTable(ALL, "F", "f")
DIFFERENCE = PlanTable(ALL, "F", "f", OnPlanChange.DIFFERENCE)
TODAY = date(2026, 11, 26)
SIGNUP = date(2026, 1, 31)


def on(day: str) -> date:
    """A day of 2026, given as month and day."""
    return date.fromisoformat(f"2026-{day}")


def user(balance, plan, periods: Mapping[str, str] | None = None, **more) -> User:
    stamped = {name: on(day) for name, day in (periods or {}).items()}
    return User(balance, plan, stamped, **{"anchor": SIGNUP, **more})


def after(who: User, decision: Decision, job_id: str = "job") -> User:
    """The user after the write of a decision."""
    match decision:
        case Grant():
            return replace(
                _stamped(who, decision, decision.due_on),
                balance=decision.after,
                purchased=decision.purchased,
                last_grant=LastGrant(job_id, decision.before, decision.granted),
            )
        case Skip(stamp=Grant() as stamp, due_on=due_on):
            return replace(_stamped(who, stamp, due_on or who.due_on), adopt=False)
        case Skip(due_on=str() as due_on):
            return replace(who, due_on=due_on)
    return who


def _stamped(who: User, by: Grant, due_on: str) -> User:
    periods = {**who.periods, by.plan: by.period.start}
    return replace(who, periods=periods, anchor=by.anchor or who.anchor, due_on=due_on, given_on=None)


def balances(plans: PlanTable, who: User, *steps: tuple[str, str | None]) -> list:
    """The balances after each step. A step is a day, and the plan that the user changes to on it, if any."""
    found = []
    for number, (day, plan) in enumerate(steps):
        who = replace(who, plan=plan or who.plan)
        who = after(who, decide(who, plans, on(day), f"job-{number}"), f"job-{number}")
        found.append(who.balance)
    return found


# Bought credits


@pytest.mark.parametrize(
    ("plan", "before", "purchased", "expected", "left"),
    [
        ("P", 700, 500, 2500, 500),
        ("P", 300, 500, 2300, 300),
        ("P", -30, 500, 2000, 0),
        ("P", 700, -5, 2000, 0),
        ("P", 0.5, 500, 2000.5, 0.5),
        ("P", 700, None, 2000, None),
        ("F", 560, 500, 560, 500),
        ("F", 80, 500, 130, 80),
        ("W", 1800, 500, 1800, 500),
        ("C", 1400, 500, 3000, 500),
    ],
)
def test_a_grant_says_what_is_left_of_the_bought_credits(plan, before, purchased, expected, left):
    """The rest is written back, but only if the user has such a field."""
    decision = decide(user(before, plan, purchased=purchased), GRANTING, TODAY, "job")

    assert (decision.after, decision.purchased) == (expected, left)


def test_a_retry_finds_its_grant_after_credits_were_spent_and_sold():
    """It is found by the stamp. The next period counts what is left of all bought credits."""
    who = user(700, "P", purchased=500)
    granted = after(who, decide(who, GRANTING, TODAY, "job"))
    assert (granted.balance, granted.purchased) == (2500, 500)

    spent = replace(granted, balance=2500 - 2200 + 1000, purchased=500 + 1000)
    assert decide(spent, GRANTING, TODAY, "job") == AlreadyApplied(700, 2500)

    december = decide(spent, GRANTING, on("12-01"), "later")
    assert (december.after, december.purchased) == (3300, 1300)


# Own allowance


@pytest.mark.parametrize(
    ("override", "steps", "expected"),
    [
        (Override("S", 1000, until=on("11-30")), [("11-26", None), ("12-01", None)], [1000, 400]),
        (Override("S", 1000, until=on("12-01")), [("11-26", None), ("12-01", None)], [1000, 1000]),
        (Override("S", 1000), [("11-26", None), ("12-31", None)], [1000, 1000]),
        (Override("starter", 1000), [("11-26", None)], [1000]),
        (Override("S", 0), [("11-26", None)], [0]),
        (Override("S"), [("11-26", None)], [400]),
        (Override("S", cap=7), [("11-26", None)], [400]),
        (Override("P", 1000), [("11-26", None), ("11-27", "P")], [400, 1000]),
        (Override("gone", 1000), [("11-26", None)], [400]),
        (Override("W", 1000, 1100), [("11-26", "W"), ("11-30", None)], [1010, 1100]),
        (Override("W", 1000), [("11-26", "W"), ("11-30", None)], [1010, 1200]),
        (Override("W", cap=500), [("11-26", "W"), ("11-30", None)], [410, 500]),
    ],
)
def test_an_override_holds_on_its_plan_until_its_end(override, steps, expected):
    """It holds for periods that start by then. An override for another plan is ignored."""
    assert expected == balances(GRANTING, user(10, "S", override=override), *steps)


def test_an_override_changes_nothing_of_a_period_that_was_granted():
    """An override that is set on 20 November, after that month's grant, counts from December on."""
    who = user(10, "S", {"S": "11-01"}, override=Override("S", 1000))

    assert balances(GRANTING, who, ("11-20", None), ("11-30", None), ("12-01", None)) == [10, 10, 1000]


# Plan changes


@pytest.mark.parametrize(
    ("before", "purchased", "expected"),
    [(100, None, 1700), (-50, None, 1550), (3000, None, 4600), (600, 500, 2200)],
)
def test_a_better_plan_adds_the_difference(before, purchased, expected):
    """Bought credits are kept."""
    who = user(before, "P", {"S": "11-01"}, purchased=purchased)

    decision = decide(who, DIFFERENCE, TODAY, "job")

    assert (decision.after, decision.purchased) == (expected, purchased)


def test_plans_changed_back_and_forth_give_the_better_allowance_once():
    """With `difference`, the plan goes up, down and up again. The next month is granted in full."""
    who = user(100, "P", {"S": "11-01"})

    assert balances(
        DIFFERENCE,
        who,
        ("11-26", None),
        ("11-27", "S"),
        ("11-28", "P"),
        ("12-01", None),
        ("12-02", "S"),
        ("12-03", "P"),
    ) == [1700, 1700, 1700, 2000, 2000, 2000]
    assert balances(DIFFERENCE, user(2000, "P", {"P": "11-01"}), ("11-28", "S"), ("12-01", None), ("12-02", "P")) == [
        2000,
        400,
        2000,
    ]


def test_a_downgrade_stamps_the_period_and_grants_nothing():
    """Because of the stamp, the user is not due again in the same period."""
    decision = decide(user(2000, "S", {"P": "11-01"}), DIFFERENCE, on("11-28"), "job")

    assert isinstance(decision, Grant)
    assert (decision.granted, decision.period.start) == (0, on("11-01"))


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (user(10, "P", {"F": "11-26"}), 2000),  # other periods
        (user(10, "P", {"S": "10-01"}), 2000),  # another month
        (user(10, "P", {"A": "11-01"}), 2000),  # another anchor
        (user(10, "P", {"gone": "11-01"}), 2000),  # a plan that was removed
        (user(10, "P", {"starter": "11-01"}), 1610),  # a former name
        (user(10, "P", {"S": "11-01", "C": "11-01"}), 10),  # the largest counts
        (user(10, "P", {"S": "11-01"}, override=Override("S", 1500)), 510),
        (user(10, "P", {"S": "11-01"}, override=Override("P", 3000)), 2610),
        (user(10, "P", {"S": "11-01"}, override=Override("P", 100)), 10),
    ],
)
def test_only_a_grant_of_the_same_period_is_subtracted(who, expected):
    """Own allowances count for both plans."""
    assert expected == decide(who, DIFFERENCE, TODAY, "job").after


def test_by_default_each_plan_grants_once_a_period():
    """What other plans granted does not matter."""
    who = user(10, "S")

    assert balances(GRANTING, who, ("11-26", None), ("11-26", "P"), ("11-27", "S")) == [400, 2000, 2000]


@pytest.mark.parametrize("name", ["S", "starter"])
@pytest.mark.parametrize("stamp", ["S", "starter"])
def test_a_renamed_plan_is_granted_once(name, stamp):
    """The user or the stamp may have the former name. The next grant is stamped with the present one."""
    who = user(360, name, {stamp: "11-01"})

    assert decide(who, GRANTING, TODAY, "job") == Skip(SkipReason.ALREADY_GRANTED, "2026-12-01")
    december = decide(who, GRANTING, on("12-01"), "job")
    assert (december.after, december.plan) == (400, "S")
    both = replace(who, periods={"S": on("10-01"), "starter": on("11-01")})
    assert decide(both, GRANTING, TODAY, "job") == Skip(SkipReason.ALREADY_GRANTED, "2026-12-01")


# Anchors


@pytest.mark.parametrize(
    ("anchor", "stamp", "day", "expected"),
    [
        ("11-20", "11-05", "11-26", "grant 2026-11-20"),  # moved ahead: a new period
        ("11-26", "11-05", "11-26", "grant 2026-11-26"),  # a subscription that begins today
        ("12-03", "11-05", "11-26", "skip 2026-12-03"),  # one that begins later
        ("12-03", "11-05", "12-03", "grant 2026-12-03"),
        ("11-20", "11-20", "11-26", "skip 2026-12-20"),  # corrected without a grant: the app wrote the stamp too
        ("12-03", "12-03", "11-26", "skip 2027-01-03"),
        ("11-10", "11-20", "11-26", "skip 2026-12-10"),  # moved back: that period was granted, later
    ],
)
def test_a_moved_anchor_begins_a_new_period(anchor, stamp, day, expected):
    """The new period is granted, unless the same write stamps it as granted."""
    who = user(10, "A", {"A": stamp}, anchor=on(anchor))

    decision = decide(who, GRANTING, on(day), "job")

    if isinstance(decision, Grant):
        assert expected == f"grant {decision.period.start}"
        assert decision.anchor == who.anchor
    else:
        assert expected == f"skip {decision.due_on}"


def test_only_plans_that_count_from_signup_need_createdat():
    """Users of other plans are refreshed, whatever is in createdAt."""
    who = user(10, "A", anchor=None, anchor_problem="createdAt is a text that names no one moment; write a timestamp")

    with pytest.raises(UserError, match="names no one moment") as raised:
        decide(who, GRANTING, TODAY, "job")

    assert raised.value.code == "bad_created_at"
    assert decide(replace(who, plan="P"), GRANTING, TODAY, "job").after == 2000
    assert decide(replace(who, paused=True), GRANTING, TODAY, "job") == Skip(SkipReason.PAUSED, "2026-11-26")


# Sign-up


@pytest.mark.parametrize(
    ("plan", "day", "stamped"),
    [
        ("P", "11-26", ("P", "11-01")),
        ("P", "11-27", ("P", "11-01")),
        ("P", "11-30", ("P", "11-01")),
        ("P", "12-01", None),
        ("F", "11-26", ("F", "11-26")),
        ("F", "11-25", ("F", "11-26")),  # by a job of the day before
        ("F", "11-27", None),
        ("A", "11-27", ("A", "11-26")),
        ("D", "11-26", ("D", "11-26")),
    ],
)
def test_the_period_the_app_gave_counts_as_granted(plan, day, stamped):
    """The first decision on the user stamps that period and leaves the balance."""
    who = user(700, plan, given_on=TODAY, anchor=TODAY)

    decision = decide(who, GRANTING, on(day), "job")

    if stamped is None:
        assert isinstance(decision, Grant)
    else:
        assert (decision.stamp.plan, decision.stamp.period.start) == (stamped[0], on(stamped[1]))
        assert (decision.reason, decision.stamp.granted) == (SkipReason.ALREADY_GRANTED, 0)
        assert decision.due_on == decision.stamp.due_on
        assert decide(after(who, decision), GRANTING, on(day), "other") == Skip(SkipReason.ALREADY_GRANTED)


def test_an_upgrade_after_a_stamped_sign_up_is_a_plan_change():
    """The app gave the small plan's month. The better plan adds the difference."""
    who = user(400, "S", given_on=TODAY)
    stamped = after(who, decide(who, DIFFERENCE, TODAY, "sign-up"))

    assert decide(replace(stamped, plan="P"), DIFFERENCE, on("11-27"), "job").after == 2000


# Full balances


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (user(50, "D"), ("full", WHEN_LOW)),
        (user(50, "D", due_on=WHEN_LOW), ("full", None)),
        (user(50.5, "D", due_on="2026-11-26"), ("full", WHEN_LOW)),
        (user(80, "D", {"D": "11-25"}, due_on=WHEN_LOW), ("full", None)),
        (user(80, "D", {"D": "11-26"}, due_on=WHEN_LOW), ("already_granted", None)),
        (user(3, "D", {"D": "11-26"}, due_on=WHEN_LOW), ("already_granted", None)),
        (user(3, "D", {"D": "11-26"}, due_on="2026-11-27"), ("already_granted", WHEN_LOW)),
        (user(3, "D", {"D": "11-25"}), (50, WHEN_LOW)),
        (user(49.5, "D", due_on=WHEN_LOW), (50, WHEN_LOW)),
        (user(-7, "D"), (50, WHEN_LOW)),
        # With bought credits or an own allowance, the user is treated like users of other plans.
        (user(560, "D", purchased=500), (560, "2026-11-27")),
        (user(80, "D", purchased=500), (130, "2026-11-27")),
        (user(560, "D", {"D": "11-26"}, purchased=500, due_on=WHEN_LOW), ("already_granted", "2026-11-27")),
        (user(50, "D", purchased=0), ("full", WHEN_LOW)),
        (user(-30, "D", purchased=500), (50, WHEN_LOW)),
        (user(50, "D", override=Override("D", 200)), (200, "2026-11-27")),
        (user(200, "D", override=Override("D", 200)), (200, "2026-11-27")),
        (user(50, "D", override=Override("D")), (50, "2026-11-27")),
        (user(50, "D", override=Override("P", 200)), ("full", WHEN_LOW)),
        (user(50, "D", override=Override("D", 200, until=on("11-25"))), ("full", WHEN_LOW)),
        # One user comes from another plan, and two go to another plan.
        (user(50, "D", {"F": "11-26"}, due_on="2026-11-27"), ("full", WHEN_LOW)),
        (user(50, "F", {"D": "11-26"}, due_on=WHEN_LOW), (50, "2026-11-27")),
        (user(50, "F", {"F": "11-26"}, due_on=WHEN_LOW), ("already_granted", "2026-11-27")),
        # Paused users are found by balance or by date like others.
        (user(50, "D", paused=True, due_on="2026-11-26"), ("paused", WHEN_LOW)),
        (user(50, "D", paused=True, due_on=WHEN_LOW), ("paused", None)),
        (user(3, "D", paused=True, due_on=WHEN_LOW), ("paused", None)),
        (user(3, "D", paused=True), ("paused", WHEN_LOW)),
        (user(80, "D", paused=True, purchased=500, due_on=WHEN_LOW), ("paused", "2026-11-26")),
    ],
)
def test_a_plan_that_skips_full_users_leaves_them_alone(who, expected):
    """Each case has the balance after a grant, or why nothing is granted, and the `dueOn` to write."""
    decision = decide(who, GRANTING, TODAY, "job")

    result = decision.after if isinstance(decision, Grant) else decision.reason.value
    assert expected == (result, decision.due_on)


# Adoption


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (None, ("no_balance", None, None)),
        (user(700, "P"), ("adopted", "2026-11-01", "2026-12-01")),
        (user(700, "P", {"P": "10-01"}), ("adopted", "2026-11-01", "2026-12-01")),
        (user(700, "P", {"P": "11-01"}), ("already_granted", None, "2026-12-01")),
        (user(700, "P", {"P": "11-01"}, due_on="2026-12-01"), ("already_granted", None, None)),
        (user(700, "P", paused=True), ("adopted", "2026-11-01", "2026-12-01")),
        (user(50, "D"), ("adopted", "2026-11-26", WHEN_LOW)),
        (user(50, "A", anchor=on("12-05")), ("before_anchor", None, "2026-12-05")),
        (user(-(2**63), "P"), ("adopted", "2026-11-01", "2026-12-01")),
    ],
)
def test_an_adoption_stamps_the_period_and_grants_nothing(who, expected):
    """This includes full and paused users. A user who was granted already stays unchanged."""
    decision = decide_adoption(who, GRANTING, TODAY)

    stamp = decision.stamp
    assert expected == (decision.reason, None if stamp is None else stamp.period.start.isoformat(), decision.due_on)
    assert stamp is None or stamp.granted == 0


@pytest.mark.parametrize(
    ("periods", "start"),
    [({}, "11-01"), ({"P": "10-01"}, "11-01"), ({"P": "11-01"}, "11-01"), ({"P": "12-01"}, "12-01")],
)
def test_a_user_who_failed_in_an_adoption_is_adopted_and_not_granted(periods, start):
    """The next decision adopts the user. After that there is nothing to grant."""
    who = user(700, "P", periods, adopt=True)

    decision = decide(who, GRANTING, TODAY, "job")

    assert (decision.reason, decision.stamp.period.start) == (SkipReason.ADOPTED, on(start))
    assert isinstance(decide(after(who, decision), GRANTING, TODAY, "other"), Skip)


# Properties


def spending(who: User, amount: int) -> User:
    return replace(who, balance=max(0, who.balance - amount))


@st.composite
def tables_of_one_period(draw):
    """Three plans with the same periods, and `difference` for plan changes."""
    policies = st.sampled_from(Policy)
    plans = {}
    for name in ("a", "b", "c"):
        policy = draw(policies)
        cap = draw(st.none() | st.integers(0, 3000)) if policy is Policy.ACCUMULATE else None
        carry = draw(st.integers(0, 1000)) if policy is Policy.RESET else 0
        plans[name] = Plan(name, draw(st.integers(0, 2000)), PeriodKind.MONTH, policy, cap=cap, carry=carry)
    return PlanTable(plans, "a", "f", OnPlanChange.DIFFERENCE)


@given(
    tables_of_one_period(),
    st.integers(0, 5000),
    st.none() | st.integers(0, 3000),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3000)), max_size=12),
)
def test_any_order_of_plan_changes_grants_the_largest_allowance_at_most(plans, balance, purchased, steps):
    """This holds within one period, with any spending in between, for balances of at least zero."""
    who = user(balance, "a", purchased=purchased)
    granted: Balance = 0
    for number, (plan, spent) in enumerate(steps):
        who = replace(spending(who, spent), plan=plan)
        decision = decide(who, plans, TODAY, f"job-{number}")
        granted += decision.granted if isinstance(decision, Grant) else 0
        who = after(who, decision, f"job-{number}")

    assert granted <= max(plan.allowance for plan in plans.plans.values())


def decision_or_code(who: User, plans: PlanTable, day: date) -> Decision | str:
    try:
        return decide(who, plans, day, None)
    except UserError as exc:
        return exc.code


some_user = st.builds(
    lambda who, given_on, adopt, paused: replace(
        who, given_on=None if who.periods else given_on, adopt=adopt, paused=paused
    ),
    users,
    st.none() | days,
    st.booleans(),
    st.booleans(),
)


own_days = st.sampled_from([None, *(OwnDays(ZoneInfo(name), ZoneInfo("UTC")) for name in ("Asia/Tokyo", "US/Samoa"))])


@given(some_user, own_days, plan_tables(skipping=True), days)
def test_a_snapshot_leads_to_the_same_decision_as_its_user(who, own_days, plans, day):
    """This holds on its day, after packing and unpacking."""
    who = replace(who, own_days=own_days)
    if decision_or_code(who, plans, day) == "out_of_range":
        return  # a user who fails is in no job

    packed = pack_snapshot(snapshot_of(1, who, plans, day))
    (snapshot,) = unpack_snapshots(f"[{packed}]")

    assert snapshot is not None
    assert decision_or_code(who, plans, day) == decision_or_code(user_of(snapshot, plans, ZoneInfo("UTC")), plans, day)


@given(some_user, plan_tables(skipping=True), days, st.integers(-10, 5000))
def test_after_a_decision_there_is_nothing_left_to_do(who, plans, day, left):
    """There is nothing to grant and nothing to write. Spending after a grant leads to no second grant."""
    first = decision_or_code(who, plans, day)
    if isinstance(first, str):
        return
    written = after(who, first)
    again = decision_or_code(written, plans, day)
    spent = decision_or_code(replace(written, balance=left), plans, day)

    assert again == Skip(again.reason)
    if isinstance(first, Grant):
        assert isinstance(spent, Skip)


@given(some_user, plan_tables(skipping=True), days)
def test_the_due_on_of_a_decision_is_a_later_day_or_when_low(who, plans, day):
    """For a paused user who is due it may be this day. After a skip, no grant is due on the day before it."""
    decision = decision_or_code(who, plans, day)
    if isinstance(decision, str) or decision.due_on in (None, WHEN_LOW):
        return

    due_on = date.fromisoformat(decision.due_on)
    assert due_on > day or (due_on == day and who.paused)
    if isinstance(decision, Skip) and not who.paused:
        day_before = decision_or_code(after(who, decision), plans, due_on - timedelta(days=1))
        assert not isinstance(day_before, Grant)
