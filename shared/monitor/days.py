"""The last thirty days: how each run went, and what the month costs. Read on demand, beside the overview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from shared.core.figures import Rollup
from shared.core.runs import Billed, Run
from shared.core.service_level import DAYS
from shared.monitor.prices import cost_answer
from shared.monitor.statistics import billed_of, users_of
from shared.services.context import Context


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day's run and its roll-up."""

    day: date
    run: Run | None
    rollup: Rollup

    @property
    def billed(self) -> Billed:
        return billed_of(self.run, self.rollup)


def read_days(context: Context) -> Sequence[DayFigures]:
    """The last thirty days, or all of the month so far on its 31st; today last.

    Costs nine reads a day: the run and the shards of its roll-up.
    """
    today = context.schedule.day_of(context.clock())
    days = [today - timedelta(days=back) for back in reversed(range(max(DAYS, today.day)))]
    run_ids = [day.isoformat() for day in days]
    runs, rollups = context.runs().get_many(run_ids), context.rollups().totals(run_ids)
    return [DayFigures(day, runs.get(day.isoformat()), rollups[day.isoformat()]) for day in days]


def days_answer(context: Context, days: Sequence[DayFigures]) -> dict[str, Any]:
    """The days as JSON, and the month's money: so far, and what it comes to at the pace of the last days."""
    return {"days": [_day(context, each) for each in days[-DAYS:]], "month": _month(context, days)}


def _day(context: Context, each: DayFigures) -> dict[str, Any]:
    users, served = users_of(each.run, each.rollup), each.rollup.served
    return {
        "runId": each.day.isoformat(),
        "status": "not_started" if each.run is None else each.run.status.value,
        "scan": None if each.run is None else each.run.scan.value,
        "refreshed": users.refreshed,
        "skipped": users.skipped,
        "failed": users.failed,
        "pending": users.pending,
        "onTimeUsers": served.on_time,
        "lateUsers": served.late,
        "deadLetters": each.rollup["failedJobs"],
        "cost": cost_answer(each.billed, context.settings),
    }


def _month(context: Context, days: Sequence[DayFigures]) -> dict[str, Any]:
    today = days[-1].day
    of_month = [each for each in days if (each.day.year, each.day.month) == (today.year, today.month)]
    so_far = sum((each.billed for each in of_month), Billed())
    return {
        "month": f"{today:%Y-%m}",
        "soFar": cost_answer(so_far, context.settings),
        "forecast": _forecast(context, days, so_far),
    }


def _forecast(context: Context, days: Sequence[DayFigures], so_far: Billed) -> dict[str, Any] | None:
    """So far, and for each day to come the mean of the complete days that had a run; None while there is none."""
    past = [each.billed for each in days[:-1] if each.run is not None]
    if not past:
        return None
    today = days[-1].day
    days_left = ((today.replace(day=28) + timedelta(days=4)).replace(day=1) - today).days
    total, today_so_far = sum(past, Billed()), days[-1].billed
    mean = (total.reads / len(past), total.writes / len(past))
    further = Billed(round(days_left * mean[0]) - today_so_far.reads, round(days_left * mean[1]) - today_so_far.writes)
    return cost_answer(so_far + Billed(max(0, further.reads), max(0, further.writes)), context.settings)
