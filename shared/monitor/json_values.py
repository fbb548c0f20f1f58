"""Values of documents as JSON can hold them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any


def iso(value: object) -> str | None:
    """A moment in ISO 8601; None for anything else."""
    return value.isoformat() if isinstance(value, datetime) else None


def number(value: object) -> int | float | None:
    """A finite or infinite number; None for anything else, true and false included."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def plain(value: Any) -> Any:
    """Any value of a document as JSON can hold it. What JSON does not know becomes text."""
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case bool() | int() | str() | None:
            return value
        case float() if math.isfinite(value):
            return value
    return str(value)
