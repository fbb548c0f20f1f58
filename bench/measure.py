"""Runs steps in processes of their own and measures them, one after another or side by side."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.project import ProjectSpec

STEP_SECONDS_MAX = 600
CONNECTING_READS = 1  # each process begins with this read to connect; it is not part of the step
PEERS = Path(__file__).resolve().parent / "peers"
NODE_VERSION_MIN = 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of a step: wall clock time, CPU time and memory of its process, and the figures that it counted."""

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


def measure_step(host: str, step: str, spec: ProjectSpec) -> Measurement:
    """Run one step in its own process. Raises RuntimeError if it fails."""
    return measure_side_by_side(host, step, [spec])[0]


def measure_side_by_side(host: str, step: str, specs: Sequence[ProjectSpec]) -> Sequence[Measurement]:
    """Run a step in one process for each spec. All processes start at the same moment."""
    with ExitStack() as stack:
        children = [stack.enter_context(_child(host, step, spec)) for spec in specs]
        for child in children:
            _read_line(child)
        for child in children:
            _start(child)
        return [Measurement(**json.loads(_read_line(child))) for child in children]


def joint_pace(runs: Iterable[Measurement]) -> float:
    """Users a second of runs side by side. The time counts from the first beginning to the last end."""
    runs = list(runs)
    seconds = max(run.ended for run in runs) - min(run.began for run in runs)
    return sum(run.users for run in runs) / seconds


def is_node_step(step: str) -> bool:
    return step.startswith("node_")


def prepare_node() -> str | None:
    """Install what the Node steps need. Returns None, or why they can't be run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "node or npm is not on PATH"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE_VERSION_MIN:
        return f"Node {NODE_VERSION_MIN} or newer is needed, not {version}"
    if not (PEERS / "node_modules/firebase-admin").exists():
        installed = subprocess.run([npm, "ci"], cwd=PEERS, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            return f"`npm ci` in bench/peers failed: {installed.stderr.strip()[-300:]}"
    return None


@contextmanager
def _child(host: str, step: str, spec: ProjectSpec) -> Iterator[subprocess.Popen[str]]:
    program = ["node", str(PEERS / "peers.mjs")] if is_node_step(step) else [sys.executable, "-m", "bench.child"]
    command = [*program, host, step, json.dumps(asdict(spec))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
            child.wait(timeout=STEP_SECONDS_MAX)
        finally:
            child.kill()


def _read_line(child: subprocess.Popen[str]) -> str:
    line = child.stdout.readline() if child.stdout else ""
    if not line:
        raise RuntimeError(f"{child.args!r} failed; see its own message above")
    return line


def _start(child: subprocess.Popen[str]) -> None:
    if child.stdin:
        child.stdin.write("go\n")
        child.stdin.flush()
