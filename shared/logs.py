"""Structured logs: each line is one JSON object in Cloud Logging's fields, with a stable `action`."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# Text that looks like one of these is removed from every log line.
_FORMS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    # E-mail addresses, which some apps use as user ids: `ann@example.com`, `bob@localhost`, `"a b"@example.com`,
    # and as they stand in addresses of pages and in keys: `ann%40example.com`.
    r"(?:\"[^\"\n]{1,64}\"|[^\s\"'@/<>()\[\]=,;:]{1,64})(?:@|%40)(?:\[[\w.:]+\]|[\w-]+(?:\.[\w-]+)*)",
    r"eyJ[\w-]{8,}(?:\.[\w-]+)*",  # JSON web tokens
    r"ya29\.[\w.-]+",  # Google's access tokens
    r"1//[\w-]{20,}",  # … and refresh tokens
    r"\bA(?:Mf-|Eu4IL|PZUo0)[\w-]{20,}",  # … of Firebase Auth
    r"AIza[\w-]{30,}",  # … and API keys
    r"GOCSPX-[\w-]{20,}",  # … and client secrets
    r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_]{16,}",  # Stripe's keys, which a shop's documents may hold
    r"(?i:bearer\s+[\w.~+/-]+=*|basic\s+[\w+/]{12,}=*)",
    (
        r"(?i:\b(?:password|passwd|secret|api_?key|refresh_?token|access_?token|client_?secret|private_?key)"
        r"[\"']{0,2}\s*[=:]\s*[\"']{0,2}[^\s\"',;&}]+)"
    ),
)
_SECRETS = re.compile("|".join(_FORMS), re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')  # a JSON string

_logger = logging.getLogger("credit_refresh")
_context: ContextVar[dict[str, Any] | None] = ContextVar("credit_refresh_log_context", default=None)


class JsonFormatter(logging.Formatter):
    """Turns a record into one line of JSON. User ids may appear; e-mail addresses and tokens never."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **(_context.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _STRING.sub(_without_secrets, json.dumps(entry, default=str))


def _without_secrets(string: re.Match[str]) -> str:
    """A JSON string without secrets. It is unescaped first, because a cut could split an escape."""
    text = json.loads(string[0])
    cleared = _SECRETS.sub("[removed]", text)
    return string[0] if cleared == text else json.dumps(cleared)


def configure() -> None:
    """Send our logs to standard output. May be called again."""
    if _logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def info(action: str, message: str, **fields: Any) -> None:
    _logger.info(message, extra={"fields": {"action": action, **fields}})


def warning(action: str, message: str, **fields: Any) -> None:
    _logger.warning(message, extra={"fields": {"action": action, **fields}})


def error(action: str, message: str, *, exc_info: bool = False, **fields: Any) -> None:
    _logger.error(message, exc_info=exc_info, extra={"fields": {"action": action, **fields}})


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Add fields to every line that is logged inside, in this thread."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)
