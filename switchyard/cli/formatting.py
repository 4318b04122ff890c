"""How values look on a screen and in JSON lines."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from switchyard import terminal
from switchyard.core.errors import SwitchyardError
from switchyard.core.times import rfc3339

PIPED_WIDTH = 200
NARROWEST = 16
GAP = 2


def program() -> str:
    """How this command line is called from here: its path where the shell would not find it by name."""
    called = Path(sys.argv[0])
    if shutil.which("switchyard") or called.name != "switchyard":
        return "switchyard"
    return os.path.relpath(called)


def iso(milliseconds: int | None) -> str | None:
    """A time since 1970 as an RFC 3339 time in UTC."""
    return None if milliseconds is None else rfc3339(milliseconds / 1000)


def clock(milliseconds: int | None) -> str:
    """A time since 1970 for people here: the time of day, with the date unless it is today."""
    if milliseconds is None:
        return "-"
    moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def counted(number: int, thing: str) -> str:
    """`1 call`, `2 calls`, `2 dispatches`."""
    plural = "es" if thing.endswith(("ch", "s")) else "s"
    return f"{number} {thing}{'' if number == 1 else plural}"


def lasted(milliseconds: float) -> str:
    """A duration in the unit that suits it."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 60_000 else f"{milliseconds / 60_000:.1f} min"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows, one line each; headings that end in `>` are of right-aligned columns. The last column gives way."""
    cells = [["-" if cell is None else one_line(cell) for cell in row] for row in rows]
    widths = [
        max(map(cell_len, column)) for column in zip((name.rstrip(">") for name in headings), *cells, strict=True)
    ]
    console = terminal.console()
    room = (console.width if console.is_terminal else PIPED_WIDTH) - sum(widths[:-1]) - GAP * len(widths)
    widths[-1] = min(widths[-1], max(room, NARROWEST))
    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for heading, width in zip(headings, widths, strict=True):
        justify: JustifyMethod = "right" if heading.endswith(">") else "left"
        shown.add_column(heading.rstrip(">"), justify=justify, no_wrap=True, width=width)
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    terminal.show(shown, max(console.width, sum(widths) + GAP * len(widths)))


def one_line(value: object) -> str:
    """On one line, without runs of white space, for a cell or a line of a larger text."""
    return terminal.plain(" ".join(str(value).split()))


def readable(raw: bytes) -> str:
    """As text where it is UTF-8 (cut or not), else as a hex dump."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return _hex_dump(raw)
        text = raw[: error.start].decode()
    return text if all(sign.isprintable() or sign in "\r\n\t" for sign in text) else _hex_dump(raw)


def _hex_dump(raw: bytes) -> str:
    rows = []
    for start in range(0, len(raw), 16):
        part = raw[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"{start:08x}  {part.hex(' '):<47}  {text}")
    return "\n".join(rows)


def login() -> str:
    """The name of the person at the keyboard, as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def on_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def agreed(question: str) -> None:
    """Ask before much is done at once. Raises SwitchyardError where nobody agrees."""
    if not on_terminal():
        raise SwitchyardError(f"{question} Nobody can be asked here; give --yes")
    if not terminal.confirm(question):
        raise SwitchyardError("nothing was done")


def here(path: Path) -> str:
    """The path as a person in this folder would write it."""
    start = Path.cwd()
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)
