"""The text that the demo prints before and after the day."""

from __future__ import annotations

from dev.day import BUILDER_MINUTES, TICK_MINUTES, Day
from dev.oracle import Outcome
from dev.population import Population
from dev.verdict import Verdict
from shared.settings import Settings

READ_DOLLARS = Settings.model_fields["price_read"].default  # per 100K
WRITE_DOLLARS = Settings.model_fields["price_write"].default
ONE_JOB_EACH = (3, 4)  # reads and writes per user, with one job per user, claimed one at a time
NEXT = [
    "What to do next",
    "  DAYS=3 make demo                         the days that follow, too",
    "  make dev                                 all of this beside your app, with a page and a clock to move",
    "  plans.toml                               what each of your plans gives",
    "  deploy/deploy.sh PROJECT_ID --dry-run    what would be added to your project",
]


def introduction(host: str, project: str, population: Population, slot_minutes: int, days: int) -> str:
    plans = ", ".join(population.rules.plans)
    others = f" and {days - 1} more" if days > 1 else ""
    return (
        f"{population.users:,} users on {plans} or no plan, in the emulator at {host}, project {project}\n"
        f"slots of {slot_minutes} minutes, wide enough to fill a job with so many users (the default is 5)\n"
        f"{population.day:%A, %d %B %Y}{others}: the builder every {BUILDER_MINUTES} minutes, a worker "
        f"every {TICK_MINUTES}, played back to back\n"
    )


def day_line(day: Day, verdict: Verdict) -> str:
    """One line for a day that is not the last."""
    ledger = day.ledger
    return (
        f"OK, {day.day:%A, %d %B}: {ledger.refreshed:,} refreshed, {ledger.skipped:,} skipped, "
        f"{ledger.errors_total:,} failed, {verdict.receipts.jobs:,} jobs; {verdict.checked:,} balances checked\n"
    )


def final_screen(day: Day, verdict: Verdict, seconds: float) -> str:
    lines = ["", *_users(day, verdict), "", *_events(day, verdict), "", *_cost(day, verdict), ""]
    return "\n".join([*lines, *_ending(verdict, seconds)])


def _users(day: Day, verdict: Verdict) -> list[str]:
    outcomes = [outcome for receipts in verdict.receipts.outcomes.values() for outcome, _, _ in receipts]
    refreshed = outcomes.count("refreshed")
    errors = sorted(day.ledger.errors, key=lambda error: str(error["userId"]))
    return [
        f"refreshed {refreshed:>9,}",
        f"skipped   {day.ledger.skipped:>9,}  granted before, paused, or without a balance",
        f'full      {verdict.full:>9,}  left alone by a plan with when_full = "skip"',
        f"failed    {day.ledger.errors_total:>9,}{'  left as they were, but for `dueOn`:' if errors else ''}",
        *(f"            {error['userId']}: {error['code']}, {error['error']}" for error in errors),
        f"jobs      {verdict.receipts.jobs:>9,}  of {refreshed / max(1, verdict.receipts.jobs):.0f} users each",
    ]


def _events(day: Day, verdict: Verdict) -> list[str]:
    ledger, spender, killed_at = day.ledger, day.spender, day.killed_at
    killed = "no worker was killed, as the day has one slot only"
    if killed_at is not None:
        killed = f"one worker killed at {killed_at:%H:%M}, others took over {verdict.receipts.taken_over} of its jobs"
    return [
        "Meanwhile",
        f"  {spender.made:,} spends; {spender.conflicts:,} more met a refresh and were made again on the new balance",
        f"  {spender.refused:,} spends refused for want of credits",
        f"  {day.newcomers.signed_up:,} users signed up, {day.newcomers.upgraded:,} asked for another plan's credits",
        f"  {ledger.conflicts:,} users had changed (spent, or refreshed by the killed worker), and were read again",
        f"  {ledger.races} times two workers at once, {ledger.duplicates} deliveries made twice, {killed}",
        *([f"  {ledger.retried} deliveries failed and were made again"] if ledger.retried else []),
    ]


def _cost(day: Day, verdict: Verdict) -> list[str]:
    """The cost of one refreshed user. The killed worker's operations count too, though it could not report them."""
    ledger, receipts, users = day.ledger, verdict.receipts, max(1, verdict.outcomes[Outcome.REFRESHED])
    reads = (ledger.reads + receipts.unreported_reads) / users
    writes = (ledger.writes + receipts.unreported_writes) / users
    return [
        "Per refreshed user         reads   writes   $ per 100K users",
        _cost_line("this day", reads, writes),
        _cost_line("one job per user", *ONE_JOB_EACH),
        f"  reads: {ledger.scanned:,} users by the builder, due or not; {ledger.conflicts:,} of them again;",
        f"         {ledger.idle_reads:,} by the {ledger.idle_calls:,} calls that found nothing to do",
    ]


def _cost_line(name: str, reads: float, writes: float) -> str:
    dollars = reads * READ_DOLLARS + writes * WRITE_DOLLARS
    return f"  {name:<23} {reads:>6.2f}   {writes:>6.2f}   {dollars:>16.2f}"


def _ending(verdict: Verdict, seconds: float) -> list[str]:
    if verdict.is_ok:
        ok = f"OK: {verdict.checked:,} balances and stamps checked, all as they should be ({seconds:.0f} s)"
        return [ok, "", *NEXT]
    shown = [f"  {fault}" for fault in verdict.faults]
    return [*shown, f"FAILED: {verdict.faulty:,} of {verdict.checked:,} users and totals are wrong ({seconds:.0f} s)"]
