"""What a scan reads: ranges of users in some order, one after another, and the cursor at the last user that was read.

A scan of everybody is one range, ordered by document id. A scan of the due is several ranges: first the few users whose
`dueOn` (or balance) no decision would have written, then those who are due by date, then those who are due by balance.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from shared.core.users import ABSENT

WHEN_LOW = "when-low"  # the `dueOn` of a user who is found by balance

VALUE_CHARACTERS_MAX = 4_000  # of a cursor; the run document holds several cursors

_CUT = "~"  # begins a cursor's value that was too long, before its digest; neither JSON nor base64 begins so
_CUT_CHARACTERS = 17  # of the mark and the digest
_COMPARED_CHARACTERS = 200  # of a text in a cursor; a date has 10
_NUMBERED = re.compile(r"__id(-?[0-9]+)__")  # ids that Datastore's imports bring; they come before all others


class OrderBy(StrEnum):
    """What a range is ordered by. Users with equal values are in order of id."""

    ID = "id"
    DUE_ON = "dueOn"
    BALANCE = "balance"


class RangeName(StrEnum):
    """All ranges, in the order in which a scan reads them."""

    EVERYBODY = "everybody"
    #: Of a scan of everybody that began in the middle: from the first user to there.
    WRAPPED = "wrapped"
    #: Users whose stamp can hold no `dueOn`. They are kept by name, and read by name.
    NAMED = "named"
    #: Users whose `dueOn` is no text, and sorts before text.
    BEFORE_TEXT = "before_text"
    #: Users whose `dueOn` is later than any plan's period could make it.
    TOO_LATE = "too_late"
    #: Users whose `dueOn` sorts after "when-low".
    AFTER_TEXT = "after_text"
    #: Users whose balance is no number, and sorts before numbers.
    BEFORE_NUMBERS = "before_numbers"
    #: Users whose balance is no finite number, and sorts after finite numbers.
    AFTER_NUMBERS = "after_numbers"
    #: Users whose `dueOn` has come.
    BY_DATE = "by_date"
    #: Users whose balance is below the allowance of a plan that leaves full users alone.
    BY_BALANCE = "by_balance"


_RANKS = {name: rank for rank, name in enumerate(RangeName)}


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range: a value of the field it is ordered by. `inclusive`: users with that value are in it."""

    value: str | int | float
    inclusive: bool


