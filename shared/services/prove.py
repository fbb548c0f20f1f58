"""Prove that a scan of the due finds everybody: count users by their balance and by their `dueOn` at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared import logs
from shared.core.errors import OutOfTimeError, RejectedError, SystemFailureError
from shared.core.proof import Proof
from shared.core.users import ABSENT, BadParent, stamp_of
from shared.services.context import Context
from shared.store.users import UserDocument


def count_up_to(context: Context, users_max: int, read_time_ns: int) -> int:
    """The number of documents in the users' collection. Counts no further than `users_max`."""
    return context.users().count_all(users_max, read_time_ns)


def prove(context: Context, proof: Proof, named: Sequence[UserDocument], read_time_ns: int) -> Proof:
    """The proof after one more count. A count that can't be made neither proves nor disproves."""
    users = context.users()
    try:
        balances = users.count_balances(read_time_ns)
        due_ons = users.count_due_ons(read_time_ns)
    except OutOfTimeError:
        raise
    except (RejectedError, SystemFailureError) as exc:
        logs.warning("proof_unavailable", f"users can't be counted, so everybody is scanned by the calendar: {exc}")
        return replace(proof, unavailable="users could not be counted")
    difference = balances - due_ons - sum(map(_is_counted_by_name, named))
    if difference:
        logs.warning("proof_open", f"users with a balance and users with a dueOn differ by {difference}")
    return proof.with_try(difference, context.clock())


def _is_counted_by_name(user: UserDocument) -> bool:
    """True for a user who is in the count of balances and can't be in the count of `dueOn`."""
    stamp = stamp_of(user.raw)
    has_balance = user.raw.balance is not ABSENT and not isinstance(user.raw.balance, BadParent)
    return has_balance and (stamp is None or "dueOn" not in stamp)
