"""The monitor's figures by the long way: from every document there is, with nothing of what keeps them up to date."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from shared.monitor.answers import story_answer, view_answer
from shared.monitor.overview import watch
from shared.monitor.user_history import tell
from tests.support.world import World


def view(world: World, now: datetime, run_id: str | None = None) -> dict[str, Any]:
    """The monitor's answer, and what it cost."""
    context = world.context(now)
    day = None if run_id is None else datetime.fromisoformat(run_id).date()
    answer = view_answer(context, watch(context, day))
    return {**answer, "reads": context.wire.cost.reads, "writes": context.wire.cost.writes}


def story(world: World, user_id: str, now: datetime, before: str | None = None) -> dict[str, Any]:
    context = world.context(now)
    return story_answer(tell(context, user_id, None if before is None else datetime.fromisoformat(before).date()))


def scanned(world: World, run_id: str) -> dict[str, Any]:
    """The same figures, from a full scan of jobs and run."""
    jobs = [job for job in world.jobs().values() if job["runId"] == run_id]
    run = world.get(f"credit_refresh_runs/{run_id}") or {}
    status = Counter(job["status"] for job in jobs)
    receipts = [receipt for job in jobs for receipt in (*job.get("receipts", ()), *job.get("kept", ()))]
    outcomes = Counter(receipt["outcome"] for receipt in receipts)
    settled = [job for job in jobs if job["status"] in ("completed", "failed")]
    codes = Counter(error["code"] for job in jobs for error in job["errors"] if _has_failed(job, error["userId"]))
    codes.update(run.get("errorsByCode", {}))
    open_users = sum(len(job.get("remaining", job["userIds"])) for job in jobs if job not in settled)
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
            "refreshed": outcomes["refreshed"],
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


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """Of the monitor's answer what a scan can tell."""
    names = ("totalJobs", "pendingJobs", "processingJobs", "completedJobs", "failedJobs", "users", "errorsByCode")
    return {
        **{name: answer[name] for name in (*names, "averageProcessingTime")},
        "done": {hour["hour"]: hour["done"] for hour in answer["hours"] if hour["done"]},
        "cost": {name: answer["cost"][name] for name in ("reads", "writes")},
    }


def _has_failed(job: dict[str, Any], user_id: str) -> bool:
    return any(receipt["userId"] == user_id and receipt["outcome"] == "failed" for receipt in job.get("receipts", ()))
