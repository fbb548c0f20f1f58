"""The pause of builder and worker: who paused, since when, why, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause in force. A field is None if it is not known. `until`: the moment at which the pause ends by itself."""

    by: str | None = None
    since: datetime | None = None
    reason: str | None = None
    until: datetime | None = None


def pause_of(state: Mapping[str, Any], now: datetime) -> Pause | None:
    """The pause that the state document describes at `now`; None if builder and worker may run.

    Any value of `paused` except false and null is a pause, so a mistake made by hand stops the refresh and does not
    start it. The end is exclusive: at `pausedUntil` the refresh goes on.
    """
    if state.get("paused") in (False, None):
        return None
    until = _time(state.get("pausedUntil"))
    if until is not None and now >= until:
        return None
    return Pause(
        by=_text(state.get("pausedBy")),
        since=_time(state.get("pausedAt")),
        reason=_text(state.get("pauseReason")),
        until=until,
    )


def pause_ended_at(state: Mapping[str, Any], now: datetime) -> datetime | None:
    """When the last pause ended: by itself, or because somebody resumed. None if that is not known, or at a pause."""
    if is_paused(state, now):
        return None
    has_ended_by_itself = state.get("paused") not in (False, None)
    return _time(state.get("pausedUntil" if has_ended_by_itself else "resumedAt"))


def is_paused(state: Mapping[str, Any], now: datetime) -> bool:
    """True if builder and worker are paused at `now`."""
    return pause_of(state, now) is not None


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
