"""Steps measured in processes of their own, one after another or side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.ground import Plot

STEP_SECONDS_MAX = 600
CONNECTING_READS = 1  # with which each process begins, and which are not the step's


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a step: on the wall clock, on its process's CPU clock, and what it counted."""

    began: float
    ended: float
    cpu_seconds: float
    peak_mb: float
    figures: Mapping[str, int]

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def users(self) -> int:
        return self.figures["users"]

    @property
    def pace(self) -> float:
        """Users a second."""
        return self.users / self.seconds


def measured(host: str, step: str, plot: Plot) -> Measured:
    """Run a step. Raises RuntimeError if it fails."""
    return side_by_side(host, step, [plot])[0]


def side_by_side(host: str, step: str, plots: Sequence[Plot]) -> Sequence[Measured]:
    """Run a step in as many processes at once, all let go at the same moment."""
    with ExitStack() as stack:
        children = [stack.enter_context(_child(host, step, plot)) for plot in plots]
        for child in children:
            _answer(child)
        for child in children:
            _tell(child)
        return [Measured(**json.loads(_answer(child))) for child in children]


def together(runs: Iterable[Measured]) -> float:
    """Users a second of runs side by side: from the first to begin until the last has ended."""
    runs = list(runs)
    seconds = max(run.ended for run in runs) - min(run.began for run in runs)
    return sum(run.users for run in runs) / seconds


@contextmanager
def _child(host: str, step: str, plot: Plot) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.child", host, step, json.dumps(asdict(plot))]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
        child.wait(timeout=STEP_SECONDS_MAX)
    finally:
        child.kill()
        child.wait()


def _answer(child: subprocess.Popen[Any]) -> str:
    line: str = child.stdout.readline() if child.stdout else ""
    if not line:
        raise RuntimeError(f"{child.args!r} failed; its own words are above")
    return line


def _tell(child: subprocess.Popen[Any]) -> None:
    if child.stdin:
        child.stdin.write("go\n")
        child.stdin.flush()
