"""Keep the hours of a run even: no hour holds more than three times its even share of the run's users.

Quiet hours are much the same for many users, so their slots crowd in a few hours. Users beyond an hour's share are
moved to the nearest hour that has room, within the window of their own day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

HOUR = timedelta(hours=1)
SHARES_MAX = 3
HOURS_AWAY_MAX = 24


class Window(NamedTuple):
    """The time in which a user's slot may lie: [begin, end)."""

    begin: datetime
    end: datetime


Slots = Mapping[datetime, Sequence[tuple[str, Window | None]]]  # users by slot, in order of id


@dataclass(frozen=True, slots=True)
class HourLimit:
    """How many users an hour of the day that begins at `day_start` may hold."""

    day_start: datetime
    window_seconds: int
    slot_width_seconds: int

    def users_max(self, total: int) -> int:
        """Users of one hour, if the run has so many. It is at least one user."""
        hours = max(1, self.window_seconds / HOUR.total_seconds())
        return max(1, int(SHARES_MAX * total / hours))

    def move_overflow(
        self, slots: Slots, planned_by_hour: Mapping[int, int], now: datetime
    ) -> dict[tuple[datetime, str], datetime]:
        """The new slot of each user who has to be moved, by present slot and id.

        `planned_by_hour`: users of the run who are in jobs already. Nobody is moved into the past. A user stays if no
        hour of the window has room.
        """
        loads = Counter(planned_by_hour)
        users_max = self.users_max(loads.total() + sum(map(len, slots.values())))
        moved = {}
        for slot, user_id, window in self._overflow(slots, loads, users_max, now):
            wanted = (other for other in self._nearest(slot, window) if other >= now)
            new_slot = next((other for other in wanted if loads[self._hour(other)] < users_max), slot)
            loads[self._hour(new_slot)] += 1
            if new_slot != slot:
                moved[slot, user_id] = new_slot
        return moved

    def _overflow(
        self, slots: Slots, loads: Counter[int], users_max: int, now: datetime
    ) -> list[tuple[datetime, str, Window]]:
        """The users who can't stay. The others are counted in `loads`; late users and those without a window stay."""
        overflow = []
        for slot in sorted(slots):
            hour = self._hour(max(slot, now))
            for user_id, window in slots[slot]:
                if window is None or slot < now or loads[hour] < users_max:
                    loads[hour] += 1
                else:
                    overflow.append((slot, user_id, window))
        return overflow

    def _hour(self, slot: datetime) -> int:
        return (slot - self.day_start) // HOUR

    def _nearest(self, slot: datetime, window: Window) -> Iterator[datetime]:
        """Slots of other hours in the window, nearest first, later before earlier."""
        for hours in range(1, HOURS_AWAY_MAX):
            for other in (slot + hours * HOUR, slot - hours * HOUR):
                if window.begin <= other < window.end:
                    yield self._aligned(other, window)

    def _aligned(self, moment: datetime, window: Window) -> datetime:
        """The beginning of the slot that contains the moment. Slots count from the window's beginning."""
        return moment - (moment - window.begin) % timedelta(seconds=self.slot_width_seconds)
