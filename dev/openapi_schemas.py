"""The parts of JSON schemas that docs/openapi.json is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

REF = "#/components/schemas/{model}"

COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "description": "0 to 1"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DATE: Schema = {"type": "string", "format": "date"}

TIMES = {"startTime": TIME, "endTime": TIME, "duration": COUNT, "reads": COUNT, "writes": COUNT}


def ref(model: str) -> Schema:
    return {"$ref": REF.format(model=model)}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def one_of(*values: str | None) -> Schema:
    return {"enum": list(values)}


def map_of(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def object_of(
    fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, description: str = ""
) -> Schema:
    """An object with these fields in any case, and the optional ones at times. `told`: what it is."""
    schema = {"type": "object", "required": list(fields), "properties": {**fields, **(optional or {})}}
    return {**schema, "description": description} if description else schema
