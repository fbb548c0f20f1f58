"""`make bench`: medians of several rounds on one warmed emulator, side by side, as ratios."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable

from bench.ground import Ground, warm_up
from bench.systems import Round, bare_batch_writes, bare_in_lanes, one_at_a_time, this_project
from dev.emulator import emulator

ROUNDS = 5
USERS = 12_000
USERS_ONE_AT_A_TIME = 300  # the loop would take minutes for more, at the same pace
SLOT_SECONDS = 5400  # sixteen slots: 750 users each


def main() -> None:
    with emulator() as host:
        os.environ["FIRESTORE_EMULATOR_HOST"] = host
        warm_up(host)
        naive: list[Round] = []
        ours: list[Round] = []
        bare: list[Round] = []
        lanes: list[Round] = []
        for number in range(1, ROUNDS + 1):
            # One after the other in every round, so that all see the same moods of the machine.
            naive.append(one_at_a_time(Ground.prepare(host, USERS_ONE_AT_A_TIME, SLOT_SECONDS)))
            ours.append(this_project(Ground.prepare(host, USERS, SLOT_SECONDS)))
            bare.append(bare_batch_writes(Ground.prepare(host, USERS, SLOT_SECONDS)))
            lanes.append(bare_in_lanes(Ground.prepare(host, USERS, SLOT_SECONDS)))
            speeds = ", ".join(_speed(one[-1]) for one in (naive, ours, bare, lanes))
            print(f"round {number}: {speeds} users/s", flush=True)
    print(f"\nmedians of {ROUNDS} rounds     users/s   CPU µs/user")
    table = {
        "one job at a time": naive,
        "this project's worker": ours,
        "bare BatchWrite": bare,
        "bare, in four lanes": lanes,
    }
    for name, rounds in table.items():
        print(f"{name:24}{_median(rounds, _pace):10,.0f}{_median(rounds, _cpu):14,.0f}")
    print(f"\nworker : one at a time   {_ratio(ours, naive):6.0f} times")
    print(f"worker : bare BatchWrite {_ratio(ours, bare):6.0%}")
    print(f"bare, in four lanes : one at a time {_ratio(lanes, naive):6.0f} times")


def _pace(one: Round) -> float:
    return one.users_a_second


def _cpu(one: Round) -> float:
    return one.cpu_seconds / one.users * 1e6


def _speed(one: Round) -> str:
    return f"{one.users_a_second:,.0f}"


def _median(rounds: list[Round], figure: Callable[[Round], float]) -> float:
    return statistics.median(figure(one) for one in rounds)


def _ratio(one: list[Round], other: list[Round]) -> float:
    """The median of the ratios round by round."""
    return statistics.median(a.users_a_second / b.users_a_second for a, b in zip(one, other, strict=True))


main()
