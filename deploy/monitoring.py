"""`python -m deploy.monitoring` prints the gcloud commands that set up metrics, dashboard and alerts.

The content is in `deploy/monitoring/`. Its files have the names of the default kind. For another kind these names are
replaced. Our metrics are recognised by their descriptions, and the rest by labels. A label also holds the hash of the
content, so what is unchanged is not updated. Notification channels that an operator added to an alert stay.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.channels import KIND_LABEL, channel_of, channels_to_create, is_ours
from deploy.files import DEPLOYED, print_commands, read_items, run_main
from deploy.kind import DEFAULT_PREFIX, Kind, name_of
from deploy.setup import Setup, load
from shared.core.errors import ConfigurationError

FOLDER = DEPLOYED / "monitoring"
LABEL = "credit-refresh"
HASH_LABEL = "credit-refresh-hash"
HASH_CHARACTERS = 40
METRIC_PREFIX = "credit_refresh_"
# An uptime check needs at least three regions, and each of them makes its own requests. gcloud sends labels only if
# regions are named.
REGIONS = "usa-oregon,europe,asia-pacific"
UPTIME_FILE = "uptime.json"
BUDGET_FILE = "budget.json"

Items = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A type of resource that carries our labels: its folder, its gcloud command, and where its labels are."""

    folder: str
    words: tuple[str, ...]
    flag: str
    labels: str


@dataclass(frozen=True, slots=True)
class Command:
    """A gcloud command. If it has a flag that names a file, `content` is what the file holds."""

    words: Sequence[str]
    flag: str = ""
    file_name: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)

    def words_with_file(self, folder: Path) -> list[str]:
        """Write the file and return the words with the flag that names it."""
        if not self.flag:
            return [*self.words]
        path = folder / f"{self.file_name}.json"
        path.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        return [*self.words, f"--{self.flag}={path}"]


