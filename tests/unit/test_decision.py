"""The decision: it grants once per plan and period, only `reset` lowers a balance, and repeating it changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.core.decision import AlreadyApplied, Decision, Grant, Skip, SkipReason, decide
from shared.core.errors import UserError
from shared.core.periods import Period, period_of
from shared.core.plans import INT64_MAX, Anchor, PeriodKind, Plan, PlanTable, Policy
from shared.core.users import LastGrant, User
from tests.unit.strategies import PLAN_NAMES, days, plan_names, plan_tables, users

SUNDAY = date(2026, 11, 22)
SIGNUP = date(2026, 1, 31)
ONE_DAY = timedelta(days=1)
FREE = Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP)
PRO = Plan("pro", 2000, PeriodKind.MONTH, Policy.RESET, Anchor.SIGNUP)
PLANS = PlanTable({"free": FREE, "pro": PRO}, "free", "f")

SKIPPED = Skip(SkipReason.ALREADY_GRANTED)


def user(balance=10, plan=None, periods=None, anchor=SIGNUP, **more) -> User:
    return User(balance, plan, {name: date.fromisoformat(day) for name, day in (periods or {}).items()}, anchor, **more)


def grant(plan: Plan, start: str, end: str, before: float, after: float, *, anchor: date | None = None) -> Grant:
    return Grant(plan.name, Period(date.fromisoformat(start), date.fromisoformat(end)), before, after, anchor)


def granted(to: User, by: Any, job_id: str) -> User:
    """The user after the write of a grant."""
    return replace(
        to,
        balance=by.after,
        purchased=by.purchased,
        periods={**to.periods, by.plan: by.period.start},
        anchor=by.anchor or to.anchor,
        last_grant=LastGrant(job_id, by.before, by.granted),
        due_on=by.due_on,
    )


def without_due_on(decision: Decision) -> Decision:
    """The decision without its `dueOn`, which other tests check."""
    return replace(decision, due_on=None) if isinstance(decision, Skip) else decision


@pytest.mark.parametrize(
    ("who", "decision"),
    [
        (None, Skip(SkipReason.NO_BALANCE)),
        (user(), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(plan="free"), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(periods={"free": "2026-11-21"}), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(periods={"free": "2026-08-01"}), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(periods={"free": "2026-11-22"}), SKIPPED),
        (user(periods={"free": "2026-11-23"}), SKIPPED),
        (user(periods={"pro": "2026-11-22"}), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(50), grant(FREE, "2026-11-22", "2026-11-23", 50, 50)),
        (user(70.5), grant(FREE, "2026-11-22", "2026-11-23", 70.5, 70.5)),
        (user(-3), grant(FREE, "2026-11-22", "2026-11-23", -3, 50)),
        (user(5000, "pro"), grant(PRO, "2026-10-31", "2026-11-30", 5000, 2000, anchor=SIGNUP)),
        (user(5000, "pro", {"pro": "2026-09-30"}), grant(PRO, "2026-10-31", "2026-11-30", 5000, 2000, anchor=SIGNUP)),
        (user(5000, "pro", {"pro": "2026-10-31"}), SKIPPED),
        (user(5000, "pro", {"free": "2026-11-22"}), grant(PRO, "2026-10-31", "2026-11-30", 5000, 2000, anchor=SIGNUP)),
        (user(0, "pro", anchor=SUNDAY), grant(PRO, "2026-11-22", "2026-12-22", 0, 2000, anchor=SUNDAY)),
        (user(0, "pro", anchor=SUNDAY + ONE_DAY), Skip(SkipReason.BEFORE_ANCHOR)),
        (user(0, "free", anchor=SUNDAY + ONE_DAY), grant(FREE, "2026-11-22", "2026-11-23", 0, 50)),
        (user(paused=True), Skip(SkipReason.PAUSED)),
        (user(paused=True, plan="gold"), Skip(SkipReason.PAUSED)),
        (user(50, last_grant=LastGrant("job", 10, 40)), AlreadyApplied(10, 50)),
        (user(3, last_grant=LastGrant("job", 10, 40)), AlreadyApplied(10, 50)),
        (user(50, last_grant=LastGrant("job", -99.99, 149.99)), AlreadyApplied(-99.99, 50)),  # not 50.000000000000014
        (user(paused=True, last_grant=LastGrant("job", 10, 40)), AlreadyApplied(10, 50)),
        (user(plan="gold", last_grant=LastGrant("job", 10, 40)), AlreadyApplied(10, 50)),
        (user(plan="pro", last_grant=LastGrant("job", 0, 0)), AlreadyApplied(0, 0)),
        (user(last_grant=LastGrant("other", 10, 40)), grant(FREE, "2026-11-22", "2026-11-23", 10, 50)),
        (user(periods={"free": "2026-11-22"}, last_grant=LastGrant("other", 10, 40)), SKIPPED),
    ],
)
def test_a_user_is_granted_or_skipped_for_the_right_reason(who, decision):
    """The day is a Sunday, and the job's id is `job`."""
    assert decision == without_due_on(decide(who, PLANS, SUNDAY, "job"))


