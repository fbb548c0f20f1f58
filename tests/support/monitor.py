"""Computes the monitor's figures from all documents, without the roll-ups that the monitor uses."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from shared.monitor.overview import read_overview
from shared.monitor.overview_answer import overview_answer
from shared.monitor.user_history import read_user_history, user_answer
from tests.support.world import World


def view(world: World, now: datetime, run_id: str | None = None) -> dict[str, Any]:
    """The monitor's answer about a run, with its reads and writes."""
    context = world.context(now)
    day = None if run_id is None else datetime.fromisoformat(run_id).date()
    answer = overview_answer(context, read_overview(context, day))
    return {**answer, "reads": context.wire.cost.reads, "writes": context.wire.cost.writes}


def story(world: World, user_id: str, now: datetime, before: str | None = None) -> dict[str, Any]:
    context = world.context(now)
    day = None if before is None else datetime.fromisoformat(before).date()
    return user_answer(read_user_history(context, user_id, day))


def scan_figures(world: World, run_id: str) -> dict[str, Any]:
    """Compute the figures of a run from all its jobs and the run document."""
    jobs = [job for job in world.jobs().values() if job["runId"] == run_id]
    run = world.get(f"credit_refresh_runs/{run_id}") or {}
    status = Counter(job["status"] for job in jobs)
    generation = run.get("generation", 0)
    receipts = [
        receipt
        for job in jobs
        for receipt in (*job.get("receipts", ()), *job.get("kept", ()))
        if job.get("generation", 0) == generation or receipt["outcome"] == "refreshed" or not _is_replaced(receipt)
    ]
    outcomes = Counter(receipt["outcome"] for receipt in receipts)
    settled = [job for job in jobs if job["status"] in ("completed", "failed")]
    codes = Counter(error["code"] for job in jobs for error in job["errors"] if _has_failed(job, error["userId"]))
    codes.update(run.get("errorsByCode", {}))
    open_users = sum(
        len(job.get("remaining", job["userIds"]))
        for job in jobs
        if job not in settled and job.get("generation", 0) == generation
    )
    day_start = datetime.fromisoformat(f"{run_id}T00:00:00+00:00")
    done: Counter[int] = Counter()
    for job in settled:
        done[(job["completedAt"] - day_start) // timedelta(hours=1)] += len(job["receipts"]) - len(job.get("kept", ()))
    return {
        "totalJobs": len(jobs),
        "pendingJobs": status["pending"],
        "processingJobs": status["processing"],
        "completedJobs": status["completed"],
        "failedJobs": status["failed"],
        "users": {
            "refreshed": outcomes["refreshed"] - run.get("refreshedBefore", 0),
            "skipped": outcomes["skipped"],
            "failed": outcomes["failed"] + run.get("failedUsers", 0),
            "pending": open_users,
        },
        "averageProcessingTime": sum(job["processingMs"] for job in settled) / len(settled) if settled else None,
        "errorsByCode": dict(codes),
        "done": {hour: users for hour, users in done.items() if users},
        "cost": {
            "reads": run.get("reads", 0) + sum(job.get("reads", 0) for job in jobs),
            "writes": run.get("writes", 0) + sum(job.get("writes", 0) for job in jobs),
        },
    }


def plans_scanned(world: World, run_id: str) -> dict[str, int]:
    """How many users the day's last scan queued on each plan: from its jobs, and from the users as they are now."""
    generation = world.run(run_id)["generation"]
    users = world.all("users")
    found: Counter[str] = Counter()
    for job_id, job in world.jobs().items():
        is_builder_s = job.get("runId") == run_id and job["rootId"] == job_id and "kind" not in job
        if is_builder_s and job.get("generation", 0) == generation:
            found.update(str(users[user_id].get("plan", world.plans.default)) for user_id in job["userIds"])
    return dict(found)


def comparable_part(answer: dict[str, Any]) -> dict[str, Any]:
    """The part of the monitor's answer that `scan_figures` computes, too."""
    names = ("totalJobs", "pendingJobs", "processingJobs", "completedJobs", "failedJobs", "users", "errorsByCode")
    return {
        **{name: answer[name] for name in (*names, "averageProcessingTime")},
        "done": {hour["hour"]: hour["done"] for hour in answer["hours"] if hour["done"]},
        "cost": {name: answer["cost"][name] for name in ("reads", "writes")},
    }


def _is_replaced(receipt: dict[str, Any]) -> bool:
    """True for an outcome in a job of an older scan of the day: a newer scan has queued the user again."""
    return receipt["outcome"] == "failed" or receipt.get("reason") == "superseded"


def _has_failed(job: dict[str, Any], user_id: str) -> bool:
    return any(receipt["userId"] == user_id and receipt["outcome"] == "failed" for receipt in job.get("receipts", ()))
