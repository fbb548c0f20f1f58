"""Plans: what a file may say, and that all its problems are named at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings

from shared.core.errors import ConfigurationError, UserError
from shared.core.plans import (
    INT64_MAX,
    PLANS_MAX,
    Anchor,
    OnPlanChange,
    PeriodKind,
    Plan,
    Policy,
    WeekStart,
    WhenFull,
    parse_plans,
)
from shared.settings import BUNDLE
from tests.support.plans import MODEL
from tests.unit.strategies import plan_tables

FREE = '[plans.free]\nallowance = 50\nperiod = "day"\npolicy = "top_up"\n'
PLAN_KEYS = "allowance, anchor, cap, carry, every, period, policy, was, when_full"
NO_CARRY = "only policy 'reset' has a carry; the others never take credits away"
NO_CALENDAR = "days have no calendar; add anchor = 'signup', or take a week, month or year"
NO_SKIP = "'skip' needs policy 'top_up' and a period of one calendar day"
NO_NAMES = 'is not a list of names such as ["starter"]'
NUMBER = f"a whole number from 0 to {INT64_MAX}"


def file_with(free: str = "", **keys: str | None) -> str:
    """A plans file of one plan. `keys` replace keys of the plan; None leaves a key out."""
    given = {"allowance": "50", "period": '"day"', "policy": '"top_up"', **keys}
    lines = [f"{key} = {value}" for key, value in given.items() if value is not None]
    return "\n".join(['default_plan = "free"', "[plans.free]", *lines, free])


def toml_of(
    default: str, table: dict[str, Plan], change: OnPlanChange = OnPlanChange.GRANT, *, comment: str = ""
) -> str:
    """A plans file with these plans."""
    lines = [f'default_plan = "{default}"', f'on_plan_change = "{change}"']
    lines += [f'week_start = "{plan.week_start}"' for plan in list(table.values())[:1]]
    for plan in table.values():
        lines += [f"[plans.{plan.name}]", f"allowance = {plan.allowance} {comment}", f'period = "{plan.period}"']
        lines += [f'policy = "{plan.policy}"', f'anchor = "{plan.anchor}"']
        lines += [] if plan.cap is None else [f"cap = {plan.cap}"]
        lines += [f"carry = {plan.carry}"] if plan.policy is Policy.RESET else []
        lines += [f"every = {plan.every}", f'when_full = "{plan.when_full}"', f"was = {list(plan.was)!r}"]
    return "\n".join(lines)


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        parse_plans(text)
    return raised.value.problems


def test_a_valid_file_gives_its_plans():
    """Every key is read. `anchor` and `cap` may be left out."""
    text = """
        default_plan = "free"
        [plans.free]
        allowance = 50
        period = "day"
        policy = "top_up"
        [plans."team plan"]
        allowance = 0
        period = "week"
        policy = "accumulate"
        cap = 9223372036854775807
        [plans.pro]
        allowance = 9223372036854775807
        period = "month"
        anchor = "signup"
        policy = "reset"
        carry = 500
        every = 3
        was = ["gold", "team"]
        [plans.dormant]
        allowance = 50
        period = "day"
        policy = "top_up"
        when_full = "skip"
    """

    table = parse_plans(text)

    assert table.default == "free"
    assert table.on_plan_change is OnPlanChange.GRANT
    assert table.former == {"gold": "pro", "team": "pro"}
    assert table.plans == {
        "free": Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP),
        "team plan": Plan("team plan", 0, PeriodKind.WEEK, Policy.ACCUMULATE, cap=INT64_MAX),
        "pro": Plan(
            "pro", INT64_MAX, PeriodKind.MONTH, Policy.RESET, Anchor.SIGNUP, carry=500, every=3, was=("gold", "team")
        ),
        "dormant": Plan("dormant", 50, PeriodKind.DAY, Policy.TOP_UP, when_full=WhenFull.SKIP),
    }


@pytest.mark.parametrize("period", ["day", "week", "month", "year"])
def test_every_period_may_count_from_signup(period):
    """So may days and weeks: a day with every = 30 is a rolling month."""
    plan = parse_plans(file_with(period=f'"{period}"', anchor='"signup"', every="30")).find(None)

    assert (plan.anchor, plan.every) == (Anchor.SIGNUP, 30)


def test_a_file_says_what_a_change_of_plan_gives_and_when_weeks_begin():
    """Both stand at the top, and weeks begin on the same day for all plans."""
    table = parse_plans('on_plan_change = "difference"\nweek_start = "sunday"\n' + file_with())

    assert table.on_plan_change is OnPlanChange.DIFFERENCE
    assert table.find(None).week_start is WeekStart.SUNDAY


def skipping(**allowances: int) -> str:
    """A file of plans that leave full users alone."""
    plans = [
        FREE.replace("free", name).replace("50", str(allowance)) + 'when_full = "skip"\n'
        for name, allowance in allowances.items()
    ]
    return 'default_plan = "a"\n' + "".join(plans)


@pytest.mark.parametrize(
    ("text", "low_below", "warning"),
    [
        (file_with(), None, None),
        (skipping(a=50), 50, None),
        (skipping(a=50, b=50), 50, None),
        (skipping(a=50, b=80, c=60), 80, "from 50 to 80, every day all users are read who have less than 80"),
        (skipping(a=50) + FREE.replace("50", "900"), 50, None),
    ],
)
def test_plans_that_leave_full_users_alone_should_have_one_allowance(text, low_below, warning):
    """If not, users who are full on the smaller one are read every day, and a warning says so."""
    table = parse_plans(text)

    assert table.low_below == low_below
    assert len(table.warnings) == (0 if warning is None else 1)
    assert warning is None or warning in table.warnings[0]


def test_a_byte_order_mark_is_ignored():
    """Some editors write one."""
    assert parse_plans("\ufeff" + file_with()) == parse_plans(file_with())


def test_a_plan_is_found_by_its_former_names():
    """Users and stamps may have them. The latest stamp of all names counts."""
    table = parse_plans(file_with(was='["starter", "basic"]'))
    free = table.find("free")

    assert table.find("starter") is table.find("basic") is free
    assert free.latest_start(
        {"starter": date(2026, 11, 1), "free": date(2026, 10, 1), "pro": date(2026, 12, 1)}
    ) == date(2026, 11, 1)
    assert free.latest_start({"pro": date(2026, 12, 1)}) is None


def test_the_bundles_own_file_is_valid():
    """So a deployment without changes works."""
    table = parse_plans((BUNDLE / "plans.toml").read_text(encoding="utf-8"))

    assert table.find(None) == Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP)
    assert {"free", "starter", "pro"} == set(table.plans)


def test_the_model_uses_every_policy():
    """Its random histories find a grant too many or too few, which a table of balances can't find."""
    assert {plan.policy for plan in parse_plans(MODEL).plans.values()} == set(Policy)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"allowance": None}, f"allowance: nothing is not {NUMBER}"),
        ({"allowance": "true"}, f"allowance: True is not {NUMBER}"),
        ({"allowance": "-1"}, f"allowance: -1 is not {NUMBER}"),
        ({"allowance": "50.0"}, f"allowance: 50.0 is not {NUMBER}"),
        ({"allowance": "nan"}, f"allowance: nan is not {NUMBER}"),
        ({"allowance": '"50"'}, f"allowance: '50' is not {NUMBER}"),
        ({"allowance": "[50]"}, f"allowance: [50] is not {NUMBER}"),
        ({"allowance": "9223372036854775808"}, f"allowance: 9223372036854775808 is not {NUMBER}"),
        ({"period": None}, "period: nothing is not one of day, week, month, year"),
        ({"period": '"fortnight"'}, "period: 'fortnight' is not one of day, week, month, year"),
        ({"period": '"Day"'}, "period: 'Day' is not one of day, week, month, year"),
        ({"period": "1"}, "period: 1 is not one of day, week, month, year"),
        ({"period": '["day"]'}, "period: ['day'] is not one of day, week, month, year"),
        ({"policy": None}, "policy: nothing is not one of top_up, reset, accumulate"),
        ({"policy": '"add"'}, "policy: 'add' is not one of top_up, reset, accumulate"),
        ({"anchor": '"birthday"'}, "anchor: 'birthday' is not one of calendar, signup"),
        ({"anchor": "2026-11-22"}, "anchor: datetime.date(2026, 11, 22) is not one of calendar, signup"),
        ({"cap": "100"}, "cap: only policy 'accumulate' has a cap"),
        ({"cap": "100", "policy": '"reset"'}, "cap: only policy 'accumulate' has a cap"),
        ({"cap": "-1", "policy": '"accumulate"'}, f"cap: -1 is not {NUMBER}"),
        ({"cap": "false", "policy": '"accumulate"'}, f"cap: False is not {NUMBER}"),
        ({"cap": "1e3", "policy": '"accumulate"'}, f"cap: 1000.0 is not {NUMBER}"),
        ({"carry": "500"}, f"carry: {NO_CARRY}"),
        ({"carry": "0"}, f"carry: {NO_CARRY}"),
        ({"carry": "500", "policy": '"accumulate"'}, f"carry: {NO_CARRY}"),
        ({"carry": "-1", "policy": '"reset"'}, f"carry: -1 is not {NUMBER}"),
        ({"carry": "0.5", "policy": '"reset"'}, f"carry: 0.5 is not {NUMBER}"),
        ({"every": "0"}, "every: 0 is not a whole number from 1 to 366"),
        ({"every": "367", "period": '"month"'}, "every: 367 is not a whole number from 1 to 366"),
        ({"every": "true"}, "every: True is not a whole number from 1 to 366"),
        ({"every": '"2"'}, "every: '2' is not a whole number from 1 to 366"),
        ({"every": "30"}, f"every: 30 {NO_CALENDAR}"),
        ({"every": "2", "anchor": '"calendar"'}, f"every: 2 {NO_CALENDAR}"),
        ({"when_full": '"ignore"'}, "when_full: 'ignore' is not one of stamp, skip"),
        ({"when_full": "true"}, "when_full: True is not one of stamp, skip"),
        ({"when_full": '"skip"', "policy": '"reset"'}, f"when_full: {NO_SKIP}"),
        ({"when_full": '"skip"', "policy": '"accumulate"'}, f"when_full: {NO_SKIP}"),
        ({"when_full": '"skip"', "period": '"week"'}, f"when_full: {NO_SKIP}"),
        ({"when_full": '"skip"', "anchor": '"signup"'}, f"when_full: {NO_SKIP}"),
        ({"was": '"starter"'}, f"was: 'starter' {NO_NAMES}"),
        ({"was": "[1]"}, f"was: [1] {NO_NAMES}"),
        ({"was": '[""]'}, f"was: [''] {NO_NAMES}"),
        ({"was": '["free"]'}, "was: 'free' is a plan of this file; take it out of one of the two places"),
        ({"was": '["old", "old"]'}, "was: 'old' is a former name of plans.free already"),
        ({"week_start": '"sunday"'}, f"week_start: unknown key; expected {PLAN_KEYS}"),
        ({"alowance": "50"}, f"alowance: unknown key; expected {PLAN_KEYS}"),
        ({"a.b": "1"}, f"a: unknown key; expected {PLAN_KEYS}"),
    ],
)
def test_a_bad_key_is_named_with_its_plan(keys, problem):
    """One bad key gives one problem, which names plan, key, value and what is expected."""
    assert (f"plans.toml: plans.free.{problem}",) == problems_of(file_with(**keys))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["plans: at least one [plans.NAME] table is needed", "default_plan: nothing is not the name of a plan"]),
        (FREE, ["default_plan: nothing is not the name of a plan"]),
        ("default_plan = 1\n" + FREE, ["default_plan: 1 is not the name of a plan"]),
        ('default_plan = "pro"\n' + FREE, ["default_plan: 'pro' is not one of free"]),
        ('default_plan = "free"', ["plans: at least one [plans.NAME] table is needed"]),
        ('default_plan = "free"\n[plans]', ["plans: at least one [plans.NAME] table is needed"]),
        ('default_plan = "free"\nplans = []', ["plans: at least one [plans.NAME] table is needed"]),
        (
            'default_plan = "free"\non_plan_change = "prorate"\n' + FREE,
            ["on_plan_change: 'prorate' is not one of grant, difference"],
        ),
        (
            'default_plan = "free"\nweek_start = "Sunday"\n' + FREE,
            [f"week_start: 'Sunday' is not one of {', '.join(WeekStart)}"],
        ),
        (
            'default_plan = "free"\nweek_start = 1\n' + FREE,
            [f"week_start: 1 is not one of {', '.join(WeekStart)}"],
        ),
        (
            'default_plan = "old"\n' + FREE + 'was = ["old"]\n',
            ["default_plan: 'old' is not one of free"],
        ),
        (
            'default_plan = "free"\n'
            + FREE
            + 'was = ["old"]\n'
            + FREE.replace("free", "pro")
            + 'was = ["older", "old"]\n',
            ["plans.pro.was: 'old' is a former name of plans.free already"],
        ),
        (
            'default_plan = "free"\n' + FREE + 'was = ["pro"]\n' + FREE.replace("free", "pro"),
            ["plans.free.was: 'pro' is a plan of this file; take it out of one of the two places"],
        ),
        ('default_plan = "free"\n[plans]\nfree = 5', ["plans.free: 5 is not a table"]),
        (
            'default_plan = "free"\nperiod = "day"\n' + FREE,
            ["period: unknown key; expected default_plan, on_plan_change, plans, week_start"],
        ),
        (
            'default_plan = "free"\n' + FREE + FREE.replace("free", '""'),
            ["plans.: a name is 1 to 100 bytes long"],
        ),
        (
            'default_plan = "free"\n' + FREE + FREE.replace("free", '"' + "ü" * 51 + '"'),
            [f"plans.{'ü' * 51}: a name is 1 to 100 bytes long"],
        ),
        (
            'default_plan = "free"\n' + FREE + FREE.replace("free", "__pro__"),
            ["plans.__pro__: Firestore reserves names that begin and end with two underscores"],
        ),
    ],
)
def test_problems_of_the_whole_file_are_named(text, problems):
    assert tuple(f"plans.toml: {problem}" for problem in problems) == problems_of(text)


