"""`python -m deploy.smoke` prints how a call of a function ended. It reads the function's log.

Only calls that began at the given time or later count. It prints `success` or `failure: …`, or nothing while the log
has no such line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deploy.files import read_items, run_main

Lines = Sequence[Mapping[str, Any]]


def outcome(entries: Lines, action: str, began: datetime) -> str:
    """How the call ended; empty if it has not ended yet. `entries`: those of Cloud Logging."""
    lines = [each["jsonPayload"] for each in entries if "jsonPayload" in each]
    if any(line.get("action") == action and _began(line) >= began for line in lines):
        return "success"
    for line in lines:
        if line.get("action") == "call_failed" and line.get("function") == action:
            return f"failure: {line.get('message', 'its log says why')}"
    return ""


def _began(line: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(line["startTime"]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", required=True)
    options.add_argument("--action", required=True)
    options.add_argument("--began", type=datetime.fromisoformat, required=True)
    chosen = options.parse_args()
    sys.stdout.write(outcome(read_items(chosen.entries), chosen.action, chosen.began))


if __name__ == "__main__":
    sys.exit(run_main(main))
