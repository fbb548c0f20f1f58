"""One user's story: why the balance is what it is, in one sentence, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from shared.core.decision import AlreadyApplied, Decision, Grant, Skip, SkipReason
from shared.core.plans import Balance

_SKIPPED = {
    SkipReason.ALREADY_GRANTED: "the present period has been granted",
    SkipReason.FULL: "the balance has the whole allowance, and such users are left alone",
    SkipReason.PAUSED: "the user is paused",
    SkipReason.BEFORE_ANCHOR: "the plan's first period has not begun",
    SkipReason.NO_BALANCE: "there is no balance, so the user is not part of the system",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the stamp says of the last grant; None where it says nothing."""

    plan: str | None
    before: Balance | None
    granted: Balance | None
    refreshed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTime:
    """The time of a user who has a zone of their own: the local date, and when the next refresh is due, if known."""

    zone: ZoneInfo
    local_date: date
    next_at: datetime | None


def explain(balance: Balance | None, past: Past, zone: ZoneInfo | None = None) -> str:
    """Why the balance is what it is. `zone`: the user's own, if there is one."""
    if balance is None:
        return "There is no usable balance."
    if past.granted is None or past.before is None or past.refreshed_at is None:
        return f"The balance is {balance}; no refresh has changed it yet."
    after = past.before + past.granted
    when = f"On {_moment(past.refreshed_at)} UTC{_own_moment(past.refreshed_at, zone)} the plan {past.plan}"
    if past.granted:
        sentence = f"{when} granted {past.granted}: the balance went from {past.before} to {after}."
    else:
        sentence = f"{when} granted nothing, as the balance of {after} was full."
    return f"{sentence} {_since(balance, after)}"


def _since(balance: Balance, after: Balance) -> str:
    if balance == after:
        return "It has not changed since."
    if balance < after:
        return f"Since then {after - balance} were spent, so it is {balance}."
    return f"Since then {balance - after} were added by the app, so it is {balance}."


def tell_own_time(own: OwnTime) -> str:
    """What day it is for the user, and when the next refresh is due there."""
    today = f"In the user's own time zone, {own.zone.key}, it is {own.local_date}"
    if own.next_at is None:
        return f"{today}."
    return f"{today}; the next refresh is due there on {_moment(own.next_at, own.zone)}."


def _own_moment(instant: datetime, zone: ZoneInfo | None) -> str:
    return "" if zone is None else f" ({_moment(instant, zone)} in {zone.key})"


def _moment(instant: datetime, zone: ZoneInfo | None = None) -> str:
    local = instant if zone is None else instant.astimezone(zone)
    return f"{local:%Y-%m-%d at %H:%M}"


def foretell(decision: Decision) -> str:
    """What a refresh at this moment would do."""
    match decision:
        case Grant():
            return f"A refresh now would grant {decision.granted}, to {decision.after}."
        case Skip(reason):
            return f"A refresh now would do nothing: {_SKIPPED.get(reason, reason.value)}."
        case AlreadyApplied():
            return "A refresh now would do nothing."