def test_without_a_job_id_no_grant_counts_as_applied():
    """The builder decides without a job id. An empty job id in a stamp is not the same."""
    who = user(last_grant=LastGrant("", 10, 40))

    assert isinstance(decide(who, PLANS, SUNDAY, None), Grant)


@pytest.mark.parametrize(
    ("who", "code"),
    [(user(plan="gold"), "unknown_plan"), (user(plan=""), "unknown_plan"), (user(1e300), "out_of_range")],
)
def test_an_unknown_plan_or_a_result_beyond_64_bits_fails_that_user_alone(who, code):
    with pytest.raises(UserError) as raised:
        decide(who, PLANS, SUNDAY, "job")

    assert code == raised.value.code


def test_a_full_balance_is_granted_nothing_and_stamped():
    """The stamp prevents a second grant in this period when the balance is spent later."""
    decision = decide(user(60), PLANS, SUNDAY, "job")

    assert isinstance(decision, Grant)
    assert (decision.granted, decision.period.start) == (0, SUNDAY)


def decided(who: User, plans: PlanTable, day: date, job_id: str | None = "job") -> Decision | None:
    """The decision; None for a user who fails."""
    try:
        return decide(who, plans, day, job_id)
    except UserError:
        return None


@given(users, plan_tables(), days)
def test_only_reset_lowers_a_balance(who, plans, day):
    """This holds for any user, any plans and any day."""
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    assert decision.before == who.balance
    assert plans.find(who.plan).policy is Policy.RESET or decision.after >= decision.before


@given(users, plan_tables(), days)
def test_a_grant_is_of_the_period_that_contains_the_day(who, plans, day):
    """It is a period of the user's plan, and later than the last one that was granted on it."""
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    assert plans.find(who.plan).name == decision.plan
    assert decision.period.start <= day < decision.period.end
    assert decision.plan not in who.periods or who.periods[decision.plan] < decision.period.start


@given(users, plan_tables(), days, st.integers(-10, 5000))
def test_a_granted_user_is_not_granted_again_in_the_period(who, plans, day, left):
    """Another job finds nothing to do, even when the user has spent since."""
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    after = replace(granted(who, decision, "job"), balance=left)

    assert decide(after, plans, day, "other") == SKIPPED
    assert decide(after, plans, day, None) == SKIPPED


@given(users, plan_tables(), days, plan_names, days)
def test_the_same_job_finds_its_own_grant(who, plans, day, plan, later):
    """Its receipt equals the grant exactly, even when the plan has changed or the user was paused since."""
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    after = replace(granted(who, decision, "job"), plan=plan, paused=True)

    assert AlreadyApplied(decision.before, decision.after) == decide(after, plans, later, "job")


@given(users, plan_tables(), days, st.integers(0, INT64_MAX))
def test_the_receipt_is_exact_after_the_user_has_spent(who, plans, day, left):
    """This holds for whole credits. The receipt is made from the stamp."""
    bought = None if who.purchased is None else round(who.purchased)
    who = replace(who, balance=round(who.balance), purchased=bought)
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    after = replace(granted(who, decision, "job"), balance=left)

    assert AlreadyApplied(decision.before, decision.after) == decide(after, plans, day, "job")


@given(users, plan_tables(), days)
def test_a_paused_user_is_granted_nothing(who, plans, day):
    """This holds for any user and any plan."""
    assert without_due_on(decide(replace(who, paused=True), plans, day, "job")) == Skip(SkipReason.PAUSED)


