"""Plans: what a file may contain, that every problem is named at once, and what a grant does to a balance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.errors import ConfigurationError, UserError
from shared.core.plans import INT64_MAX, INT64_MIN, PLANS_MAX, Anchor, PeriodKind, Plan, Policy, parse_plans
from shared.settings import BUNDLE
from tests.unit.strategies import balances, plan_tables, plans

FREE = '[plans.free]\nallowance = 50\nperiod = "day"\npolicy = "top_up"\n'
NUMBER = f"a whole number from 0 to {INT64_MAX}"


def file_with(free: str = "", **keys: str | None) -> str:
    """A plans file with one plan. Some keys are changed; None leaves a key out."""
    given = {"allowance": "50", "period": '"day"', "policy": '"top_up"', **keys}
    lines = [f"{key} = {value}" for key, value in given.items() if value is not None]
    return "\n".join(['default_plan = "free"', "[plans.free]", *lines, free])


def toml_of(default: str, table: dict[str, Plan], *, comment: str = "") -> str:
    """A plans file with exactly these plans."""
    lines = [f'default_plan = "{default}"']
    for plan in table.values():
        lines += [f"[plans.{plan.name}]", f"allowance = {plan.allowance} {comment}", f'period = "{plan.period}"']
        lines += [f'policy = "{plan.policy}"', f'anchor = "{plan.anchor}"']
        lines += [] if plan.cap is None else [f"cap = {plan.cap}"]
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
    """

    table = parse_plans(text)

    assert table.default == "free"
    assert table.plans == {
        "free": Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP),
        "team plan": Plan("team plan", 0, PeriodKind.WEEK, Policy.ACCUMULATE, cap=INT64_MAX),
        "pro": Plan("pro", INT64_MAX, PeriodKind.MONTH, Policy.RESET, Anchor.SIGNUP),
    }


