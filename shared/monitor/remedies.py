"""Remedies: what an operator can do about a failed user, in words, by the code of the error."""

from __future__ import annotations

REMEDIES = {
    "bad_balance": "Set the balance of these users to a number. Then requeue.",
    "bad_plan": "Set the plan of these users to the name of a plan. Then requeue.",
    "bad_stamp": "Remove or correct the stamp on these documents. Then requeue.",
    "bad_override": "Correct or remove the override on these documents. Then requeue.",
    "bad_purchased": "Set the purchased credits of these users to a number. Then requeue.",
    "bad_zone": "Set the zone of these users to an IANA name such as Europe/Berlin. They were refreshed all the same.",
    "unknown_plan": "Add the plan to plans.toml and deploy, or correct the plan of these users. Then requeue.",
    "out_of_range": "Correct the balance by hand: the result does not fit into 64 bits. Then requeue.",
    "write_failed": "The database did not take the write. Requeue when it is well again.",
    "write_rejected": "The database refuses the write, perhaps because the document is too large. Look at one of them.",
    "read_failed": "The database did not answer. Requeue when it is well again.",
    "read_rejected": "The database refuses to read the document. Look at one of them.",
    "contention": "The app kept changing these documents while they were refreshed. Requeue.",
    "attempts_used_up": "Every worker that tried the job died. Look at the worker's log, then requeue.",
    "unreadable_job": "The job document is not as a builder writes it. Requeue, or rescan the day.",
    "internal": "An unexpected error. The worker's log has the details.",
}
REMEDY_OF_OTHERS = "Look at the message and at the log. Correct what it names, then requeue."


def remedy_for(code: str) -> str:
    """What to do about failures of that code."""
    return REMEDIES.get(code, REMEDY_OF_OTHERS)
