"""Prices: what billed reads and writes cost, and what an action will cost. The only place that knows dollars."""

from __future__ import annotations

from typing import Any

from shared.core.runs import Billed
from shared.settings import Settings

PRICED_OPERATIONS = 100_000  # the settings give dollars for so many


def dollars(billed: Billed, settings: Settings) -> float:
    """What so many reads and writes cost."""
    return (billed.reads * settings.price_read + billed.writes * settings.price_write) / PRICED_OPERATIONS


def cost_answer(billed: Billed, settings: Settings) -> dict[str, Any]:
    """Reads, writes and dollars."""
    return {"reads": billed.reads, "writes": billed.writes, "usd": dollars(billed, settings)}
