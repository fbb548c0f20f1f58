"""`make dev`: one readable line for each call of the schedule in which something happened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dev.cloud_scheduler import Answer

SPOKEN_ACTIONS = ("operator_action", "credit_refresh_user_created")  # beside warnings and errors


def tick_line(entry_point: str, at: datetime, answer: Answer) -> str | None:
    """What a call did, in one line; None if it did nothing."""
    name = entry_point.removeprefix("credit_refresh_")
    clock = f"{at:%H:%M:%S}"
    if answer.status != 200:
        return f"{clock}  {name} answered {answer.status or 'nothing'}: {dict(answer.body)}"
    words = _queue_words(answer.body) if "jobsCreated" in answer.body else _worker_words(answer.body)
    if words is None:
        return None
    return f"{clock}  {name}: {words} ({answer.body['reads']} reads, {answer.body['writes']} writes)"


def _queue_words(body: Mapping[str, Any]) -> str | None:
    if body["status"] == "paused":
        return "paused"
    if not body["scannedUsers"]:
        return None
    return (
        f"{body['scannedUsers']:,} users scanned, {body['queuedUsers']:,} queued in {body['jobsCreated']:,} jobs"
        f"{_failed(body)}"
    )


def _worker_words(body: Mapping[str, Any]) -> str | None:
    requested = body.get("requestedUsers", 0)
    if not body["jobsClaimed"] and not requested:
        return None
    asked = f", {requested:,} by request" if requested else ""
    return f"{body['jobsClaimed']:,} jobs, {body['refreshedUsers']:,} users refreshed{asked}{_failed(body)}"


def _failed(body: Mapping[str, Any]) -> str:
    if not body["failedUsers"]:
        return ""
    first: Mapping[str, Any] = next(iter(body["errors"]), {})
    return f", {body['failedUsers']:,} failed (the first: {first.get('userId')}, {first.get('code')})"


class ReadableFormatter(logging.Formatter):
    """A log record as a line for people: time and message."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        text = f"{at:%H:%M:%S}  {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def speak_readably() -> None:
    """Have the functions' log in lines for people, and only what is worth one."""
    logger = logging.getLogger("credit_refresh")
    for handler in logger.handlers:
        handler.setFormatter(ReadableFormatter())
        handler.addFilter(is_worth_a_line)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    action = getattr(record, "fields", {}).get("action")
    return record.levelno >= logging.WARNING or action in SPOKEN_ACTIONS