@dataclass(frozen=True, slots=True)
class ScanRange:
    """Users from `start` to `end`; None: from the first, to the last.

    `is_odd`: no user is in it unless something is wrong with their document. Its values may be of any type, so a
    cursor in it can't be compared with others; the builder flushes after each of its pages.
    """

    name: RangeName
    order_by: OrderBy
    start: Bound | None = None
    end: Bound | None = None
    is_odd: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last user read. `value`: what the range's field holds there, as JSON or, of an odd range, encoded.

    A value that is too long for the run document is cut when the cursor is written. To go on, a scan reads the value
    again from the user's document.
    """

    user_id: str
    range: RangeName = RangeName.EVERYBODY
    value: str = ""

    def __str__(self) -> str:
        if self.range is RangeName.EVERYBODY:
            return self.user_id
        return f"/{self.range}/{self._written_value}/{self.user_id}"

    @property
    def is_cut(self) -> bool:
        """True for a parsed cursor whose value was too long."""
        return self.value.startswith(_CUT)

    @property
    def start_value(self) -> str | None:
        """Of a cut cursor: the beginning of the text that its value is; None if the value is of another range."""
        beginning = self.value[_CUT_CHARACTERS:]
        return str(json.loads(beginning)) if beginning else None

    @property
    def _written_value(self) -> str:
        if len(self.value) <= VALUE_CHARACTERS_MAX:
            return self.value
        digest = hashlib.blake2b(self.value.encode(), digest_size=8).hexdigest()
        return _CUT + digest + (json.dumps(_beginning(self.value)) if self.range is RangeName.BY_DATE else "")

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """The inverse of str(). A user id holds no slash; a value may. Raises ValueError."""
        if text is None:
            return None
        if not text.startswith("/"):
            return cls._parse_old(text)
        name, _, rest = text[1:].partition("/")
        value, _, user_id = rest.rpartition("/")
        return cls(user_id, RangeName(name), value)

    @classmethod
    def _parse_old(cls, text: str) -> Cursor:
        """A cursor as an earlier version wrote it: an id, or `dueOn/id`."""
        due_on, slash, user_id = text.rpartition("/")
        return cls(user_id, RangeName.BY_DATE, json.dumps(due_on)) if slash else cls(text)

    @property
    def order(self) -> tuple[Any, ...]:
        """Compares as a scan goes: by range, by value, then by id as Firestore orders ids."""
        number = _NUMBERED.fullmatch(self.user_id)
        is_comparable = self.range in (RangeName.BY_DATE, RangeName.BY_BALANCE)
        value = (self.start_value if self.is_cut else _beginning(self.value),) if is_comparable else ()
        return _RANKS[self.range], value, math.inf if number is None else int(number[1]), self.user_id


def _beginning(value: str) -> Any:
    """What this JSON says; of a text its beginning."""
    said = json.loads(value)
    return said[:_COMPARED_CHARACTERS] if isinstance(said, str) else said


def everybody(wrap_until: str | None) -> tuple[ScanRange, ...]:
    """All users by id. A scan that began behind `wrap_until` goes on from the first user to there."""
    whole = ScanRange(RangeName.EVERYBODY, OrderBy.ID)
    if wrap_until is None:
        return (whole,)
    return whole, ScanRange(RangeName.WRAPPED, OrderBy.ID, end=Bound(wrap_until, inclusive=True))


def due(today: date, period_days_max: int, low_below: int | None) -> tuple[ScanRange, ...]:
    """The users who may be due on `today`, and those whose `dueOn` can't be right.

    `period_days_max`: days of the longest period of any plan. `low_below`: users with a smaller balance are read, too;
    None: no plan leaves full users alone.
    """
    latest = _latest(today, period_days_max)
    # Where no balance is read, "when-low" leads to nobody, so it can't be right: a backup may have brought it back.
    low = Bound(WHEN_LOW, inclusive=low_below is None)
    odd = [
        ScanRange(RangeName.NAMED, OrderBy.ID, is_odd=True),
        ScanRange(RangeName.BEFORE_TEXT, OrderBy.DUE_ON, None, Bound("", inclusive=False), is_odd=True),
        ScanRange(RangeName.TOO_LATE, OrderBy.DUE_ON, latest, low, is_odd=True),
        ScanRange(RangeName.AFTER_TEXT, OrderBy.DUE_ON, Bound(WHEN_LOW, inclusive=False), None, is_odd=True),
    ]
    by_date = ScanRange(
        RangeName.BY_DATE, OrderBy.DUE_ON, Bound("", inclusive=True), Bound(today.isoformat(), inclusive=True)
    )
    if low_below is None:
        return (*odd, by_date)
    return *odd, *_odd_balances(), by_date, _by_balance(low_below)


def _latest(today: date, period_days_max: int) -> Bound:
    days = min(period_days_max, (date.max - today).days)
    return Bound((today + timedelta(days=days)).isoformat(), inclusive=False)


def _odd_balances() -> tuple[ScanRange, ...]:
    lowest, highest = Bound(-math.inf, inclusive=False), Bound(math.inf, inclusive=True)
    return (
        ScanRange(RangeName.BEFORE_NUMBERS, OrderBy.BALANCE, None, lowest, is_odd=True),
        ScanRange(RangeName.AFTER_NUMBERS, OrderBy.BALANCE, highest, None, is_odd=True),
    )


def _by_balance(low_below: int) -> ScanRange:
    start, end = Bound(-math.inf, inclusive=True), Bound(low_below, inclusive=False)
    return ScanRange(RangeName.BY_BALANCE, OrderBy.BALANCE, start, end)


def from_cursor(ranges: Sequence[ScanRange], cursor: Cursor | None) -> Sequence[ScanRange]:
    """The ranges that are not read to the end: the cursor's own, and those after it."""
    if cursor is None:
        return ranges
    return [each for each in ranges if _RANKS[each.name] >= _RANKS[cursor.range]]


def is_found_by_date(due_on: object, ranges: Sequence[ScanRange]) -> bool:
    """True for a `dueOn` (ABSENT: there is none) that one of the ranges ordered by it holds. Null is a value, too."""
    return due_on is not ABSENT and any(_holds(each, due_on) for each in ranges if each.order_by is OrderBy.DUE_ON)


def _holds(each: ScanRange, due_on: object) -> bool:
    if not isinstance(due_on, str):  # other types are in the odd ranges, which have no end on that side
        return each.name in (RangeName.BEFORE_TEXT, RangeName.AFTER_TEXT)
    return _is_after(due_on, each.start) and _is_before(due_on, each.end)


def _is_after(value: str, start: Bound | None) -> bool:
    return start is None or value > str(start.value) or (start.inclusive and value == start.value)


def _is_before(value: str, end: Bound | None) -> bool:
    return end is None or value < str(end.value) or (end.inclusive and value == end.value)
