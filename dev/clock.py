"""The clock of a local set-up. It shows the real time until somebody moves it forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """It runs as fast as the real time. It never goes back, because stamps and leases of later days would remain.

    Only one thread may move it. Any thread may read it.
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
        """Show that time from now on. A time in the past changes nothing."""
        self._ahead = max(self._ahead, moment - datetime.now(UTC))
