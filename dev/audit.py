"""`make audit` asks PyPI and npm for known vulnerabilities of the pinned packages.

It fails if there are any. If a service can't be reached, it prints that no check was made, and does not fail.
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
    """The answer of one service. `line`: what is printed. `found`: true if there is a vulnerability."""

    line: str
    found: bool = False


def main() -> int:
    """Ask both services. Returns the exit code: 1 if something was found."""
    verdicts = [python_verdict(_run(_pip_audit())), npm_verdict(_run(["npm", "audit", "--json"], NPM_FOLDER))]
    for verdict in verdicts:
        print(verdict.line)
    return int(any(verdict.found for verdict in verdicts))


def _pip_audit() -> list[str]:
    files = [word for name in PYTHON for word in ("-r", str(BUNDLE / name))]
    return [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format=json", *files]


def _run(command: Sequence[str], folder: Path = BUNDLE) -> str:
    """Run a command. Returns what it printed, or why it could not be run."""
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not on PATH"
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS_MAX} s"
    return ended.stdout or ended.stderr


def python_verdict(printed: str) -> Verdict:
    """The verdict on what pip-audit printed."""
    packages = _json(printed).get("dependencies")
    if not isinstance(packages, list) or not packages:
        return _no_check("pip-audit", printed)
    skipped = [package for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return _no_check("pip-audit", str(skipped[0]["skip_reason"]))
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    unknown = f"; {len(skipped)} could not be asked about" if skipped else ""
    return _verdict_on("pip-audit", len(packages) - len(skipped), found, unknown)


def npm_verdict(printed: str) -> Verdict:
    """The verdict on what npm audit printed."""
    report = _json(printed)
    if "vulnerabilities" not in report:
        return _no_check("npm audit", str(report.get("message") or printed))
    found = [f"{name}: {flaw['severity']}" for name, flaw in report["vulnerabilities"].items()]
    return _verdict_on("npm audit", report["metadata"]["dependencies"]["total"], found, "")


def _verdict_on(who: str, packages: int, found: Sequence[str], rest: str) -> Verdict:
    flaws = "\n  ".join(["", *found]) if found else " no known vulnerability"
    return Verdict(f"{who}: {packages} packages asked about{rest}:{flaws}", bool(found))


def _no_check(who: str, why: str) -> Verdict:
    last = (why.strip().splitlines() or ["it printed nothing"])[-1]
    return Verdict(f"{who}: could not ask, so nothing was checked: {last[:REASON_CHARACTERS_MAX]}")


def _json(printed: str) -> dict[str, Any]:
    try:
        report = json.loads(printed)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
