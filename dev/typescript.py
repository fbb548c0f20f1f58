"""docs/monitor.d.ts: what the monitor answers, as TypeScript, made from the schemas of docs/openapi.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dev.function_server import BUNDLE

FILE = BUNDLE / "docs" / "monitor.d.ts"
HEAD = """/**
 * What the monitor answers to a GET and to a POST, as JSON. `make openapi` makes this file. Copy it into your project.
 *
 * Times are texts like "2026-11-22T10:00:00+00:00", days like "2026-11-22". More fields may be added at any time.
 */
"""


def rendered(schemas: Mapping[str, Any]) -> str:
    """Each schema as an interface, in order of name."""
    return HEAD + "".join(_interface(name, schema) for name, schema in sorted(schemas.items()))


def _interface(name: str, schema: Mapping[str, Any]) -> str:
    comment = f"/** {schema['description']} */\n" if "description" in schema else ""
    return f"\n{comment}export interface {name} {_object(schema, 0)}\n"


def _object(schema: Mapping[str, Any], depth: int) -> str:
    inner = "  " * (depth + 1)
    required = schema["required"]
    lines = [
        f"{inner}{name}{'' if name in required else '?'}: {_type(field, depth + 1)};"
        for name, field in schema["properties"].items()
    ]
    return "\n".join(["{", *lines, f"{'  ' * depth}}}"])


def _type(schema: Mapping[str, Any], depth: int) -> str:
    match schema:
        case {"$ref": target}:
            return str(target).rpartition("/")[2]
        case {"anyOf": choices}:
            return " | ".join(_type(choice, depth) for choice in choices)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"properties": _}:
            return _object(schema, depth)
        case {"items": items}:
            return f"Array<{_type(items, depth)}>"
    return _plain(schema, depth)


def _plain(schema: Mapping[str, Any], depth: int) -> str:
    match schema.get("type"):
        case "object":
            return f"Record<string, {_type(schema.get('additionalProperties', {}), depth)}>"
        case "integer" | "number":
            return "number"
        case None:
            return "unknown"
        case kind:
            return str(kind)