def test_every_problem_is_named_at_once():
    """One start finds all mistakes."""
    text = """
        default_plan = "fre"
        colour = "red"
        [plans.free]
        allowance = true
        period = "fortnight"
        policy = "add"
        note = "x"
        [plans.pro]
        allowance = -2000
        period = "week"
        anchor = "signup"
        policy = "reset"
        cap = 5
        [plans.team]
        allowance = 10
        period = "day"
        policy = "accumulate"
        cap = "ten"
    """

    assert problems_of(text) == (
        "plans.toml: colour: unknown key; expected default_plan, on_plan_change, plans, week_start",
        f"plans.toml: plans.free.note: unknown key; expected {PLAN_KEYS}",
        "plans.toml: plans.free.period: 'fortnight' is not one of day, week, month, year",
        "plans.toml: plans.free.policy: 'add' is not one of top_up, reset, accumulate",
        f"plans.toml: plans.free.allowance: True is not {NUMBER}",
        f"plans.toml: plans.pro.allowance: -2000 is not {NUMBER}",
        "plans.toml: plans.pro.cap: only policy 'accumulate' has a cap",
        f"plans.toml: plans.team.cap: 'ten' is not {NUMBER}",
        "plans.toml: default_plan: 'fre' is not one of free, pro, team",
    )


