"""Contracts that cannot read their predecessors: `contracts/previous/<type>.avsc` is what is still in the topics."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import make_avsc_object

from switchyard.cli.linting.problem import Problem, line_of
from switchyard.core.app import App

_SENTENCES = {
    "reader_field_missing_default_value": "it needs a default, for older events lack it",
    "missing_enum_symbols": "older events may hold the symbols {messages}",
}


def unreadable_predecessors(app: App) -> Iterator[Problem]:
    for previous in sorted((app.folder / "contracts" / "previous").glob("*.avsc")):
        event_type = previous.name.removesuffix(".avsc")
        contract = app.registry.contracts.get(event_type)
        if contract is None:
            yield Problem(previous, 1, f"there is no contracts/{previous.name} that could read it")
            continue
        file = app.folder / "contracts" / previous.name
        try:
            old = json.loads(previous.read_text(encoding="utf-8"))
            result = ReaderWriterCompatibilityChecker().get_compatibility(
                reader=make_avsc_object(contract.schema), writer=make_avsc_object(old)
            )
        except (AvroException, ValueError) as error:
            yield Problem(previous, 1, f"it is not an Avro schema: {' '.join(str(error).split())}")
            continue
        cannot = f"it cannot read contracts/previous/{previous.name}"
        if result.compatibility is not SchemaCompatibilityType.compatible:
            place = max(result.locations, key=len)
            field = _field(contract.schema, place)
            kinds = dict.fromkeys(item.value for item in result.incompatibilities)
            messages = "; ".join(sorted(result.messages)).strip("{}")
            sentences = [_SENTENCES.get(kind, "{messages}").format(messages=messages) for kind in kinds]
            yield Problem(
                file, _line(file, field), f"{cannot}: {f'field {field!r}: ' if field else ''}{'; '.join(sentences)}"
            )
        for field in _gone(old, contract.schema):
            yield Problem(file, 1, f"{cannot}: field {field!r} is gone, and a field that a contract lacks is refused")
        before = dict(_lengths(old, ""))
        for field, longest in _lengths(contract.schema, ""):
            if longest < before.get(field, 0):
                found = f"field {field!r} takes {longest:g} characters, and older events may hold more"
                yield Problem(file, _line(file, field.rpartition(".")[2]), f"{cannot}: {found}")


def _field(schema: Any, place: str) -> str:
    """The name of the field that a path such as `/fields/1/type` ends in."""
    name = ""
    for part in place.strip("/").split("/"):
        schema = schema[int(part)] if part.isdigit() and isinstance(schema, list) else _inside(schema, part)
        if isinstance(schema, dict) and part.isdigit():
            name = str(schema.get("name", name))
    return name


def _inside(schema: Any, part: str) -> Any:
    return schema.get(part, schema) if isinstance(schema, dict) else schema


def _gone(old: Any, new: Any) -> list[str]:
    """Fields of a record that its successor lacks, at any depth."""
    if isinstance(old, list) and isinstance(new, list):
        return _gone(old[-1], new[-1])
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    if "fields" not in old or "fields" not in new:
        return [name for part in ("type", "items", "values") for name in _gone(old.get(part), new.get(part))]
    fields = {field["name"]: field for field in new["fields"]}
    missing = [field["name"] for field in old["fields"] if field["name"] not in fields]
    deeper = (_gone(field, fields[field["name"]]) for field in old["fields"] if field["name"] in fields)
    return [*missing, *(name for names in deeper for name in names)]


def _lengths(schema: Any, place: str) -> Iterator[tuple[str, float]]:
    """Each string of a schema, by the path of its field, with the characters that it may have."""
    if isinstance(schema, list):
        yield from _lengths(schema[-1], place)
    elif isinstance(schema, str):
        yield from [(place, math.inf)] if schema == "string" else []
    elif schema.get("type") == "string":
        yield place, schema.get("maxLength", math.inf)
    else:
        for part in ("type", "items", "values"):
            yield from _lengths(schema[part], place) if part in schema else []
        for field in schema.get("fields", ()):
            for name, longest in _lengths(field["type"], f"{place}.{field['name']}".strip(".")):
                yield name, min(longest, field.get("maxLength", math.inf))


def _line(file: Path, field: str) -> int:
    return line_of(file, rf'"name"\s*:\s*"{re.escape(field)}"') if field else 1
