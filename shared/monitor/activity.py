"""The activity log as an operator reads it: who did what, when, why and with what result, page by page."""

from __future__ import annotations

from typing import Any

from shared.monitor.overview_answer import action_answer
from shared.services.context import Context

PAGE_SIZE = 25


def read_activity(context: Context, cursor: str | None, actor: str | None, action: str | None) -> dict[str, Any]:
    """A page of the log, newest first. `actor`: an e-mail address or a uid. Costs a read for each entry.

    `cursor` in the answer asks for the next page; it is null at the end.
    """
    filters = {} if action is None else {"action": action}
    if actor is not None:
        filters["actor" if "@" in actor else "actorUid"] = actor
    entries = context.activity().page(PAGE_SIZE, cursor, filters)
    return {
        "entries": [action_answer(entry.fields) for entry in entries],
        "cursor": entries[-1].entry_id if len(entries) == PAGE_SIZE else None,
    }