@pytest.mark.parametrize(
    "text",
    [
        "default_plan = free",
        "[plans.free",
        '{"default_plan": "free"}',
        "a = 1\na = 2",
        FREE + FREE,
        "day = 2026-02-30",
        file_with(allowance="9" * 5000),
        file_with(allowance="[" * 5000),
    ],
    ids=["bare", "open", "json", "twice", "plan-twice", "no-such-day", "digits", "brackets"],
)
def test_a_file_that_is_not_toml_has_one_problem(text):
    """The message names the file."""
    problems = problems_of(text)

    assert len(problems) == 1
    assert problems[0].startswith("plans.toml: not TOML: ")


def test_the_number_of_plans_is_bounded():
    """A thousand plans are possible and one more is not."""
    many = [FREE.replace("free", f"p{number}") for number in range(PLANS_MAX + 1)]

    assert len(parse_plans('default_plan = "p0"\n' + "".join(many[:-1])).plans) == PLANS_MAX
    assert problems_of('default_plan = "p0"\n' + "".join(many)) == (
        "plans.toml: plans: 1001 plans, at most 1000 are possible",
    )


def test_an_unknown_plan_fails_the_user():
    """The message names the plan and the existing ones. None stands for the default plan."""
    table = parse_plans(file_with())

    with pytest.raises(UserError, match=r"^plan 'gold' is not one of free; add it or correct the user$") as raised:
        table.find("gold")

    assert raised.value.code == "unknown_plan"
    assert table.find(None) is table.find("free")


