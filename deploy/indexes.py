"""`python -m deploy.indexes` prints the gcloud commands that give our fields the indexes and TTL of the index file.

The index file is firestore.indexes.json. Each field has its own command, because deploying the whole file would remove
what the app has. A field that is not ours is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.files import BUNDLE, print_commands, read_items, read_json, run_main
from deploy.setup import load
from shared.core.errors import ConfigurationError
from shared.settings import Settings
from shared.store.values import field_path

INDEX_FILE = BUNDLE / "firestore.indexes.json"
DEFAULTS = Settings()  # the index file uses the default names
TTL = ("fields", "ttls")
INDEXES = ("indexes", "fields")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of ours. `indexes`: pairs of kind and scope. `ttl`: true if documents expire by this field."""

    group: str
    path: str
    indexes: frozenset[tuple[str, str]]
    ttl: bool


def read_fields(path: Path, settings: Settings) -> list[Field]:
    """The fields of the index file, with the names of the settings. Raises ConfigurationError."""
    table = read_json(path)
    if table.get("indexes"):
        raise ConfigurationError([f"{path.name}: composite indexes are not deployed; the queries do without"])
    fields = [_field(each, settings) for each in table["fieldOverrides"]]
    foreign = [
        f"{each['collectionGroup']}.{each['fieldPath']}" for each in table["fieldOverrides"] if not _is_ours(each)
    ]
    if foreign:
        raise ConfigurationError([f"{path.name}: {name} is not a field of ours; leave it out" for name in foreign])
    return fields


def _is_ours(override: Mapping[str, Any]) -> bool:
    group, path = override["collectionGroup"], override["fieldPath"]
    stamp = DEFAULTS.stamp_field
    return group.startswith(f"{DEFAULTS.collection_prefix}_") or (
        group == DEFAULTS.users_collection and f"{path}.".startswith(f"{stamp}.")
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
    if name == DEFAULTS.users_collection:
        return settings.users_collection.rpartition("/")[2]
    return settings.collection_prefix + name.removeprefix(DEFAULTS.collection_prefix)


def _path(path: str, settings: Settings) -> str:
    if not f"{path}.".startswith(f"{DEFAULTS.stamp_field}."):
        return path
    rest = path.removeprefix(DEFAULTS.stamp_field).lstrip(".")
    return field_path([*settings.stamp_field.split("."), *([rest] if rest else [])])


def plan(
    fields: Sequence[Field], existing: Sequence[Mapping[str, Any]], project: str, database: str, *, ttl_only: bool
) -> list[list[str]]:
    """The commands for the fields that differ. Firestore works in the background, for hours on a large collection."""
    found = _by_name(existing)
    commands: list[list[str]] = []
    for field in fields:
        now = found.get((field.group, field.path), {})
        if field.ttl and "ttlConfig" not in now:
            commands.append(_update(TTL, field, project, database, ["--enable-ttl"]))
        if not ttl_only and _indexes(now) != field.indexes:
            flags = [f"--index={_flag(kind)}" for kind, _ in sorted(field.indexes)] or ["--disable-indexes"]
            commands.append(_update(INDEXES, field, project, database, flags))
    return commands


def clear(
    fields: Sequence[Field], existing: Sequence[Mapping[str, Any]], project: str, database: str
) -> list[list[str]]:
    """The commands that remove our settings, so that our fields have automatic indexes again."""
    found = _by_name(existing)
    commands: list[list[str]] = []
    for field in reversed(fields):
        now = found.get((field.group, field.path), {})
        if "ttlConfig" in now:
            commands.append(_update(TTL, field, project, database, ["--disable-ttl"]))
        if _indexes(now) is not None:
            commands.append(_update(INDEXES, field, project, database, ["--clear-exemption"]))
    return commands


def overrides(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The fields in the form of an app's index file. The app's own deployment removes what its file lacks.

    `ttl` is written only if it is true, because the service refuses it for the path `*`."""
    return [
        {
            "collectionGroup": field.group,
            "fieldPath": field.path,
            **({"ttl": True} if field.ttl else {}),
            "indexes": [
                {"arrayConfig" if kind == "CONTAINS" else "order": kind, "queryScope": scope}
                for kind, scope in sorted(field.indexes)
            ],
        }
        for field in fields
    ]


def _by_name(existing: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Fields by collection group and path."""
    named = {tuple(str(each["name"]).split("/")[-3::2]): each for each in existing if "name" in each}
    return {(group, path): each for (group, path), each in named.items()}


def _update(command: Sequence[str], field: Field, project: str, database: str, flags: Sequence[str]) -> list[str]:
    where = [field.path, f"--collection-group={field.group}", f"--database={database}", f"--project={project}"]
    return ["gcloud", "firestore", *command, "update", *where, *flags, "--async", "--format=none", "--quiet"]


def _flag(kind: str) -> str:
    return f"array-config={kind.lower()}" if kind == "CONTAINS" else f"order={kind.lower()}"


def _indexes(field: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """The indexes of a field; None if the field inherits them."""
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
    options.add_argument("step", choices=["plan", "clear", "overrides"])
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--ttl-only", action="store_true", help="set TTL and no indexes, for the Enterprise edition")
    chosen = options.parse_args()
    setup = load(chosen.state / "setup.json")
    database = setup.settings.database
    fields = read_fields(INDEX_FILE, setup.settings)
    existing = read_items(chosen.state / "fields.json") + read_items(chosen.state / "ttls.json")
    match chosen.step:
        case "overrides":
            lines = ",\n".join(f"  {json.dumps(each)}" for each in overrides(fields))
            sys.stdout.write(f'"fieldOverrides": [\n{lines}\n]\n')
        case "plan":
            print_commands(plan(fields, existing, setup.project, database, ttl_only=chosen.ttl_only))
        case _:
            print_commands(clear(fields, existing, setup.project, database))


if __name__ == "__main__":
    sys.exit(run_main(main))
