"""One user's story: why the balance is what it is, in one sentence, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


def explain(balance: Balance | None, past: Past) -> str:
    """Why the balance is what it is."""
    if balance is None:
        return "There is no usable balance."
    if past.granted is None or past.before is None or past.refreshed_at is None:
        return f"The balance is {balance}; no refresh has changed it yet."
    after, when = past.before + past.granted, f"On {past.refreshed_at:%Y-%m-%d at %H:%M} UTC the plan {past.plan}"
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


def foretell(decision: Decision) -> str:
    """What a refresh at this moment would do."""
    match decision:
        case Grant():
            return f"A refresh now would grant {decision.granted}, to {decision.after}."
        case Skip(reason):
            return f"A refresh now would do nothing: {_SKIPPED.get(reason, reason.value)}."
        case AlreadyApplied():
            return "A refresh now would do nothing."