def test_the_error_shortens_a_long_plan_name():
    """The plan field may hold a megabyte of text."""
    with pytest.raises(UserError) as raised:
        parse_plans(file_with()).find("x" * 1_000_000)

    assert len(str(raised.value)) < 200


@given(plan_tables())
def test_a_plan_file_is_read_as_it_was_written(table):
    """Parsing is the inverse of writing."""
    parsed = parse_plans(toml_of(table.default, dict(table.plans), table.on_plan_change))

    assert (table.plans, table.default) == (parsed.plans, parsed.default)
    assert table.on_plan_change is parsed.on_plan_change


CHANGES = {
    "allowance": lambda free: {"allowance": free.allowance + 1},
    "period": lambda free: {"period": PeriodKind.YEAR if free.period is PeriodKind.MONTH else PeriodKind.MONTH},
    "anchor": lambda free: {
        "period": PeriodKind.MONTH,
        "anchor": Anchor.CALENDAR if free.counts_from_signup else Anchor.SIGNUP,
    },
    "policy": lambda free: {
        "cap": None,
        "carry": 0,
        "policy": Policy.RESET if free.policy is Policy.TOP_UP else Policy.TOP_UP,
    },
    "cap": lambda free: {"policy": Policy.ACCUMULATE, "carry": 0, "cap": 1 if free.cap is None else free.cap + 1},
    "carry": lambda free: {"policy": Policy.RESET, "cap": None, "carry": free.carry + 1},
    "every": lambda free: {"period": PeriodKind.MONTH, "every": free.every % 366 + 1},
    "when_full": lambda _: {
        "period": PeriodKind.DAY,
        "anchor": Anchor.CALENDAR,
        "every": 1,
        "policy": Policy.TOP_UP,
        "cap": None,
        "carry": 0,
        "when_full": WhenFull.SKIP,
    },
    "was": lambda free: {"was": (*free.was, "older")},
}


