"""`python -m deploy.monitoring`: the gcloud commands that bring metrics, dashboard and alerts to `deploy/monitoring/`.

What is ours is told by its name (metrics) or a label (dashboard, alerts); a label also holds the hash of the file, so
that what is unchanged is left alone. The notification channels of an alert are the operator's, and stay.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.files import DEPLOYED, print_commands, read_items, read_json, told

FOLDER = DEPLOYED / "monitoring"
LABEL = "credit-refresh"
HASH_LABEL = "credit-refresh-hash"
HASH_CHARACTERS = 40
KEPT = ("etag", "notificationChannels")  # what an update must send back, and what is the operator's
METRIC_PREFIX = "credit_refresh_"

Files = Mapping[str, Path]


def plan_metrics(existing: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Create the metrics that are missing, update those that differ."""
    found = {each["name"]: each for each in existing}
    commands: list[list[str]] = []
    for name, path in _files("metrics").items():
        if name not in found:
            commands.append(["gcloud", "logging", "metrics", "create", name, f"--config-from-file={path}"])
        elif not _holds(found[name], read_json(path)):
            commands.append(["gcloud", "logging", "metrics", "update", name, f"--config-from-file={path}"])
    return commands


def plan_labelled(kind: str, existing: Sequence[Mapping[str, Any]], labels: str, written: Path) -> list[list[str]]:
    """The same for dashboards and alerts; the files gcloud reads, labels added, are written to a folder."""
    found = {each.get(labels, {}).get(LABEL): each for each in existing}
    commands: list[list[str]] = []
    for name, path in _files(kind).items():
        content = read_json(path)
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:HASH_CHARACTERS]
        now = found.get(name)
        if now is not None and now[labels].get(HASH_LABEL) == digest:
            continue
        content[labels] = {LABEL: name, HASH_LABEL: digest}
        if now is not None:
            content |= {key: now[key] for key in KEPT if key in now}
        target = written / f"{kind}-{name}.json"
        target.write_text(json.dumps(content, indent=1), encoding="utf-8")
        commands.append(_command(kind, target, now))
    return commands


def _command(kind: str, path: Path, now: Mapping[str, Any] | None) -> list[str]:
    if kind == "dashboards":
        words = ["gcloud", "monitoring", "dashboards"]
        verb = ["create"] if now is None else ["update", now["name"]]
        return [*words, *verb, f"--config-from-file={path}"]
    words = ["gcloud", "alpha", "monitoring", "policies"]
    if now is None:
        return [*words, "create", f"--policy-from-file={path}"]
    return [*words, "update", now["name"], f"--policy-from-file={path}"]


def removals(
    metrics: Sequence[Mapping[str, Any]], dashboards: Sequence[Mapping[str, Any]], alerts: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    """Delete all that is ours."""
    ours = set(_files("metrics"))
    return [
        *(
            ["gcloud", "alpha", "monitoring", "policies", "delete", each["name"]]
            for each in alerts
            if LABEL in each.get("userLabels", {})
        ),
        *(
            ["gcloud", "monitoring", "dashboards", "delete", each["name"]]
            for each in dashboards
            if LABEL in each.get("labels", {})
        ),
        *(["gcloud", "logging", "metrics", "delete", each["name"]] for each in metrics if each["name"] in ours),
    ]


def _files(kind: str) -> Files:
    prefix = METRIC_PREFIX if kind == "metrics" else ""
    return {prefix + path.stem: path for path in sorted((FOLDER / kind).glob("*.json"))}


def _holds(found: Any, wanted: Any) -> bool:
    """True if all of `wanted` is in `found`, which the service has filled up with fields of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(any(_holds(one, value) for one in found) for value in wanted)
        )
    return bool(found == wanted)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["metrics", "alerts", "remove"])
    options.add_argument("--project", required=True)
    for name in ("metrics", "dashboards", "alerts"):
        options.add_argument(f"--{name}", default=os.devnull, help="what is there now, as gcloud lists it")
    options.add_argument("--write", type=Path)
    chosen = options.parse_args()
    metrics, dashboards, alerts = map(read_items, (chosen.metrics, chosen.dashboards, chosen.alerts))
    match chosen.step:
        case "remove":
            commands = removals(metrics, dashboards, alerts)
        case "metrics":
            commands = plan_metrics(metrics)
        case _:
            commands = plan_labelled("dashboards", dashboards, "labels", chosen.write)
            commands += plan_labelled("alerts", alerts, "userLabels", chosen.write)
    print_commands([[*words, f"--project={chosen.project}", "--format=none", "--quiet"] for words in commands])


if __name__ == "__main__":
    sys.exit(told(main))
