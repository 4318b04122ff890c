"""A contract as JSON Schema, for servers and models that know no Avro."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OF_STRINGS = ("format", "maxLength")
_SIMPLE = {"int": "integer", "long": "integer", "double": "number"}


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a contract's Avro schema. A type that holds itself stands under `$defs`."""
    types = _Types()
    made = types.of(schema)
    inner = {name: types.named[name] for name in types.recursive}
    return {**made, "$defs": inner} if inner else made


def field_schema(field: dict[str, Any]) -> Any:
    """A field's Avro schema; `format` and `maxLength` may stand beside the field's `"type": "string"`.

    Raises ValueError where the field is no string.
    """
    extra = {name: field[name] for name in OF_STRINGS if name in field}
    if not extra:
        return field["type"]
    nullable = isinstance(field["type"], list)
    kind = field["type"][-1] if nullable else field["type"]
    if isinstance(kind, dict) and kind.get("type") == "string":
        extra = {**kind, **extra}
    elif kind != "string":
        raise ValueError(f"field {field['name']!r}: {' and '.join(extra)} can be said of a string only")
    inner = {**extra, "type": "string"}
    return ["null", inner] if nullable else inner


@dataclass
class _Types:
    """What is known of the named types so far; None of one whose fields are being read."""

    named: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    recursive: dict[str, None] = field(default_factory=dict)

    def of(self, schema: Any) -> dict[str, Any]:
        if isinstance(schema, list):
            return {"anyOf": [self.of(schema[1]), {"type": "null"}]}
        if isinstance(schema, str):
            return self._named(schema)
        kind = schema["type"]
        described = {"description": schema["doc"]} if "doc" in schema else {}
        if kind == "string":
            longest = {"maxLength": schema["maxLength"]} if "maxLength" in schema else {}
            return {"type": "string", **longest, **described}
        if kind == "enum":
            symbols = {"type": "string", "enum": schema["symbols"]}
            self.named[schema["name"]] = symbols
            return {**symbols, **described}
        if kind == "array":
            return {"type": "array", "items": self.of(schema["items"]), **described}
        if kind == "map":
            return {"type": "object", "additionalProperties": self.of(schema["values"]), **described}
        if kind == "record":
            return {**self._record(schema), **described}
        return self.of(kind)

    def _named(self, name: str) -> dict[str, Any]:
        if name not in self.named:
            return {"type": _SIMPLE.get(name, name)}
        known = self.named[name]
        if known is not None:
            return known
        self.recursive[name] = None
        return {"$ref": f"#/$defs/{name}"}

    def _record(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema["name"]
        self.named[name] = None
        fields = {item["name"]: self._field(item) for item in schema["fields"]}
        made = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
        self.named[name] = made
        return made

    def _field(self, field: dict[str, Any]) -> dict[str, Any]:
        inner = self.of(field_schema(field))
        return {**inner, "description": field["doc"]} if "doc" in field else inner
