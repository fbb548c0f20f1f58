"""Prove that a `due` scan misses nobody: count users with a balance and users with a `dueOn` at one moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared import logs
from shared.core.errors import MissingIndexError, RejectedError, StoreError, SystemFailureError
from shared.core.proof import Proof
from shared.core.users import ABSENT, BadParent, stamp_of
from shared.services.context import Context
from shared.store.budget import Budget
from shared.store.users import UserDocument, UserStore

COUNT_SHARE = 0.5  # counts may take this share of a call's remaining time; the rest is for the scan


def has_few_users(context: Context, users_max: int, read_time_ns: int) -> bool:
    """True if the users' collection holds at most `users_max` documents. False also if they can't be counted."""
    found = _try_to_count(context, lambda users: users.count_all(users_max + 1, read_time_ns))
    return found is not None and found <= users_max


def count_when_low(context: Context, read_time_ns: int) -> int | None:
    """How many users are found by balance. None if they can't be counted."""
    return _try_to_count(context, lambda users: users.count_when_low(read_time_ns))


def prove(context: Context, proof: Proof, named: Sequence[UserDocument], read_time_ns: int) -> Proof:
    """Count once more, and return the proof with the result. A count that can't be made is no result."""
    try:
        users = _users_for_counts(context)
        balances, due_ons = users.count_balances(read_time_ns), users.count_due_ons(read_time_ns)
    except (RejectedError, SystemFailureError) as exc:
        _warn(exc)
        is_passing = isinstance(exc, SystemFailureError) and not isinstance(exc, MissingIndexError)
        return proof.without_count(context.clock(), is_passing=is_passing)
    difference = balances - due_ons - sum(map(_is_counted_by_name, named))
    if difference:
        logs.warning("proof_open", f"users with a balance and users with a dueOn differ by {difference}")
    return proof.with_try(difference, context.clock())


def _try_to_count(context: Context, count: Callable[[UserStore], int]) -> int | None:
    """Make a count. Returns None, and logs a warning, if it can't be made."""
    try:
        return count(_users_for_counts(context))
    except (RejectedError, SystemFailureError) as exc:
        _warn(exc)
        return None


def _users_for_counts(context: Context) -> UserStore:
    """The users' store with the time budget of counts."""
    budget = Budget.of(context.wire.budget.remaining_seconds * COUNT_SHARE)
    return context.users(context.wire.within(budget))


def _warn(exc: StoreError) -> None:
    logs.warning("count_unavailable", f"users can't be counted, so the scan goes on without that count: {exc}")


def _is_counted_by_name(user: UserDocument) -> bool:
    """True for a user who is in the count of balances and can't be in the count of `dueOn`."""
    stamp = stamp_of(user.raw)
    has_balance = user.raw.balance is not ABSENT and not isinstance(user.raw.balance, BadParent)
    return has_balance and (stamp is None or "dueOn" not in stamp)
