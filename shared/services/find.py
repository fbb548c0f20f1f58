"""Find users: read the ranges of a scan page by page, all at one moment of the database.

Because every page is read at the same moment, no user is met twice or passed over when a worker or the app moves them
during the scan. What a page shows may be a few minutes old; the job's write is guarded by the update time it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shared.core.ranges import Cursor, RangeName, ScanRange, from_cursor
from shared.services.context import Context
from shared.store.users import UserDocument


@dataclass(frozen=True, slots=True)
class Page:
    """Some users of a range, in its order. `more`: there may be users behind them, in this range or the next."""

    range: ScanRange
    users: Sequence[UserDocument]
    more: bool

    def cursor_at(self, user: UserDocument) -> Cursor:
        return Cursor(user.user_id, self.range.name, user.order_value)


class UserFinder:
    """Reads the ranges of a scan for one call. `named`: the documents of users who are kept by name."""

    def __init__(
        self,
        context: Context,
        ranges: Sequence[ScanRange],
        page_users: int,
        read_time_ns: int,
        named: Sequence[UserDocument],
    ) -> None:
        self._context = context
        self._ranges = ranges
        self._page_users = page_users
        self._read_time_ns = read_time_ns
        self._named = sorted(named, key=lambda user: user.user_id)

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """The pages after the cursor. The next page is fetched while the last one is worked on."""
        remaining = from_cursor(self._ranges, cursor)
        with ThreadPoolExecutor(1) as ahead:
            for number, each in enumerate(remaining, 1):
                after = cursor if cursor is not None and cursor.range is each.name else None
                page = self._read(each, after, more=number < len(remaining))
                while len(page.users) == self._limit(each):
                    following = ahead.submit(self._read, each, page.cursor_at(page.users[-1]), more=page.more)
                    yield Page(each, page.users, more=True)
                    page = following.result()
                yield page

    def _read(self, each: ScanRange, after: Cursor | None, *, more: bool) -> Page:
        limit = self._limit(each)
        if each.name is RangeName.NAMED:
            users = [user for user in self._named if after is None or user.user_id > after.user_id][:limit]
        else:
            users = self._context.users().range_page(each, after, limit, self._read_time_ns)
        return Page(each, users, more)

    def _limit(self, each: ScanRange) -> int:
        """Users of a page. A page of an odd range is flushed by itself, so its jobs must fit into one commit."""
        return min(self._page_users, self._context.limits.odd_page_users) if each.is_odd else self._page_users