def test_the_bundles_own_file_is_valid():
    """A deployment without changes works."""
    table = parse_plans((BUNDLE / "plans.toml").read_text(encoding="utf-8"))

    assert table.find(None) == Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP)
    assert {"free", "starter", "pro"} == set(table.plans)


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
        ({"anchor": '"signup"'}, "anchor: 'signup' needs a period of month or year, not 'day'"),
        ({"anchor": '"signup"', "period": '"week"'}, "anchor: 'signup' needs a period of month or year, not 'week'"),
        ({"cap": "100"}, "cap: only policy 'accumulate' has a cap"),
        ({"cap": "100", "policy": '"reset"'}, "cap: only policy 'accumulate' has a cap"),
        ({"cap": "-1", "policy": '"accumulate"'}, f"cap: -1 is not {NUMBER}"),
        ({"cap": "false", "policy": '"accumulate"'}, f"cap: False is not {NUMBER}"),
        ({"cap": "1e3", "policy": '"accumulate"'}, f"cap: 1000.0 is not {NUMBER}"),
        ({"alowance": "50"}, "alowance: unknown key; expected allowance, anchor, cap, period, policy"),
        ({"a.b": "1"}, "a: unknown key; expected allowance, anchor, cap, period, policy"),
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
        ('default_plan = "free"\n[plans]\nfree = 5', ["plans.free: 5 is not a table"]),
        (
            'default_plan = "free"\nperiod = "day"\n' + FREE,
            ["period: unknown key; expected default_plan, plans"],
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
def test_a_bad_file_is_told_what_it_lacks(text, problems):
    """Problems of the file as a whole are named too."""
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
        "plans.toml: colour: unknown key; expected default_plan, plans",
        "plans.toml: plans.free.note: unknown key; expected allowance, anchor, cap, period, policy",
        "plans.toml: plans.free.period: 'fortnight' is not one of day, week, month, year",
        "plans.toml: plans.free.policy: 'add' is not one of top_up, reset, accumulate",
        f"plans.toml: plans.free.allowance: True is not {NUMBER}",
        f"plans.toml: plans.pro.allowance: -2000 is not {NUMBER}",
        "plans.toml: plans.pro.cap: only policy 'accumulate' has a cap",
        "plans.toml: plans.pro.anchor: 'signup' needs a period of month or year, not 'week'",
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
def test_what_is_not_toml_is_one_problem(text):
    """The file is named, whatever keeps it from being TOML."""
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


def test_an_unknown_plan_is_that_users_error():
    """The message names the plan and the existing ones. None stands for the default plan."""
    table = parse_plans(file_with())

    with pytest.raises(UserError, match=r"^plan 'gold' is not one of free; add it or correct the user$") as raised:
        table.find("gold")

    assert raised.value.code == "unknown_plan"
    assert table.find(None) is table.find("free")


def test_an_unknown_plan_is_quoted_in_short():
    """The plan field may hold a megabyte of text. Its error stays small."""
    with pytest.raises(UserError) as raised:
        parse_plans(file_with()).find("x" * 1_000_000)

    assert len(str(raised.value)) < 200


def plan_of(policy: str, allowance: int, cap: int | None = None) -> Plan:
    return Plan("p", allowance, PeriodKind.DAY, Policy(policy), cap=cap)


@pytest.mark.parametrize(
    ("plan", "before", "after"),
    [
        (plan_of("top_up", 50), 0, 50),
        (plan_of("top_up", 50), 49, 50),
        (plan_of("top_up", 50), 50, 50),
        (plan_of("top_up", 50), 51, 51),
        (plan_of("top_up", 50), -7, 50),
        (plan_of("top_up", 50), 49.5, 50),
        (plan_of("top_up", 50), 50.5, 50.5),
        (plan_of("top_up", 0), -1, 0),
        (plan_of("top_up", 50), INT64_MAX, INT64_MAX),
        (plan_of("top_up", INT64_MAX), 0, INT64_MAX),
        (plan_of("reset", 50), 0, 50),
        (plan_of("reset", 50), 5000, 50),
        (plan_of("reset", 50), -0.5, 50),
        (plan_of("reset", 50), 1e300, 50),
        (plan_of("reset", 0), 12, 0),
        (plan_of("accumulate", 50), 0, 50),
        (plan_of("accumulate", 50), -70, -20),
        (plan_of("accumulate", 50), 0.25, 50.25),
        (plan_of("accumulate", 50), 1_000_000, 1_000_050),
        (plan_of("accumulate", 50), INT64_MAX - 50, INT64_MAX),
        (plan_of("accumulate", 0), 7, 7),
        (plan_of("accumulate", 50, cap=120), 0, 50),
        (plan_of("accumulate", 50, cap=120), 70, 120),
        (plan_of("accumulate", 50, cap=120), 71, 120),
        (plan_of("accumulate", 50, cap=120), 119.5, 120),
        (plan_of("accumulate", 50, cap=120), 120, 120),
        (plan_of("accumulate", 50, cap=120), 121, 121),
        (plan_of("accumulate", 50, cap=120), 120.5, 120.5),
        (plan_of("accumulate", 50, cap=20), 0, 20),
        (plan_of("accumulate", 50, cap=0), -80, -30),
        (plan_of("accumulate", 50, cap=INT64_MAX), INT64_MAX - 1, INT64_MAX),
    ],
)
def test_a_grant_makes_of_a_balance(plan, before, after):
    """`top_up` raises, `reset` sets, `accumulate` adds up to the cap. Whole balances stay whole."""
    assert (after, type(after)) == (plan.apply(before), type(plan.apply(before)))


@pytest.mark.parametrize(
    ("plan", "before"),
    [
        (plan_of("accumulate", 50), INT64_MAX - 49),
        (plan_of("top_up", 50), INT64_MIN),  # the amount granted would not fit
        (plan_of("accumulate", INT64_MAX), 1.5),
        (plan_of("top_up", 50), 2.0**63),
        (plan_of("top_up", 50), 1e300),
        (plan_of("accumulate", 50), -1e300),
        (plan_of("accumulate", 50, cap=120), 2.0**63),
    ],
)
def test_a_result_outside_64_bits_is_that_users_error(plan, before):
    """A number that Firestore can't hold is refused before it is written."""
    with pytest.raises(UserError) as raised:
        plan.apply(before)

    assert raised.value.code == "out_of_range"


@given(plans(), balances)
def test_no_policy_but_reset_lowers_a_balance(plan, before):
    """For any plan and balance, only `reset` may take credits away."""
    try:
        after = plan.apply(before)
    except UserError as exc:
        assert exc.code == "out_of_range"  # noqa: PT017 (either outcome holds)
        return

    assert INT64_MIN <= after <= INT64_MAX
    assert plan.policy is Policy.RESET or after >= before


@given(plans(), balances)
def test_a_cap_is_never_exceeded_by_a_grant(plan, before):
    """A grant raises a balance to at most the cap. A balance above the cap stays unchanged."""
    if plan.cap is not None:
        assert plan.apply(before) <= max(before, plan.cap)


@given(plans().filter(lambda plan: plan.policy is not Policy.ACCUMULATE), st.integers(-100, 5000))
def test_topping_up_and_resetting_twice_is_once(plan, before):
    """Applying `top_up` or `reset` a second time changes nothing."""
    assert plan.apply(before) == plan.apply(plan.apply(before))


@given(plan_tables())
def test_a_plan_file_says_what_was_written(table):
    """Parsing is the inverse of writing."""
    parsed = parse_plans(toml_of(table.default, dict(table.plans)))

    assert (table.plans, table.default) == (parsed.plans, parsed.default)


CHANGES = {
    "default": lambda default, table: ("basic" if default != "basic" else "free", table),
    "allowance": lambda default, table: (default, _evolved(table, allowance=table["free"].allowance + 1)),
    "period": lambda default, table: (
        default,
        _evolved(table, period=PeriodKind.YEAR if table["free"].period is PeriodKind.MONTH else PeriodKind.MONTH),
    ),
    "anchor": lambda default, table: (
        default,
        _evolved(table, period=PeriodKind.MONTH, anchor=_other_anchor(table["free"])),
    ),
    "policy": lambda default, table: (
        default,
        _evolved(table, cap=None, policy=Policy.RESET if table["free"].policy is Policy.TOP_UP else Policy.TOP_UP),
    ),
    "cap": lambda default, table: (
        default,
        _evolved(table, policy=Policy.ACCUMULATE, cap=1 if table["free"].cap is None else table["free"].cap + 1),
    ),
    "one plan less": lambda _, table: ("free", {name: plan for name, plan in table.items() if name != "pro"}),
}


def _other_anchor(plan: Plan) -> Anchor:
    return Anchor.CALENDAR if plan.counts_from_signup else Anchor.SIGNUP


def _evolved(table: dict[str, Plan], **changes: Any) -> dict[str, Plan]:
    return {**table, "free": replace(table["free"], **changes)}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@settings(max_examples=30)
@given(plan_tables())
def test_the_fingerprint_changes_when_a_plan_does(change, table):
    """Any change of a plan or of the default plan changes the fingerprint."""
    before = parse_plans(toml_of(table.default, dict(table.plans))).fingerprint
    after = parse_plans(toml_of(*change(table.default, dict(table.plans)))).fingerprint

    assert before != after


@given(plan_tables())
def test_the_fingerprint_stands_while_the_plans_do(table):
    """Order and comments in the file don't matter."""
    upside_down = dict(reversed(table.plans.items()))

    one = parse_plans(toml_of(table.default, dict(table.plans)))
    other = parse_plans(toml_of(table.default, upside_down, comment="# a comment"), "elsewhere.toml")

    assert one.fingerprint == other.fingerprint
