"""How values look on a screen and in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

SHOWN_CHARACTERS = 160


def iso(milliseconds: int | None) -> str | None:
    """A time since 1970 as an RFC 3339 time in UTC."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(milliseconds: int | None) -> str:
    """A time since 1970 as date and time of day, for people here."""
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasted(milliseconds: float) -> str:
    """A duration in the unit that suits it."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 60_000 else f"{milliseconds / 60_000:.1f} min"


def json_lines(items: Iterable[Mapping[str, Any]]) -> None:
    for item in items:
        typer.echo(json.dumps(item, ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows; headings that end in `>` are of right-aligned columns."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        shown.add_column(heading.rstrip(">"), justify="right" if heading.endswith(">") else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text("-" if cell is None else _short(str(cell))) for cell in row))
    Console().print(shown)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def here(path: Path) -> str:
    """The path as a person in this folder would write it."""
    start = Path.cwd()
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)