@dataclass(frozen=True, slots=True)
class Channels:
    """The notification channels that the setup names for alerts, and all channels that we made."""

    configured: Sequence[str] = ()
    ours: AbstractSet[str] = frozenset()

    def fields_to_keep(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that an update must send back: the etag, and the channels of an operator and of the setup."""
        by_hand = [each for each in now.get("notificationChannels", ()) if each not in self.ours]
        channels = sorted({*by_hand, *self.configured})
        etag = {"etag": now["etag"]} if "etag" in now else {}
        return {**etag, **({"notificationChannels": channels} if channels else {})}


DASHBOARDS = Labelled("dashboards", ("gcloud", "monitoring", "dashboards"), "config-from-file", "labels")
ALERTS = Labelled("alerts", ("gcloud", "alpha", "monitoring", "policies"), "policy-from-file", "userLabels")


def plan_metrics(setup: Setup, existing: Items) -> list[Command]:
    """The commands for metrics that are missing or differ. Raises ConfigurationError if one is not ours."""
    found = {each["name"]: each for each in existing}
    commands: list[Command] = []
    for name, content in metrics(setup).items():
        now = found.get(name)
        if now is not None and not _is_our_metric(setup.kind, now):
            raise ConfigurationError([f"log-based metric {name} exists and is not ours; rename or remove it"])
        if now is None or not _holds(now, content):
            verb = "create" if now is None else "update"
            words = ["gcloud", "logging", "metrics", verb, name]
            commands.append(Command(words, "config-from-file", name, content))
    return commands


def metrics(setup: Setup) -> dict[str, dict[str, Any]]:
    """Our metrics by name. They count only log lines of this kind's functions."""
    services = " OR ".join(f'"{name}"' for name in setup.names())
    contents = {}
    for path in sorted((FOLDER / "metrics").glob("*.json")):
        content = render(setup, path)
        content["filter"] += f" AND resource.labels.service_name=({services})"
        contents[f"{setup.kind.metrics}_{path.stem}"] = content
    return contents


def render(setup: Setup, path: Path) -> dict[str, Any]:
    """Read a file and put in the names of the setup's kind."""
    text = path.read_text(encoding="utf-8")
    kind = setup.kind
    services = ",".join(f'\\"{name}\\"' for name in setup.names())
    text = text.replace("Credit Refresh", kind.title)
    text = text.replace('starts_with(\\"credit-refresh\\")', f"one_of({services})")
    text = re.sub(rf"\b(user[/_]){METRIC_PREFIX}", rf"\g<1>{kind.metrics}_", text)
    found: dict[str, Any] = json.loads(text)
    return found


def plan_labelled(
    setup: Setup, what: Labelled, wanted: Mapping[str, dict[str, Any]], existing: Items, channels: Channels
) -> list[Command]:
    """The commands for resources that are missing or differ, or are not wanted any more."""
    found = {each[what.labels][LABEL]: each for each in existing if _is_our_label(setup.kind, each, what)}
    commands: list[Command] = []
    for name, content in wanted.items():
        now = found.get(name)
        labels = _labels(setup, name, [content, channels.configured])
        if now is None or now[what.labels].get(HASH_LABEL) != labels[HASH_LABEL]:
            verb = ["create"] if now is None else ["update", now["name"]]
            complete = {**content, what.labels: labels, **channels.fields_to_keep(now or {})}
            commands.append(Command([*what.words, *verb], what.flag, f"{what.folder}-{name}", complete))
    gone = [each for name, each in found.items() if name not in wanted]
    return commands + [Command([*what.words, "delete", each["name"]]) for each in gone]


def _labels(setup: Setup, name: str, content: object) -> dict[str, str]:
    """The setup's labels and ours. One of ours holds the hash of the labels and the content."""
    labels = {**setup.options.labels, LABEL: name, KIND_LABEL: setup.kind.slug}
    digest = hashlib.sha256(json.dumps([content, labels], sort_keys=True).encode()).hexdigest()
    return {**labels, HASH_LABEL: digest[:HASH_CHARACTERS]}


def channels_of(setup: Setup, existing: Items) -> Channels:
    """The channels that the setup names and that exist."""
    named = [channel_of(setup.kind, each, existing) for each in setup.options.notify]
    configured = sorted({each for each in named if each})
    return Channels(configured, {str(each["name"]) for each in existing if is_ours(setup.kind, each)})


def dashboards(setup: Setup) -> dict[str, dict[str, Any]]:
    """Our dashboards by name. They show costs at the prices of the settings."""
    return {
        path.stem: _fill_in(render(setup, path), **_prices(setup))
        for path in sorted((FOLDER / "dashboards").glob("*.json"))
    }


def alerts(setup: Setup, uptime: Items, functions: Items) -> dict[str, dict[str, Any]]:
    """Our alerts by name, with those that options add. Each text has the monitor's address."""
    wanted = {path.stem: render(setup, path) for path in sorted((FOLDER / "alerts").glob("*.json"))}
    if setup.options.budget_usd_per_day is not None:
        wanted["budget"] = _budget(setup, setup.options.budget_usd_per_day)
    for check in uptime if setup.options.uptime_minutes else ():
        wanted["uptime"] = _fill_in(render(setup, FOLDER / "optional" / UPTIME_FILE), CHECK=name_of(check))
    monitor = _monitor_address(setup, functions)
    return {name: _fill_in(content, MONITOR=monitor) for name, content in wanted.items()}


def _budget(setup: Setup, dollars: float) -> dict[str, Any]:
    return _fill_in(render(setup, FOLDER / "optional" / BUDGET_FILE), DOLLARS=f"{dollars:g}", **_prices(setup))


def _prices(setup: Setup) -> dict[str, str]:
    """Dollars for one read and for one write."""
    settings = setup.settings
    return {
        "READ_PRICE": f"{settings.price_read / 100_000:.10f}",
        "WRITE_PRICE": f"{settings.price_write / 100_000:.10f}",
    }


def _monitor_address(setup: Setup, functions: Items) -> str:
    monitor = setup.kind.function("credit_refresh_monitor")
    return str(
        next((each["serviceConfig"]["uri"] for each in functions if name_of(each) == monitor), "https://(monitor)")
    )


def _fill_in(content: dict[str, Any], **values: str) -> dict[str, Any]:
    """Replace placeholders like @@NAME@@ by their values."""
    text = json.dumps(content)
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", value)
    filled: dict[str, Any] = json.loads(text)
    return filled


def uptime_command(setup: Setup, existing: Items, functions: Items) -> list[list[str]]:
    """The commands for the uptime check of the monitor's /health. It is removed if it is not wanted any more."""
    ours = [each for each in existing if _is_our_uptime(setup.kind, each)]
    if not setup.options.uptime_minutes:
        return [["gcloud", "monitoring", "uptime", "delete", each["name"]] for each in ours]
    host = _monitor_address(setup, functions).partition("//")[2].partition("/")[0]
    period = setup.options.uptime_minutes
    labels = {**setup.options.labels, LABEL: "health", KIND_LABEL: setup.kind.slug}
    if any(each["period"] == f"{period * 60}s" for each in ours):
        return []
    removed = [["gcloud", "monitoring", "uptime", "delete", each["name"]] for each in ours]
    return [
        *removed,
        [
            *("gcloud", "monitoring", "uptime", "create", f"{setup.kind.title}: health", "--resource-type=uptime-url"),
            f"--resource-labels=host={host},project_id={setup.project}",
            *("--protocol=https", "--path=/health", f"--period={period}", f"--regions={REGIONS}"),
            "--user-labels=" + ",".join(f"{key}={value}" for key, value in labels.items()),
        ],
    ]


def removals(setup: Setup, found: Mapping[str, Items]) -> list[list[str]]:
    """The commands that delete everything of this kind. Channels are last, because an alert that names one keeps it."""
    kind = setup.kind
    named = set(metrics(setup))
    return [
        *([*ALERTS.words, "delete", each["name"]] for each in found["alerts"] if _is_our_label(kind, each, ALERTS)),
        *(
            [*DASHBOARDS.words, "delete", each["name"]]
            for each in found["dashboards"]
            if _is_our_label(kind, each, DASHBOARDS)
        ),
        *(["gcloud", "monitoring", "uptime", "delete", u["name"]] for u in found["uptime"] if _is_our_uptime(kind, u)),
        *(
            ["gcloud", "logging", "metrics", "delete", each["name"]]
            for each in found["metrics"]
            if each["name"] in named and _is_our_metric(kind, each)
        ),
        *(
            ["gcloud", "alpha", "monitoring", "channels", "delete", each["name"]]
            for each in found["channels"]
            if is_ours(kind, each)
        ),
    ]


def _is_our_metric(kind: Kind, metric: Mapping[str, Any]) -> bool:
    return str(metric.get("description", "")).startswith(f"{kind.title}:")


def _is_our_label(kind: Kind, resource: Mapping[str, Any], what: Labelled) -> bool:
    labels = resource.get(what.labels, {})
    return LABEL in labels and labels.get(KIND_LABEL, Kind(DEFAULT_PREFIX).slug) == kind.slug


def _is_our_uptime(kind: Kind, check: Mapping[str, Any]) -> bool:
    return bool(check.get("userLabels", {}).get(KIND_LABEL) == kind.slug)


def _holds(found: Any, wanted: Any) -> bool:
    """True if all of `wanted` is in `found`. The service may have added fields of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(any(_holds(one, value) for one in found) for value in wanted)
        )
    return bool(found == wanted)


def _write_files(state: Path, commands: Sequence[Command]) -> list[list[str]]:
    """Write the files of the commands and return the commands' words."""
    return [command.words_with_file(state) for command in commands]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["metrics", "channels", "uptime", "alerts", "remove"])
    options.add_argument("--state", type=Path, required=True)
    chosen = options.parse_args()
    state, setup = chosen.state, load(chosen.state / "setup.json")
    kinds = ("metrics", "dashboards", "alerts", "channels", "uptime", "functions")
    found = {kind: read_items(state / f"{kind}.json") for kind in kinds}
    match chosen.step:
        case "metrics":
            commands = _write_files(state, plan_metrics(setup, found["metrics"]))
        case "channels":
            commands = channels_to_create(setup, found["channels"])
        case "uptime":
            commands = uptime_command(setup, found["uptime"], found["functions"])
        case "remove":
            commands = removals(setup, found)
        case _:
            uptime = [each for each in found["uptime"] if _is_our_uptime(setup.kind, each)]
            planned = plan_labelled(setup, DASHBOARDS, dashboards(setup), found["dashboards"], Channels())
            channels = channels_of(setup, found["channels"])
            planned += plan_labelled(
                setup, ALERTS, alerts(setup, uptime, found["functions"]), found["alerts"], channels
            )
            commands = _write_files(state, planned)
    print_commands([[*words, f"--project={setup.project}", "--format=none", "--quiet"] for words in commands])


if __name__ == "__main__":
    sys.exit(run_main(main))
