"""The clock of a local set-up: the real time, moved forward by as much as somebody asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Goes on at the pace of the real time. It never goes back, as stamps and leases of later days would be in the way.

    One thread moves it; any may read it.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    @property
    def ahead(self) -> timedelta:
        """How far it is ahead of the real time."""
        return self._ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def move_to(self, moment: datetime) -> None:
        """Show that time from now on; without effect if it is past already."""
        self._ahead = max(self._ahead, moment - datetime.now(UTC))
