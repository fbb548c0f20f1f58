"""Plans: what each gives, how often and by which policy; and the parser of `plans.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from shared.core.errors import ConfigurationError, UserError, UserErrorCode

Balance = int | float
E = TypeVar("E", bound=StrEnum)

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
PLANS_MAX = 1000
PLAN_NAME_BYTES_MAX = 100  # the name is a key in every stamp and part of a field path
EVERY_MAX = 366
FILE_KEYS = {"default_plan", "on_plan_change", "plans", "week_start"}
PLAN_KEYS = {"allowance", "anchor", "cap", "carry", "every", "period", "policy", "was", "when_full"}


class PeriodKind(StrEnum):
    """The unit of a period."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Policy(StrEnum):
    """How an allowance changes a balance. `shared/core/amounts.py` computes it."""

    TOP_UP = "top_up"
    RESET = "reset"
    ACCUMULATE = "accumulate"


class Anchor(StrEnum):
    """What periods count from."""

    CALENDAR = "calendar"
    SIGNUP = "signup"


class WhenFull(StrEnum):
    """What happens to a user who has the whole allowance when the day's run passes."""

    STAMP = "stamp"  # the period counts as granted
    SKIP = "skip"  # nothing is read or written; the user is found by balance once that is below the allowance


class OnPlanChange(StrEnum):
    """What a new plan gives in a period that another plan has granted already."""

    GRANT = "grant"  # the whole allowance
    DIFFERENCE = "difference"  # its allowance less the other plan's


class WeekStart(StrEnum):
    """The first day of a calendar week, in the order of `date.weekday()`."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan: `allowance` credits per `every` periods of kind `period`, granted by `policy`.

    `cap`: `accumulate` grants up to this balance. `carry`: `reset` keeps at most so many unspent credits. `was`: former
    names of the plan, which users and stamps may still have. `week_start` is the same for all plans of a file.
    """

    name: str
    allowance: int
    period: PeriodKind
    policy: Policy
    anchor: Anchor = Anchor.CALENDAR
    cap: int | None = None
    carry: int = 0
    every: int = 1
    when_full: WhenFull = WhenFull.STAMP
    was: tuple[str, ...] = ()
    week_start: WeekStart = WeekStart.MONDAY

    @property
    def counts_from_signup(self) -> bool:
        return self.anchor is Anchor.SIGNUP

    def has_periods_of(self, other: Plan) -> bool:
        """True if the two plans' periods begin and end on the same days, for any one user."""
        return (self.period, self.every, self.anchor) == (other.period, other.every, other.anchor)

    def latest_start(self, periods: Mapping[str, date]) -> date | None:
        """The latest period that was stamped for the plan, under any of its names."""
        if not self.was:
            return periods.get(self.name)
        return max((periods[name] for name in (self.name, *self.was) if name in periods), default=None)


@dataclass(frozen=True, slots=True)
class PlanTable:
    """All plans. `fingerprint` changes whenever the table does. `former` maps former names to present ones."""

    plans: Mapping[str, Plan]
    default: str
    fingerprint: str
    on_plan_change: OnPlanChange = OnPlanChange.GRANT
    former: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        former = {name: plan.name for plan in self.plans.values() for name in plan.was}
        object.__setattr__(self, "former", former)

    @property
    def low_below(self) -> int | None:
        """Users of plans that leave full users alone are looked for below this balance; None if no plan does."""
        return max(self._skipping_allowances, default=None)

    @property
    def warnings(self) -> list[str]:
        """Warnings about plans that work but cost more than necessary."""
        allowances = sorted(set(self._skipping_allowances))
        if len(allowances) < 2:
            return []
        least, most = allowances[0], allowances[-1]
        read_daily = f"every day all users are read who have less than {most}, full ones of a plan with {least} too"
        return [f"give all plans with when_full = 'skip' one allowance: from {least} to {most}, {read_daily}"]

    @property
    def _skipping_allowances(self) -> list[int]:
        return [plan.allowance for plan in self.plans.values() if plan.when_full is WhenFull.SKIP]

    def find(self, name: str | None) -> Plan:
        """The plan with this present or former name; for None the default plan. Raises UserError (`unknown_plan`)."""
        plan = self.known(self.default if name is None else name)
        if plan is None:
            known = ", ".join(sorted(self.plans))
            raise UserError(
                UserErrorCode.UNKNOWN_PLAN, f"plan {_shown(name)} is not one of {known}; add it or correct the user"
            )
        return plan

    def known(self, name: str) -> Plan | None:
        """The plan with this present or former name; None if there is none."""
        return self.plans.get(self.former.get(name, name))


