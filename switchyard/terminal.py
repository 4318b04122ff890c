"""The terminal of this process: text reaches it here and nowhere else, and is made plain on its way.

What is shown may come from anybody: events, a model's answers, names of files. So no text moves the cursor, sets a
colour or a title, makes a link, or turns the direction of writing; colours are given as styles, beside the text.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def plain(text: str) -> str:
    """Text without what a terminal would act on: a replacement character for each sign that does not print.

    Newlines and tabs stay; every other white space is a space.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in "\n\t" else _instead(sign) for sign in text)


def say(line: object = "") -> None:
    """Write one line to standard output; newlines in it are spaces."""
    _write(sys.stdout, _line(line))


def complain(line: object) -> None:
    """Write one line to standard error, as `say` does."""
    _write(sys.stderr, _line(line))


def say_text(text: str) -> None:
    """Write text of several lines to standard output, and a newline."""
    _write(sys.stdout, plain(text.replace("\r\n", "\n")))


def complain_text(text: str) -> None:
    """Write text of several lines to standard error, and a newline."""
    _write(sys.stderr, plain(text))


def say_json(items: Iterable[Mapping[str, Any]]) -> None:
    """Write each object on a line of standard output; signs that do not print are JSON escapes of it."""
    for item in items:
        text = json.dumps(item, ensure_ascii=False)
        if not text.isprintable():
            text = "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
        _write(sys.stdout, text)


def show(renderable: RenderableType, width: int | None = None) -> None:
    """Write what rich renders to standard output."""
    console(width=width).print(renderable)


def console(stderr: bool = False, width: int | None = None) -> Console:
    """A console of rich whose texts are plain. Markup is off: brackets in a text are brackets."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, *given: Any, **more: Any) -> Iterable[Segment]:
            for segment in super().render(*given, **more):
                yield segment if segment.control else Segment(plain(segment.text), segment.style)

    return PlainConsole(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def confirm(question: str, default: bool = False) -> bool:
    """Ask the person at the keyboard for yes or no."""
    import typer

    return typer.confirm(_line(question), default=default)


def log_to_stderr(format: str) -> None:
    """Write this process's log, from INFO on, to standard error: a message is one line, whatever it holds."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter(format))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _PlainFormatter(logging.Formatter):
    """Messages on one line each; the lines of a traceback stay."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def _line(text: object) -> str:
    return plain(str(text)).replace("\n", " ")


def _instead(sign: str) -> str:
    return " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}"


def _write(file: IO[str], text: str) -> None:
    print(text, file=file, flush=True)
