"""Agents and contracts: what loading the app finds, and contracts that cannot read their predecessors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import parse

from switchyard.cli.linting.problem import Problem, line_of
from switchyard.core.app import App, find
from switchyard.core.errors import AppError


def load(name_or_path: str) -> tuple[App | None, list[Problem]]:
    """The app, or why it cannot be loaded. Raises AppError where there is no such folder."""
    folder, _ = find(name_or_path)
    try:
        return App.load(name_or_path), []
    except AppError as error:
        return None, [_placed(folder, problem) for problem in error.problems]


def unreadable_predecessors(app: App) -> Iterator[Problem]:
    """`contracts/previous/<type>.avsc` is what is still in the topics: the new contract must read it."""
    for previous in sorted((app.folder / "contracts" / "previous").glob("*.avsc")):
        current = app.folder / "contracts" / previous.name
        if not current.is_file():
            yield Problem(previous, 1, f"there is no contracts/{previous.name} that could read it")
            continue
        try:
            old, new = parse(previous.read_text(encoding="utf-8")), parse(current.read_text(encoding="utf-8"))
        except (AvroException, UnicodeDecodeError, json.JSONDecodeError) as error:
            yield Problem(previous, 1, f"it is not an Avro schema: {' '.join(str(error).split())}")
            continue
        result = ReaderWriterCompatibilityChecker().get_compatibility(reader=new, writer=old)
        if result.compatibility is not SchemaCompatibilityType.compatible:
            reasons = "; ".join(sorted(" ".join(str(message).split()) for message in result.messages))
            yield Problem(
                current, _line(current, reasons), f"it cannot read contracts/previous/{previous.name}: {reasons}"
            )


def _placed(folder: Path, message: str) -> Problem:
    """A sentence of the registry, with the line of the file that it speaks of."""
    named = re.match(r"(agents\.yaml|router\.md|contracts/[\w.-]+\.avsc):? ", message)
    file = folder / (named.group(1) if named else "agents.yaml")
    text = message[named.end() :] if named and message[named.end() - 2] == ":" else message
    if at := re.search(r"line (\d+)", message):
        return Problem(file, int(at.group(1)), text)
    word = re.search(r"'([^']+)'|(\$\w+)", text) or re.search(r"(\w+)(?=: )", text)
    found = next((part for part in word.groups() if part), "") if word else ""
    return Problem(file, line_of(file, found) if found else 1, text)


def _line(file: Path, reasons: str) -> int:
    word = re.search(r"'?(\w+)'?$", reasons.split(";")[0].rstrip(".'\""))
    return line_of(file, f'"{word.group(1)}"') if word else 1
