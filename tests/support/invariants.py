"""Invariants that must hold whenever no job is open."""

from __future__ import annotations

from collections import Counter

from shared.core.figures import NAMES
from tests.support.world import World


def assert_settled(world: World) -> None:
    """Assert that no job is open, that jobs count their receipts, and that jobs add up to the roll-ups."""
    jobs = world.jobs()
    unsettled = {job_id: job["status"] for job_id, job in jobs.items() if job["status"] not in ("completed", "failed")}
    assert unsettled == {}
    for job_id, job in jobs.items():
        outcomes = Counter(receipt["outcome"] for receipt in job["receipts"])
        counted = {"refreshed": job["refreshedUsers"], "skipped": job["skippedUsers"], "failed": job["failedUsers"]}
        assert counted == {name: outcomes[name] for name in counted}, job_id
        assert "visibleAt" not in job, job_id
        named = job.get("userIds", [])
        assert sum(outcomes.values()) + job["retriedUsers"] == (len(named) if isinstance(named, list) else 0), job_id
    for run_id in world.all("credit_refresh_runs"):
        of_run = [job for job in jobs.values() if job.get("runId") == run_id and "kind" not in job]
        rollup = world.rollup(run_id)
        scanned = {name: sum(job[name] for job in of_run) for name in NAMES}
        assert scanned == {name: rollup.get(name, 0) for name in NAMES}, (run_id, scanned, rollup)
        ends = Counter(job["status"] for job in of_run)
        assert (ends["completed"], ends["failed"]) == (rollup.get("completedJobs", 0), rollup.get("failedJobs", 0))


def assert_granted_once(world: World, users: dict[str, dict], allowance: int, run_id: str = "2026-11-22") -> None:
    """Assert that each user has its credits plus one allowance, a stamp, and exactly one receipt of that grant."""
    after = world.all("users")
    wrong = {
        user_id: (before["credits"], after[user_id]["credits"])
        for user_id, before in users.items()
        if after[user_id]["credits"] != before["credits"] + allowance
    }
    assert wrong == {}
    stamps = {user_id: set(after[user_id]["creditRefresh"]["periods"].values()) for user_id in users}
    assert stamps == {user_id: {run_id} for user_id in users}
    refreshed = Counter(receipt["userId"] for _, receipt in world.receipts() if receipt["outcome"] == "refreshed")
    assert refreshed == Counter(dict.fromkeys(users, 1))
