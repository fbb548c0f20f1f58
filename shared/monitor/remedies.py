"""Remedies: what an operator can do about a failed user, in words, by the code of the error."""

from __future__ import annotations

REMEDIES = {
    "bad_balance": "Set the balance of these users to a number.",
    "bad_plan": "Set the plan of these users to the name of a plan.",
    "bad_created_at": "Set createdAt of these users to a timestamp, or set an anchor in the stamp.",
    "bad_stamp": "Remove or correct the stamp on these documents.",
    "bad_override": "Correct or remove the override on these documents.",
    "bad_purchased": "Set the purchased credits of these users to a number.",
    "bad_zone": "Set the zone of these users to an IANA name such as Europe/Berlin. They were refreshed all the same.",
    "unknown_plan": "Add the plan to plans.toml and deploy, or correct the plan of these users.",
    "out_of_range": "Correct the balance by hand: the result does not fit into 64 bits.",
    "write_failed": "The database did not take the write. Wait until it is well again.",
    "write_rejected": "The database refuses the write, perhaps because the document is too large. Look at one of them.",
    "read_failed": "The database did not answer. Wait until it is well again.",
    "read_rejected": "The database refuses to read the document. Look at one of them.",
    "contention": "The app kept changing these documents while they were refreshed.",
    "attempts_used_up": "Every worker that tried the job died. Look at the worker's log.",
    "unreadable_job": "The job document is not as a builder writes it. Look at the log.",
    "internal": "An unexpected error. The worker's log has the details.",
}
REMEDY_OF_OTHERS = "Look at the message and at the log. Correct what it names."


def remedy_for(code: str, *, is_in_jobs: bool, found_by_builder: int) -> str:
    """What to do about failures of that code, and how the users are tried again afterwards.

    Users in failed jobs are requeued. Users that the builder found are in no job: a rescan finds them.
    """
    remedy = REMEDIES.get(code, REMEDY_OF_OTHERS)
    if not found_by_builder:
        return f"{remedy} Then requeue."
    if not is_in_jobs:
        return f"{remedy} Then rescan."
    return f"{remedy} Then requeue, and rescan for the {found_by_builder} that are in no job."
