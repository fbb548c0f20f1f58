"""The answers of builder, worker and direct refresh, made from the services' reports."""

from __future__ import annotations

from typing import Any

from shared.core.outcomes import Tally
from shared.edge.pages import PagePosition
from shared.services.reports import BuildReport, Errors, PageReport, WorkReport


def direct_answer(report: PageReport, position: PagePosition) -> dict[str, Any]:
    more = report.has_more and report.after is not None
    return {
        **page_answer(report),
        "batchNumber": position.number,
        "cursor": position.next_cursor(report.after) if more and report.after else None,
        "hasMore": more,
    }


def page_answer(report: PageReport) -> dict[str, Any]:
    """The answer of a direct refresh: users by outcome."""
    return {"totalUsers": report.total, **_tally(report.tally), **_errors(report.errors)}


def queue_answer(report: BuildReport) -> dict[str, Any]:
    counts = report.counts
    return {
        "runId": report.run_id,
        "scan": None if report.scan is None else report.scan.value,
        "scanReason": report.scan_reason,
        "status": report.status.value,
        "scannedUsers": counts.scanned,
        "queuedUsers": counts.queued,
        "skippedUsers": counts.skipped,
        "failedUsers": counts.failed,
        "adoptedUsers": counts.adopted,
        "jobsCreated": counts.jobs_created,
        "cursor": None if report.cursor is None else str(report.cursor),
        "hasMore": report.has_more,
        **_errors(report.errors),
    }


def worker_answer(report: WorkReport) -> dict[str, Any]:
    return {
        "requestedUsers": report.requested,
        "jobsClaimed": report.claimed,
        "jobsCompleted": report.completed,
        "jobsRetried": report.retried,
        "jobsFailed": report.failed,
        **_tally(report.tally),
        "conflicts": report.conflicts,
        "hasMore": report.has_more,
        **_errors(report.errors),
    }


def _tally(tally: Tally) -> dict[str, int]:
    return {
        "processedUsers": tally.processed,
        "refreshedUsers": tally.refreshed,
        "skippedUsers": tally.skipped,
        "failedUsers": tally.failed,
    }


def _errors(errors: Errors) -> dict[str, Any]:
    return {"errors": errors.shown, "errorsTotal": errors.total}
