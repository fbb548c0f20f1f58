"""Limits of the services: how much one call reads, holds, claims and tries at a time."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core.packing import FLUSH_LIMITS, FlushLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """Each limit with its unit. The defaults are what production runs with; tests choose smaller ones."""

    #: Users in one page of a scan. Larger pages are faster, but they are held in memory on top of a flush.
    page_users: int = 8000
    #: Users in one page of a range that should be empty. Their jobs must fit into one commit.
    odd_page_users: int = 400
    #: What the builder holds before it flushes, and what goes into one commit.
    flush: FlushLimits = FLUSH_LIMITS
    #: Jobs that a worker works on at the same time, each in a thread that waits for the database most of the time.
    lanes: int = 8
    #: Jobs that a worker holds: those in a lane and those about to enter one.
    claimed_jobs: int = 24
    #: Jobs that a worker claims at a time. Bigger batches lose a smaller share of claims to races.
    claim_jobs: int = 16
    #: How often a user whose document keeps changing is read and written again in one attempt.
    grant_rounds: int = 5
    #: Users of one job whose documents are locked, one by one, because they change in every round.
    locked_users: int = 20
    #: How often the lock of one such user is tried for in one attempt.
    lock_tries: int = 3


LIMITS = Limits()
