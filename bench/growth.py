"""Fifty thousand users beside two hundred thousand: cost a user and the builder's memory. Run with `make bench-growth`.

The slots are as full in both. It takes minutes, because the emulator sorts what is left for every page of a query.
"""

from __future__ import annotations

from bench.ground import warm_up
from bench.report import aims_table, growth_aims, heading, sizes_table, slot_width, today
from bench.scale import day_of
from dev.emulator import emulator

USERS = (50_000, 200_000)
USERS_A_SLOT = 700


def main() -> None:
    print(f"{heading(today())}\n", flush=True)
    with emulator() as host:
        warm_up(host)
        small, large = (day_of(host, users, slot_width(USERS_A_SLOT, users)) for users in USERS)
    print(f"{sizes_table((small, large))}\n\n{aims_table(growth_aims(small, large))}")


if __name__ == "__main__":
    main()
