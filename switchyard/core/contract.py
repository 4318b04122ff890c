"""Contracts: an Avro record schema for an event's data, checked strictly against plain JSON.

The subset: boolean, int, long, double, string, enum, array, map, record, nullable as ["null", X]. A string may
carry `"format"`: one of `date`, `date-time`, `email`; and `"maxLength"`, in characters. Unknown fields are refused. A
field with a default may be absent. Every check takes time in proportion to the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from switchyard.core import strictjson
from switchyard.core.contract_json import field_schema, json_schema
from switchyard.core.errors import ContractViolation, Rejected
from switchyard.core.event import json_type

Check = Callable[[Any], None]
INT_RANGES = {"int": 2**31, "long": 2**63}

OUTSIDE_LENGTH = 16_384
"""Most characters of a string without a `maxLength` in an event that comes from outside: that answers no dispatch."""

_LONGEST_OF_A_FORMAT = 254
"""Characters. That of an address in RFC 5321 (section 4.5.3.1.3: 256 with its brackets); a date is shorter."""
_LONGEST_NAME = 80
"""Characters of a key that a message shows."""


@dataclass(frozen=True)
class Contract:
    """One event type's data. `schema` is the Avro schema as written."""

    type: str
    schema: dict[str, Any]
    _check: Check
    _check_outside: Check

    @classmethod
    def load(cls, path: Path) -> Contract:
        """Read `<event type>.avsc`. Raises ValueError with the file's name and what is wrong."""
        try:
            return cls.of(path.name.removesuffix(".avsc"), strictjson.loads_foreign(path.read_bytes()))
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
        return cls(type, schema, _compile(schema, {}, None), _compile(schema, {}, OUTSIDE_LENGTH))

    def check(self, data: Any, *, outside: bool = False) -> None:
        """Raise ContractViolation, naming the field, where `data` does not match.

        `outside`: it comes from outside, so that a string without a `maxLength` may have `OUTSIDE_LENGTH` characters.
        """
        try:
            strictjson.check_depth(data, strictjson.DEEPEST_DATA)
        except ValueError as error:
            raise ContractViolation("", str(error)) from None
        (self._check_outside if outside else self._check)(data)

    def accepts(self, data: Any) -> bool:
        try:
            self.check(data)
        except Rejected:
            return False
        return True

    def json_schema(self) -> dict[str, Any]:
        """The same contract as JSON Schema, in the form that `response_format` takes: every field is
        required, an optional one is nullable, nothing else is allowed."""
        return json_schema(self.schema)


def _compile(schema: Any, named: dict[str, Check], longest: int | None) -> Check:
    """The check of a schema. `named` are those of the named types before it; `longest` is of strings that say none."""
    kind = schema if isinstance(schema, str) else schema.get("type") if isinstance(schema, dict) else None
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise ValueError('a union must be ["null", X]')
        return _nullable(_compile(schema[1], named, longest))
    if isinstance(kind, dict | list):
        return _compile(kind, named, longest)
    if kind in named:
        return named[kind]
    if kind in INT_RANGES:
        return _integer(str(kind), INT_RANGES[kind])
    if kind == "boolean":
        return _boolean
    if kind == "double":
        return _double
    if kind == "string":
        return _string({} if isinstance(schema, str) else schema, longest)
    if kind == "enum":
        return _remember(named, schema, _enum(schema["symbols"]))
    if kind == "array":
        return _array(_compile(schema["items"], named, longest))
    if kind == "map":
        return _map(_compile(schema["values"], named, longest), longest)
    if kind == "record":
        return _record(schema, named, longest)
    raise ValueError(f"type {kind!r} is not in the subset that contracts may use")


def _remember(named: dict[str, Check], schema: dict[str, Any], check: Check) -> Check:
    named[schema["name"]] = check
    return check