@given(users, plan_tables(), days)
def test_only_a_grant_on_a_signup_plan_stamps_the_anchor(who, plans, day):
    """A sign-up plan must keep counting from the same day."""
    decision = decided(who, plans, day)
    assume(isinstance(decision, Grant))

    assert decision.anchor == (who.anchor if plans.find(who.plan).counts_from_signup else None)


steps = st.lists(st.tuples(plan_names | st.none(), st.integers(-3, 40), st.integers(-50, 60)), max_size=60)


@given(users, plan_tables(), days, steps)
def test_each_plan_is_granted_at_most_once_per_period(who, plans, day, steps):
    """This holds for any sequence of plan changes, spending and days, even if some days go back."""
    grants: Counter[tuple[str, date]] = Counter()
    who = replace(who, balance=100)
    for number, (plan, passed, spent) in enumerate(steps):
        day += timedelta(days=passed)
        who = replace(who, plan=plan, balance=who.balance - spent)
        decision = decide(who, plans, day, f"job-{number}")
        if isinstance(decision, Grant):
            grants[decision.plan, decision.period.start] += 1
            who = granted(who, decision, f"job-{number}")

    assert set(grants.values()) <= {1}


@given(plan_tables(), days, st.integers(0, 100), st.sampled_from(PLAN_NAMES))
def test_a_decision_on_every_day_grants_every_period(plans, first, length, name):
    """Each period is granted once, in order."""
    who, plan = User(100, name, {}, first), plans.plans[name]
    seen, starts = [], set()
    for passed in range(length):
        day = first + timedelta(days=passed)
        starts.add(period_of(plan, day, first))
        decision = decide(who, plans, day, str(passed))
        if isinstance(decision, Grant):
            seen.append(decision.period)
            who = granted(who, decision, str(passed))

    assert seen == sorted(starts, key=lambda period: period.start)


@given(plan_tables(), plan_names, days, st.integers(1, 3000))
def test_missed_periods_are_granted_once(plans, name, day, missed):
    """After any number of missed periods there is one grant for the present period, then none."""
    who = User(0, name, {}, day)
    first = decide(who, plans, day, "first")
    assume(isinstance(first, Grant))
    late = day + timedelta(days=missed)

    decision = decide(granted(who, first, "first"), plans, late, "late")

    if late < first.period.end:
        assert decision == SKIPPED
    else:
        assert isinstance(decision, Grant)
        assert period_of(plans.plans[name], late, day) == decision.period
        assert decide(granted(who, decision, "late"), plans, late, "later") == SKIPPED


@pytest.mark.parametrize(
    ("who", "due_on"),
    [
        (user(periods={"free": "2026-11-22"}), "2026-11-23"),
        (user(periods={"free": "2026-11-22"}, due_on="2026-11-23"), None),
        (user(periods={"free": "2026-11-22"}, due_on="2026-11-22"), "2026-11-23"),
        (user(periods={"free": "2026-11-22"}, due_on="9999-12-31"), "2026-11-23"),
        (user(periods={"free": "2026-11-22"}, due_on=7), "2026-11-23"),
        (user(periods={"free": "2026-11-25"}), "2026-11-26"),
        (user(periods={"free": "9999-12-31"}), "9999-12-31"),
        (user(plan="pro", periods={"pro": "2026-10-31"}), "2026-11-30"),
        (user(plan="pro", anchor=date(2026, 12, 5)), "2026-12-05"),
        (user(plan="pro", anchor=date(2026, 12, 5), due_on="2026-12-05"), None),
        (user(paused=True), "2026-11-22"),
        (user(paused=True, due_on="2026-11-20"), None),
        (user(paused=True, due_on="2026-11-23"), "2026-11-22"),
        (user(paused=True, due_on="nonsense"), "2026-11-22"),
        (user(paused=True, plan="gold"), "2026-11-22"),
        (user(paused=True, periods={"free": "2026-11-22"}), "2026-11-23"),
        (user(paused=True, periods={"free": "2026-11-22"}, due_on="2026-11-23"), None),
    ],
)
def test_a_skip_corrects_a_wrong_due_on(who, due_on):
    """A right `dueOn` is left alone. Pausing a user does not move it."""
    decision = decide(who, PLANS, SUNDAY, "job")

    assert isinstance(decision, Skip)
    assert decision.due_on == due_on
