"""The schedule: when local days begin, and each user's slot in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.core.hour_limit import HourLimit, Window
from shared.core.own_days import OwnDays, day_at, midnight
from shared.core.stagger import Stagger, quiet_offset_seconds, slot_of, slot_seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days begin at midnight in `zone`. Users are spread over a window of each day.

    The window begins `window_start_seconds` after midnight and lasts `window_seconds`.

    A slot may lie past the end of its day. The job belongs to the day all the same, and so does the period it grants.
    """

    zone: ZoneInfo
    window_seconds: int
    slot_width_seconds: int
    window_start_seconds: int = 0
    stagger: Stagger = Stagger.HASH

    def day_of(self, instant: datetime) -> date:
        """The day whose half-open interval [start, next start) contains the instant."""
        return day_at(self.zone, instant)

    def day_start(self, day: date) -> datetime:
        """Local midnight in UTC. Where clocks skip midnight, the first instant after it."""
        return midnight(self.zone, day)

    def slot_start(self, day: date, user_id: str, own_days: OwnDays | None = None, activity: object = None) -> datetime:
        """The beginning of the user's slot on that local date.

        `own_days`: of a user with a zone of their own. `activity`: the hours learnt of the user, for `quiet`.
        """
        return self.window_start(day, own_days) + timedelta(seconds=self._slot_seconds(user_id, activity))

    def window_start(self, day: date, own_days: OwnDays | None = None) -> datetime:
        """When the first slot of a user's local date begins."""
        zone = self.zone if own_days is None else own_days.zone
        return midnight(zone, day) + timedelta(seconds=self.window_start_seconds)

    def window(self, day: date, own_days: OwnDays | None = None) -> Window | None:
        """Where the slots of a user's local date may be moved if too many want the same hour; None: nobody is moved."""
        if self.stagger is Stagger.HASH:
            return None
        begin = self.window_start(day, own_days)
        return Window(begin, begin + timedelta(seconds=self.window_seconds))

    def hour_limit(self, day: date) -> HourLimit | None:
        """How many users an hour of the run of that day may hold; None: users are spread evenly anyway."""
        if self.stagger is Stagger.HASH:
            return None
        return HourLimit(self.day_start(day), self.window_seconds, self.slot_width_seconds)

    def _slot_seconds(self, user_id: str, activity: object) -> int:
        if self.stagger is Stagger.HASH:
            return slot_seconds(user_id, self.window_seconds, self.slot_width_seconds)
        offset = quiet_offset_seconds(user_id, activity, self.window_start_seconds, self.window_seconds)
        return slot_of(offset, self.slot_width_seconds)

    @property
    def spread(self) -> str:
        """A text that changes whenever users' slots change."""
        window = f"{self.window_start_seconds}+{self.window_seconds}"
        return f"{self.zone.key}/{window}/{self.slot_width_seconds}/{self.stagger.algorithm}"
