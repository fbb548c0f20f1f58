"""What it would save not to write to users whose balance is full already. Run with `make bench-idle`.

Four fifths of the users of a `top_up` plan of a day are idle. As it is, they are stamped like all others. What the
builder would save by leaving them out is measured by users it leaves out today: those who have this period's stamp.
What the worker would have to do instead, if it were to look at them in their slot, is a read each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from bench.ground import MIDNIGHT, Ground, Plot, clear, spent_user, stamp, user_ids, warm_up
from bench.measure import CONNECTING_READS, measured
from bench.report import heading, table, today
from bench.systems import Billed
from dev.billing import billing
from dev.emulator import emulator

USERS = 12_000
IDLE_SHARE = 0.8
SLOT_SECONDS = 5400  # 750 users a slot, 150 of them not idle
FULL: dict[str, Any] = {"credits": 50}
STAMPED: dict[str, Any] = {"creditRefresh": stamp("free", MIDNIGHT, MIDNIGHT + timedelta(days=1), 50)}


def main() -> None:
    with emulator() as host:
        warm_up(host)
        as_it_is = _cost(host, FULL)
        left_out = _cost(host, FULL | STAMPED)
    looked_at = left_out.plus(reads=IDLE_SHARE, writes=0)
    print(f"{heading(today())}; {IDLE_SHARE:.0%} of {USERS:,} users idle\n")
    rows = {
        "as it is: the period is stamped": as_it_is,
        "the builder leaves full balances out": left_out,
        "the worker looks at them in their slot and does not write": looked_at,
    }
    head = ("", "reads a user", "writes a user", "$ per 100K", "saved")
    print(table(head, (_row(name, billed, as_it_is) for name, billed in rows.items())))


def _cost(host: str, idle: dict[str, Any]) -> Billed:
    """A day's bill where so many users are idle, with these fields."""
    plot = Plot.fresh(USERS, SLOT_SECONDS)
    Ground.at(host, plot).write(dict(_population(idle)))
    with billing(host) as (proxy, bill):
        for step in ("build_jobs", "work_on_jobs"):
            measured(proxy, step, plot)
        reads = bill.reads - 2 * CONNECTING_READS
        billed = Billed(reads / USERS, bill.writes / USERS)
    clear(host, plot)
    return billed


def _population(idle: dict[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    drawn = random.Random(1)
    for user_id in user_ids(USERS):
        user = spent_user(drawn)
        yield f"users/{user_id}", user | idle if drawn.random() < IDLE_SHARE else user


def _row(name: str, billed: Billed, before: Billed) -> tuple[str, ...]:
    saved = 1 - billed.dollars / before.dollars
    return (name, f"{billed.reads:.3f}", f"{billed.writes:.3f}", f"{billed.dollars:.4f}", f"{saved:.0%}")


if __name__ == "__main__":
    main()
