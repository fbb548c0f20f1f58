"""The log of `make dev`: one readable line for each scheduled call that did something."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dev.cloud_scheduler import Answer

SHOWN_ACTIONS = ("operator_action", "credit_refresh_user_created")  # warnings and errors are shown too


def tick_line(entry_point: str, at: datetime, answer: Answer) -> str | None:
    """What a call did, in one line; None if it did nothing."""
    name = entry_point.removeprefix("credit_refresh_")
    clock = f"{at:%H:%M:%S}"
    if answer.status != 200:
        return f"{clock}  {name} answered {answer.status or 'nothing'}: {dict(answer.body)}"
    words = _queue_text(answer.body) if "jobsCreated" in answer.body else _worker_text(answer.body)
    if words is None:
        return None
    return f"{clock}  {name}: {words} ({answer.body['reads']} reads, {answer.body['writes']} writes)"


def _queue_text(body: Mapping[str, Any]) -> str | None:
    if body["status"] == "paused":
        return "paused"
    if not body["scannedUsers"]:
        return None
    return (
        f"{body['scannedUsers']:,} users scanned, {body['queuedUsers']:,} queued in {body['jobsCreated']:,} jobs"
        f"{_failure_text(body)}"
    )


def _worker_text(body: Mapping[str, Any]) -> str | None:
    requested = body.get("requestedUsers", 0)
    if not body["jobsClaimed"] and not requested:
        return None
    asked = f", {requested:,} by request" if requested else ""
    return f"{body['jobsClaimed']:,} jobs, {body['refreshedUsers']:,} users refreshed{asked}{_failure_text(body)}"


def _failure_text(body: Mapping[str, Any]) -> str:
    if not body["failedUsers"]:
        return ""
    first: Mapping[str, Any] = next(iter(body["errors"]), {})
    return f", {body['failedUsers']:,} failed (the first: {first.get('userId')}, {first.get('code')})"


class ReadableFormatter(logging.Formatter):
    """Formats a log record as a line for people: time and message."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        text = f"{at:%H:%M:%S}  {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def make_log_readable() -> None:
    """Let the functions log readable lines, and only those that matter."""
    logger = logging.getLogger("credit_refresh")
    for handler in logger.handlers:
        handler.setFormatter(ReadableFormatter())
        handler.addFilter(is_worth_a_line)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    action = getattr(record, "fields", {}).get("action")
    return record.levelno >= logging.WARNING or action in SHOWN_ACTIONS