def fingerprint_of(default: str, table: dict[str, Plan], change: OnPlanChange = OnPlanChange.GRANT) -> str:
    return parse_plans(toml_of(default, table, change)).fingerprint


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@settings(max_examples=30)
@given(plan_tables())
def test_the_fingerprint_changes_when_a_plan_does(change, table):
    """Each key of a plan counts."""
    changed = {**table.plans, "free": replace(table.plans["free"], **change(table.plans["free"]))}

    assert fingerprint_of(table.default, dict(table.plans)) != fingerprint_of(table.default, changed)


@settings(max_examples=30)
@given(plan_tables())
def test_the_fingerprint_changes_when_the_file_does(table):
    """The default plan, the number of plans, what a plan change gives and the first day of the week count too."""
    plans = dict(table.plans)
    later_week = {name: replace(plan, week_start=WeekStart.FRIDAY) for name, plan in plans.items()}
    earlier_week = {name: replace(plan, week_start=WeekStart.TUESDAY) for name, plan in plans.items()}

    assert fingerprint_of("free", plans) != fingerprint_of("basic", plans)
    assert fingerprint_of("free", plans) != fingerprint_of("free", {"free": plans["free"]})
    assert fingerprint_of("free", plans) != fingerprint_of("free", plans, OnPlanChange.DIFFERENCE)
    assert fingerprint_of("free", later_week) != fingerprint_of("free", earlier_week)


@given(plan_tables())
def test_the_fingerprint_does_not_depend_on_order_and_comments(table):
    upside_down = dict(reversed(table.plans.items()))

    one = parse_plans(toml_of(table.default, dict(table.plans)))
    other = parse_plans(toml_of(table.default, upside_down, comment="# a comment"), "elsewhere.toml")

    assert one.fingerprint == other.fingerprint
