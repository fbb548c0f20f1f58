"""What each plan gives, how often, and by which rule; and the parser of `plans.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from shared.core.errors import ConfigurationError, UserError, UserErrorCode

Balance = int | float
E = TypeVar("E", bound=StrEnum)

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
PLANS_MAX = 1000
PLAN_NAME_BYTES_MAX = 100  # the name is a key in every stamp and part of a field path


class PeriodKind(StrEnum):
    """How long one allowance lasts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Policy(StrEnum):
    """How an allowance meets a balance."""

    TOP_UP = "top_up"
    RESET = "reset"
    ACCUMULATE = "accumulate"


class Anchor(StrEnum):
    """What months and years count from."""

    CALENDAR = "calendar"
    SIGNUP = "signup"


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan: `allowance` credits per `period`, granted by `policy`, `accumulate` up to `cap`."""

    name: str
    allowance: int
    period: PeriodKind
    policy: Policy
    anchor: Anchor = Anchor.CALENDAR
    cap: int | None = None

    @property
    def counts_from_signup(self) -> bool:
        return self.anchor is Anchor.SIGNUP

    def apply(self, balance: Balance) -> Balance:
        """The balance after one grant; only `reset` may lower it. Raises UserError if it or the grant leaves int64."""
        after = self._apply(balance)
        granted = after - balance
        for number in (after, granted if isinstance(granted, int) else 0):  # a fraction is stored as a double
            if not INT64_MIN <= number <= INT64_MAX:
                raise UserError(
                    UserErrorCode.OUT_OF_RANGE, f"{number!r} would not fit in 64 bits; correct the balance by hand"
                )
        return after

    def _apply(self, balance: Balance) -> Balance:
        if self.policy is Policy.RESET:
            return self.allowance
        if self.policy is Policy.TOP_UP:
            return max(balance, self.allowance)
        if self.cap is None:
            return balance + self.allowance
        return max(balance, min(balance + self.allowance, self.cap))


@dataclass(frozen=True, slots=True)
class PlanTable:
    """All plans. `fingerprint` changes whenever any plan does."""

    plans: Mapping[str, Plan]
    default: str
    fingerprint: str

    def find(self, name: str | None) -> Plan:
        """The plan of that name, the default one for None. Raises UserError `unknown_plan`."""
        plan = self.plans.get(self.default if name is None else name)
        if plan is None:
            known = ", ".join(sorted(self.plans))
            raise UserError(
                UserErrorCode.UNKNOWN_PLAN, f"plan {_shown(name)} is not one of {known}; add it or correct the user"
            )
        return plan


def parse_plans(text: str, source: str = "plans.toml") -> PlanTable:
    """Read a plans file. Raises ConfigurationError that names every problem with plan and key."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # beside TOML's own: thousands of digits, or of brackets
        raise ConfigurationError([f"{source}: not TOML: {exc}"]) from exc
    problems = _unknown_keys(document, {"default_plan", "plans"}, "")
    tables = document.get("plans")
    plans = _read_plans(tables, problems)
    default = document.get("default_plan")
    if not isinstance(default, str):
        problems.append(f"default_plan: {_shown(default)} is not the name of a plan")
    elif isinstance(tables, dict) and tables and default not in tables:
        problems.append(f"default_plan: {default!r} is not one of {', '.join(sorted(tables))}")
    if problems:
        raise ConfigurationError([f"{source}: {problem}" for problem in problems])
    return PlanTable(plans, str(default), _fingerprint(str(default), plans))


def _read_plans(tables: object, problems: list[str]) -> dict[str, Plan]:
    if not isinstance(tables, dict) or not tables:
        problems.append("plans: at least one [plans.NAME] table is needed")
        return {}
    if len(tables) > PLANS_MAX:
        problems.append(f"plans: {len(tables)} plans, at most {PLANS_MAX} are possible")
        return {}
    plans = {name: _read_plan(name, table, problems) for name, table in tables.items()}
    return {name: plan for name, plan in plans.items() if plan is not None}


def _read_plan(name: str, table: object, problems: list[str]) -> Plan | None:
    found: list[str] = _name_problems(name)
    where = f"plans.{name}."
    if not isinstance(table, dict):
        problems.append(f"plans.{name}: {_shown(table)} is not a table")
        return None
    found += _unknown_keys(table, {"allowance", "period", "policy", "anchor", "cap"}, where)
    period = _one_of(PeriodKind, table.get("period"), f"{where}period", found)
    policy = _one_of(Policy, table.get("policy"), f"{where}policy", found)
    anchor = _one_of(Anchor, table.get("anchor", "calendar"), f"{where}anchor", found)
    allowance = _whole(table.get("allowance"), f"{where}allowance", found)
    cap = _whole(table["cap"], f"{where}cap", found) if "cap" in table else None
    if cap is not None and policy in (Policy.TOP_UP, Policy.RESET):
        found.append(f"{where}cap: only policy 'accumulate' has a cap")
    if anchor is Anchor.SIGNUP and period in (PeriodKind.DAY, PeriodKind.WEEK):
        found.append(f"{where}anchor: 'signup' needs a period of month or year, not {period.value!r}")
    problems += found
    if found or period is None or policy is None or anchor is None or allowance is None:
        return None
    return Plan(name, allowance, period, policy, anchor, cap)


def _name_problems(name: str) -> list[str]:
    if not name or len(name.encode()) > PLAN_NAME_BYTES_MAX:
        return [f"plans.{name}: a name is 1 to {PLAN_NAME_BYTES_MAX} bytes long"]
    if name.startswith("__") and name.endswith("__"):
        return [f"plans.{name}: Firestore reserves names that begin and end with two underscores"]
    return []


def _unknown_keys(table: Mapping[str, Any], known: set[str], where: str) -> list[str]:
    expected = ", ".join(sorted(known))
    return [f"{where}{key}: unknown key; expected {expected}" for key in table if key not in known]


def _one_of(kind: type[E], value: object, where: str, problems: list[str]) -> E | None:
    if isinstance(value, str) and value in list(kind):
        return kind(value)
    problems.append(f"{where}: {_shown(value)} is not one of {', '.join(kind)}")
    return None


def _whole(value: object, where: str, problems: list[str]) -> int | None:
    if type(value) is int and 0 <= value <= INT64_MAX:
        return value
    problems.append(f"{where}: {_shown(value)} is not a whole number from 0 to {INT64_MAX}")
    return None


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]


def _fingerprint(default: str, plans: Mapping[str, Plan]) -> str:
    described = repr((default, sorted((name, repr(plan)) for name, plan in plans.items())))
    return hashlib.blake2b(described.encode(), digest_size=8).hexdigest()