def _wrong(value: Any, expected: str) -> ContractViolation:
    shown = f"{json_type(value)} {value!r}" if isinstance(value, str | int | float) else json_type(value)
    return ContractViolation("", f"expected {expected}, found {shown[:80]}")


def _inside(place: str, error: ContractViolation) -> ContractViolation:
    """The same violation, seen from the value around it: paths are put together only where there is something to tell,
    for one that is built for each element costs the length of its keys each time."""
    dot = "." if error.field and not error.field.startswith("[") else ""
    return ContractViolation(f"{place[:_LONGEST_NAME]}{dot}{error.field}", error.message)


def _nullable(inner: Check) -> Check:
    def check(value: Any) -> None:
        if value is not None:
            inner(value)

    return check


def _integer(name: str, limit: int) -> Check:
    def check(value: Any) -> None:
        if type(value) is not int or not -limit <= value < limit:
            raise _wrong(value, f"{name} (a whole number in its range)")

    return check


def _boolean(value: Any) -> None:
    if type(value) is not bool:
        raise _wrong(value, "boolean")


def _double(value: Any) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _wrong(value, "double")


def _email(value: str) -> bool:
    """An address as forms take it: no quotes, no comments, a domain with a dot."""
    local, _, domain = value.partition("@")
    plain = value.isprintable() and not any(char in _SPECIALS or char.isspace() for char in value)
    return bool(local) and plain and "@" not in domain and "." in domain[1:-1]


_SPECIALS = frozenset('()<>[]:;\\,"')
"""Of RFC 5322 (section 3.2.3), which stand in an address only inside quotes, but for @ and the dot."""


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


def _string(schema: dict[str, Any], default_length: int | None) -> Check:
    format, longest = schema.get("format"), schema.get("maxLength", default_length)
    if format is not None and format not in FORMATS:
        raise ValueError(f"format {format!r} is not known; there are {', '.join(sorted(FORMATS))}")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise ValueError(f"maxLength {longest!r} is not a number of characters, from 1")
    matches = FORMATS[format] if format else None

    def check(value: Any) -> None:
        if type(value) is not str:
            raise _wrong(value, "string")
        if longest is not None and len(value) > longest:
            raise ContractViolation("", f"expected at most {longest} characters, found {len(value)}")
        if matches and not (len(value) <= _LONGEST_OF_A_FORMAT and matches(value)):
            raise _wrong(value, f"string in {format} format")

    return check


def _enum(symbols: list[str]) -> Check:
    allowed = frozenset(symbols)

    def check(value: Any) -> None:
        if type(value) is not str or value not in allowed:
            raise _wrong(value, "one of " + ", ".join(symbols))

    return check


def _array(item: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise _wrong(value, "array")
        for index, element in enumerate(value):
            try:
                item(element)
            except ContractViolation as error:
                raise _inside(f"[{index}]", error) from None

    return check


def _map(item: Check, longest: int | None) -> Check:
    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _wrong(value, "object")
        for name, element in value.items():
            if longest is not None and len(name) > longest:
                raise ContractViolation("", f"expected keys of at most {longest} characters, found {len(name)}")
            try:
                item(element)
            except ContractViolation as error:
                raise _inside(name, error) from None

    return check


def _record(schema: dict[str, Any], named: dict[str, Check], longest: int | None) -> Check:
    checks: dict[str, Check] = {}
    required: list[str] = []

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _wrong(value, "object")
        for name in required:
            if name not in value:
                raise ContractViolation(name, "required field is missing")
        for name, element in value.items():
            inner = checks.get(name)
            if inner is None:
                raise ContractViolation(name[:_LONGEST_NAME], "unknown field; the contract has " + ", ".join(checks))
            try:
                inner(element)
            except ContractViolation as error:
                raise _inside(name, error) from None

    _remember(named, schema, check)
    for field in schema["fields"]:
        checks[field["name"]] = _compile(field_schema(field), named, longest)
        if "default" not in field:
            required.append(field["name"])
    return check