def parse_plans(text: str, source: str = "plans.toml") -> PlanTable:
    """Read a plans file. Raises ConfigurationError that names every problem with plan and key."""
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))  # some editors begin a file with this mark
    except (ValueError, RecursionError) as exc:  # also thousands of digits or of nested brackets
        raise ConfigurationError([f"{source}: not TOML: {exc}"]) from exc
    keys = _Keys(document, "", [])
    keys.expect(FILE_KEYS)
    on_plan_change = keys.one_of("on_plan_change", OnPlanChange, OnPlanChange.GRANT)
    week_start = keys.one_of("week_start", WeekStart, WeekStart.MONDAY)
    plans = _read_plans(keys, week_start or WeekStart.MONDAY)
    default = _read_default(keys)
    if keys.problems or on_plan_change is None:
        raise ConfigurationError([f"{source}: {problem}" for problem in keys.problems])
    return PlanTable(plans, default, _fingerprint(default, on_plan_change, plans), on_plan_change)


class _Keys:
    """One table of the file. Each method reads a key, and adds a problem to `problems` where its value is bad."""

    def __init__(self, table: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self.table = table
        self.problems = problems
        self._where = where

    def add(self, key: str, problem: str) -> None:
        self.problems.append(f"{self._where}{key}: {problem}")

    def expect(self, known: set[str]) -> None:
        for key in self.table:
            if key not in known:
                self.add(key, f"unknown key; expected {', '.join(sorted(known))}")

    def one_of(self, key: str, kind: type[E], default: E | None = None) -> E | None:
        value = self.table.get(key, default)
        if isinstance(value, str) and value in list(kind):
            return kind(value)
        self.add(key, f"{_shown(value)} is not one of {', '.join(kind)}")
        return None

    def whole(self, key: str, default: int | None = None, least: int = 0, most: int = INT64_MAX) -> int | None:
        value = self.table.get(key, default)
        if type(value) is int and least <= value <= most:
            return value
        self.add(key, f"{_shown(value)} is not a whole number from {least} to {most}")
        return None

    def names(self, key: str) -> tuple[str, ...]:
        value = self.table.get(key, [])
        if isinstance(value, list) and all(isinstance(name, str) and name for name in value):
            return tuple(value)
        self.add(key, f'{_shown(value)} is not a list of names such as ["starter"]')
        return ()


def _read_default(keys: _Keys) -> str:
    default, tables = keys.table.get("default_plan"), keys.table.get("plans")
    if not isinstance(default, str):
        keys.add("default_plan", f"{_shown(default)} is not the name of a plan")
    elif isinstance(tables, dict) and tables and default not in tables:
        keys.add("default_plan", f"{default!r} is not one of {', '.join(sorted(tables))}")
    return str(default)


def _read_plans(keys: _Keys, week_start: WeekStart) -> dict[str, Plan]:
    tables = keys.table.get("plans")
    if not isinstance(tables, dict) or not tables:
        keys.add("plans", "at least one [plans.NAME] table is needed")
        return {}
    if len(tables) > PLANS_MAX:
        keys.add("plans", f"{len(tables)} plans, at most {PLANS_MAX} are possible")
        return {}
    plans = {name: _read_plan(name, table, week_start, keys.problems) for name, table in tables.items()}
    keys.problems += _former_name_problems(tables)
    return {name: plan for name, plan in plans.items() if plan is not None}


def _read_plan(name: str, table: object, week_start: WeekStart, problems: list[str]) -> Plan | None:
    if not isinstance(table, dict):
        problems.append(f"plans.{name}: {_shown(table)} is not a table")
        return None
    keys = _Keys(table, f"plans.{name}.", _name_problems(name))
    keys.expect(PLAN_KEYS)
    period = keys.one_of("period", PeriodKind)
    policy = keys.one_of("policy", Policy)
    anchor = keys.one_of("anchor", Anchor, Anchor.CALENDAR)
    when_full = keys.one_of("when_full", WhenFull, WhenFull.STAMP)
    allowance = keys.whole("allowance")
    cap = keys.whole("cap") if "cap" in table else None
    carry = keys.whole("carry", 0)
    every = keys.whole("every", 1, least=1, most=EVERY_MAX)
    was = keys.names("was")
    for key, problem in _misfits(table, policy, (period, anchor, every), when_full):
        keys.add(key, problem)
    problems += keys.problems
    if keys.problems or period is None or policy is None or anchor is None or when_full is None:
        return None
    assert allowance is not None, "else it is a problem"
    return Plan(name, allowance, period, policy, anchor, cap, carry or 0, every or 1, when_full, was, week_start)


def _misfits(
    table: Mapping[str, Any],
    policy: Policy | None,
    cadence: tuple[PeriodKind | None, Anchor | None, int | None],
    when_full: WhenFull | None,
) -> Iterator[tuple[str, str]]:
    """Keys whose values do not go together. None stands for a bad value, which has been named already."""
    if "cap" in table and policy in (Policy.TOP_UP, Policy.RESET):
        yield "cap", "only policy 'accumulate' has a cap"
    if "carry" in table and policy in (Policy.TOP_UP, Policy.ACCUMULATE):
        yield "carry", "only policy 'reset' has a carry; the others never take credits away"
    period, anchor, every = cadence
    if period is PeriodKind.DAY and anchor is Anchor.CALENDAR and every not in (None, 1):
        yield "every", f"{every} days have no calendar; add anchor = 'signup', or take a week, month or year"
    wanted = (Policy.TOP_UP, PeriodKind.DAY, Anchor.CALENDAR, 1)
    if when_full is WhenFull.SKIP and any(
        value not in (None, fit) for value, fit in zip((policy, *cadence), wanted, strict=True)
    ):
        yield "when_full", "'skip' needs policy 'top_up' and a period of one calendar day"


def _former_name_problems(tables: Mapping[str, Any]) -> Iterator[str]:
    """Former names that could mean two plans."""
    owners: dict[str, str] = {}
    for plan, table in tables.items():
        names = table.get("was") if isinstance(table, dict) else None
        for name in filter(lambda name: isinstance(name, str), names if isinstance(names, list) else []):
            if name in tables:
                yield f"plans.{plan}.was: {_shown(name)} is a plan of this file; take it out of one of the two places"
            elif name in owners:
                yield f"plans.{plan}.was: {_shown(name)} is a former name of plans.{owners[name]} already"
            owners.setdefault(name, plan)


def _name_problems(name: str) -> list[str]:
    if not name or len(name.encode()) > PLAN_NAME_BYTES_MAX:
        return [f"plans.{name}: a name is 1 to {PLAN_NAME_BYTES_MAX} bytes long"]
    if name.startswith("__") and name.endswith("__"):
        return [f"plans.{name}: Firestore reserves names that begin and end with two underscores"]
    return []


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]


def _fingerprint(default: str, on_plan_change: OnPlanChange, plans: Mapping[str, Plan]) -> str:
    described = repr((default, on_plan_change, sorted((name, repr(plan)) for name, plan in plans.items())))
    return hashlib.blake2b(described.encode(), digest_size=8).hexdigest()
