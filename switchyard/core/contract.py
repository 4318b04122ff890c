"""Contracts: an Avro record schema for an event's data, checked strictly against plain JSON.

The subset: boolean, int, long, double, string, enum, array, map, record, nullable as ["null", X]. A string may
carry `"format"`: one of `date`, `date-time`, `email`. Unknown fields are refused. A field with a default may be absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from switchyard.core import strictjson
from switchyard.core.errors import ContractViolation, Rejected
from switchyard.core.event import json_type

Check = Callable[[Any, str], None]
INT_RANGES = {"int": 2**31, "long": 2**63}


@dataclass(frozen=True)
class Contract:
    """One event type's data. `schema` is the Avro schema as written."""

    type: str
    schema: dict[str, Any]
    _check: Check

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read `<event type>.avsc`. Raises ValueError with the file's name and what is wrong."""
        try:
            return cls.of(path.name.removesuffix(".avsc"), strictjson.loads(path.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None

    @classmethod
    def of(cls, type: str, schema: Any) -> Contract:
        """A contract from a parsed schema. Raises ValueError where it is not Avro or not in the subset."""
        try:
            fastavro.parse_schema(schema)
        except (SchemaParseException, UnknownType, TypeError, KeyError) as error:
            raise ValueError(f"not an Avro schema: {error}") from None
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise ValueError("the outermost schema must be a record")
        return cls(type, schema, _compile(schema, {}))

    def check(self, data: Any) -> None:
        """Raise ContractViolation, naming the field, where `data` does not match."""
        try:
            self._check(data, "")
        except RecursionError:
            raise ContractViolation("", "nested too deeply") from None

    def accepts(self, data: Any) -> bool:
        try:
            self.check(data)
        except Rejected:
            return False
        return True

    def json_schema(self) -> dict[str, Any]:
        """The same contract as JSON Schema, in the form that `response_format` takes: every field is
        required, an optional one is nullable, nothing else is allowed."""
        return _json_schema(self.schema, {})


def _compile(schema: Any, named: dict[str, Check]) -> Check:
    kind = schema if isinstance(schema, str) else schema.get("type") if isinstance(schema, dict) else None
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise ValueError('a union must be ["null", X]')
        return _nullable(_compile(schema[1], named))
    if isinstance(kind, dict | list):
        return _compile(kind, named)
    if kind in named:
        return named[kind]
    if kind in INT_RANGES:
        return _integer(str(kind), INT_RANGES[kind])
    if kind == "boolean":
        return _boolean
    if kind == "double":
        return _double
    if kind == "string":
        return _string(schema.get("format") if isinstance(schema, dict) else None)
    if kind == "enum":
        return _remember(named, schema, _enum(schema["symbols"]))
    if kind == "array":
        return _array(_compile(schema["items"], named))
    if kind == "map":
        return _map(_compile(schema["values"], named))
    if kind == "record":
        return _record(schema, named)
    raise ValueError(f"type {kind!r} is not in the subset that contracts may use")


def _remember(named: dict[str, Check], schema: dict[str, Any], check: Check) -> Check:
    named[schema["name"]] = check
    return check


def _wrong(value: Any, path: str, expected: str) -> ContractViolation:
    shown = f"{json_type(value)} {value!r}" if isinstance(value, str | int | float) else json_type(value)
    return ContractViolation(path, f"expected {expected}, found {shown[:80]}")


def _nullable(inner: Check) -> Check:
    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def _integer(name: str, limit: int) -> Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not int or not -limit <= value < limit:
            raise _wrong(value, path, f"{name} (a whole number in its range)")

    return check


def _boolean(value: Any, path: str) -> None:
    if type(value) is not bool:
        raise _wrong(value, path, "boolean")


def _double(value: Any, path: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _wrong(value, path, "double")


def _email(value: str) -> bool:
    return bool(re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+", value))


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


def _zoned(value: str) -> None:
    if datetime.fromisoformat(value).tzinfo is None:
        raise ValueError


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _parses(date.fromisoformat),
    "date-time": _parses(_zoned),
    "email": _email,
}


def _string(format: str | None) -> Check:
    if format is not None and format not in FORMATS:
        raise ValueError(f"format {format!r} is not known; there are {', '.join(sorted(FORMATS))}")
    matches = FORMATS[format] if format else None

    def check(value: Any, path: str) -> None:
        if type(value) is not str:
            raise _wrong(value, path, "string")
        if matches and not matches(value):
            raise _wrong(value, path, f"string in {format} format")

    return check


def _enum(symbols: list[str]) -> Check:
    allowed = frozenset(symbols)

    def check(value: Any, path: str) -> None:
        if type(value) is not str or value not in allowed:
            raise _wrong(value, path, "one of " + ", ".join(symbols))

    return check


def _array(item: Check) -> Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not list:
            raise _wrong(value, path, "array")
        for index, element in enumerate(value):
            item(element, f"{path}[{index}]")

    return check


def _map(item: Check) -> Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not dict:
            raise _wrong(value, path, "object")
        for name, element in value.items():
            item(element, f"{path}.{name}" if path else name)

    return check


def _record(schema: dict[str, Any], named: dict[str, Check]) -> Check:
    checks: dict[str, Check] = {}
    required: list[str] = []

    def check(value: Any, path: str) -> None:
        if type(value) is not dict:
            raise _wrong(value, path, "object")
        for name in required:
            if name not in value:
                raise ContractViolation(f"{path}.{name}" if path else name, "required field is missing")
        for name, element in value.items():
            inner = checks.get(name)
            if inner is None:
                raise ContractViolation(
                    f"{path}.{name}" if path else name,
                    "unknown field; the contract has " + ", ".join(checks),
                )
            inner(element, f"{path}.{name}" if path else name)

    _remember(named, schema, check)
    for field in schema["fields"]:
        checks[field["name"]] = _compile(_field_schema(field), named)
        if "default" not in field:
            required.append(field["name"])
    return check


def _field_schema(field: dict[str, Any]) -> Any:
    """A field's schema; `format` may stand beside the field's `"type": "string"`."""
    if "format" not in field:
        return field["type"]
    if isinstance(field["type"], list):
        return ["null", {"type": field["type"][-1], "format": field["format"]}]
    return {"type": field["type"], "format": field["format"]}


def _json_schema(schema: Any, named: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema, list):
        return {"anyOf": [_json_schema(schema[1], named), {"type": "null"}]}
    if isinstance(schema, str):
        simple = {"int": "integer", "long": "integer", "double": "number"}
        return named[schema] if schema in named else {"type": simple.get(schema, schema)}
    kind = schema["type"]
    described = {"description": schema["doc"]} if "doc" in schema else {}
    if kind == "enum":
        named[schema["name"]] = {"type": "string", "enum": schema["symbols"]}
        return {**named[schema["name"]], **described}
    if kind == "array":
        return {"type": "array", "items": _json_schema(schema["items"], named), **described}
    if kind == "map":
        values = _json_schema(schema["values"], named)
        return {"type": "object", "additionalProperties": values, **described}
    if kind == "record":
        fields = {field["name"]: _described(field, named) for field in schema["fields"]}
        named[schema["name"]] = {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
        return {**named[schema["name"]], **described}
    return _json_schema(kind, named)


def _described(field: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    inner = _json_schema(field["type"], named)
    return {**inner, "description": field["doc"]} if "doc" in field else inner
