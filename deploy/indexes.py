"""`python -m deploy.indexes`: the gcloud commands that bring our fields' indexes and TTL to firestore.indexes.json.

Field by field, because a whole index file would replace what the app has. A field that is not ours is refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.files import BUNDLE, print_commands, read_items, read_json, settings_of, told
from shared.core.errors import ConfigurationError
from shared.settings import Settings
from shared.store.values import field_path

INDEX_FILE = BUNDLE / "firestore.indexes.json"
NAMED = Settings()  # the names the index file is written in


@dataclass(frozen=True, slots=True)
class Field:
    """One field of ours: its indexes as (kind, scope), and whether documents expire by it."""

    group: str
    path: str
    indexes: frozenset[tuple[str, str]]
    ttl: bool


def read_fields(path: Path, settings: Settings) -> list[Field]:
    """The overrides of the index file, under the names of the settings. Raises ConfigurationError."""
    table = read_json(path)
    if table.get("indexes"):
        raise ConfigurationError([f"{path.name}: composite indexes are not deployed; the queries do without"])
    fields = [_field(each, settings) for each in table["fieldOverrides"]]
    strangers = [
        f"{each['collectionGroup']}.{each['fieldPath']}" for each in table["fieldOverrides"] if not _is_ours(each)
    ]
    if strangers:
        raise ConfigurationError([f"{path.name}: {name} is not a field of ours; leave it out" for name in strangers])
    return fields


def _is_ours(override: Mapping[str, Any]) -> bool:
    group, path = override["collectionGroup"], override["fieldPath"]
    stamp = NAMED.stamp_field
    return group.startswith(f"{NAMED.collection_prefix}_") or (
        group == NAMED.users_collection and f"{path}.".startswith(f"{stamp}.")
    )


def _field(override: Mapping[str, Any], settings: Settings) -> Field:
    kinds = frozenset(
        (str(index.get("order") or index.get("arrayConfig")), str(index.get("queryScope", "COLLECTION")))
        for index in override["indexes"]
    )
    return Field(
        _group(override["collectionGroup"], settings),
        _path(override["fieldPath"], settings),
        kinds,
        bool(override.get("ttl")),
    )


def _group(name: str, settings: Settings) -> str:
    if name == NAMED.users_collection:
        return settings.users_collection.rpartition("/")[2]
    return settings.collection_prefix + name.removeprefix(NAMED.collection_prefix)


def _path(path: str, settings: Settings) -> str:
    if not f"{path}.".startswith(f"{NAMED.stamp_field}."):
        return path
    rest = path.removeprefix(NAMED.stamp_field).lstrip(".")
    return field_path([*settings.stamp_field.split("."), *([rest] if rest else [])])


def plan(
    fields: Sequence[Field], existing: Sequence[Mapping[str, Any]], project: str, database: str
) -> list[list[str]]:
    """The commands for what differs."""
    found = {tuple(str(each["name"]).split("/")[-3::2]): each for each in existing if "name" in each}
    commands: list[list[str]] = []
    for field in fields:
        now = found.get((field.group, field.path), {})
        where = [field.path, f"--collection-group={field.group}", f"--database={database}", f"--project={project}"]
        if field.ttl and "ttlConfig" not in now:
            commands.append(
                ["gcloud", "firestore", "fields", "ttls", "update", *where, "--enable-ttl", "--format=none", "--quiet"]
            )
        if _indexes(now) != field.indexes:
            flags = [f"--index={_flag(kind)}" for kind, _ in sorted(field.indexes)] or ["--disable-indexes"]
            # Built in the background: on a large collection that may take hours.
            commands.append(
                [
                    "gcloud",
                    "firestore",
                    "indexes",
                    "fields",
                    "update",
                    *where,
                    *flags,
                    "--async",
                    "--format=none",
                    "--quiet",
                ]
            )
    return commands


def clear(
    fields: Sequence[Field], existing: Sequence[Mapping[str, Any]], project: str, database: str
) -> list[list[str]]:
    """The commands that give our fields back to the automatic indexes."""
    found = {tuple(str(each["name"]).split("/")[-3::2]): each for each in existing if "name" in each}
    commands: list[list[str]] = []
    for field in reversed(fields):
        now = found.get((field.group, field.path), {})
        where = [field.path, f"--collection-group={field.group}", f"--database={database}", f"--project={project}"]
        if "ttlConfig" in now:
            commands.append(
                ["gcloud", "firestore", "fields", "ttls", "update", *where, "--disable-ttl", "--format=none", "--quiet"]
            )
        if _indexes(now) is not None:
            commands.append(
                [
                    "gcloud",
                    "firestore",
                    "indexes",
                    "fields",
                    "update",
                    *where,
                    "--clear-exemption",
                    "--format=none",
                    "--async",
                    "--quiet",
                ]
            )
    return commands


def _flag(kind: str) -> str:
    return f"array-config={kind.lower()}" if kind == "CONTAINS" else f"order={kind.lower()}"


def _indexes(field: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """A field's own indexes; None where it inherits them."""
    config = field.get("indexConfig")
    if config is None or config.get("usesAncestorConfig"):
        return None
    return frozenset(
        (str(part.get("order") or part.get("arrayConfig")), str(index.get("queryScope", "COLLECTION")))
        for index in config.get("indexes", ())
        for part in index["fields"]
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("step", choices=["fields", "plan", "clear"])
    options.add_argument("--environment", type=Path, required=True)
    options.add_argument("--project", required=True)
    options.add_argument("--existing")
    chosen = options.parse_args()
    settings = settings_of(read_json(chosen.environment))
    fields = read_fields(INDEX_FILE, settings)
    if chosen.step == "fields":
        print_commands([[settings.database, field.group, field.path] for field in fields])
        return
    commands = plan if chosen.step == "plan" else clear
    print_commands(commands(fields, read_items(chosen.existing), chosen.project, settings.database))


if __name__ == "__main__":
    sys.exit(told(main))
