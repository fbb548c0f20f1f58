"""`make audit`: are there known vulnerabilities in what is pinned? Asks PyPI and npm.

It fails if there are any. Where a service can't be asked, it says so in one line and does not fail: no check was made.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.function_server import BUNDLE

SECONDS_MAX = 300
PYTHON = ("requirements.txt", "requirements-dev.txt", "deploy/requirements-tracing.txt")
NPM_FOLDER = BUNDLE / "tests" / "firebase"
REASON_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of asking one service: the line to print, and whether something was found."""

    line: str
    found: bool = False


def main() -> int:
    """The exit code: 1 if something was found."""
    verdicts = [python_verdict(_run(_pip_audit())), npm_verdict(_run(["npm", "audit", "--json"], NPM_FOLDER))]
    for verdict in verdicts:
        print(verdict.line)
    return int(any(verdict.found for verdict in verdicts))


def _pip_audit() -> list[str]:
    files = [word for name in PYTHON for word in ("-r", str(BUNDLE / name))]
    return [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format=json", *files]


def _run(command: Sequence[str], folder: Path = BUNDLE) -> str:
    """What it printed, or why it could not be run."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not on PATH"
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS_MAX} s"
    return ended.stdout or ended.stderr


def python_verdict(printed: str) -> Verdict:
    """Of what pip-audit printed."""
    packages = _json(printed).get("dependencies")
    if not isinstance(packages, list) or not packages:
        return _not_asked("pip-audit", printed)
    skipped = [package for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return _not_asked("pip-audit", str(skipped[0]["skip_reason"]))
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unknown = f"; {len(skipped)} could not be asked about" if skipped else ""
    return _asked("pip-audit", len(packages) - len(skipped), found, unknown)


def npm_verdict(printed: str) -> Verdict:
    """Of what npm audit printed."""
    told = _json(printed)
    if "vulnerabilities" not in told:
        return _not_asked("npm audit", str(told.get("message") or printed))
    found = [f"{name}: {flaw['severity']}" for name, flaw in told["vulnerabilities"].items()]
    return _asked("npm audit", told["metadata"]["dependencies"]["total"], found, "")


def _asked(who: str, packages: int, found: Sequence[str], rest: str) -> Verdict:
    flaws = "\n  ".join(["", *found]) if found else " no known vulnerability"
    return Verdict(f"{who}: {packages} packages asked about{rest}:{flaws}", bool(found))


def _not_asked(who: str, why: str) -> Verdict:
    last = (why.strip().splitlines() or ["it printed nothing"])[-1]
    return Verdict(f"{who}: could not ask, so nothing was checked: {last[:REASON_CHARACTERS_MAX]}")


def _json(printed: str) -> dict[str, Any]:
    try:
        told = json.loads(printed)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
