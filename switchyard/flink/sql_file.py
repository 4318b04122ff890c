"""SQL files: split into statements that know their file and line, with `$name` filled in.

`execute_sql` takes one statement and refuses `SET`, so a file is split at each `;` outside quotes and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from switchyard.core.errors import SwitchyardError

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<quoted>'(?:[^']|'')*'|`[^`]*`|\"[^\"]*\")|(?P<end>;)|(?P<other>.)", re.S
)
_LEADING = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/|EXECUTE\s+STATEMENT\s+SET\s+BEGIN\b)*", re.S | re.I)
_LOCATION = re.compile(r"(?:[Ff]rom|at) line (\d+), column (\d+)")


class SqlError(SwitchyardError):
    """A statement that does not plan: file, number of the statement, line in the file, and Flink's own words."""

    def __init__(self, statement: Statement, line: int, message: str) -> None:
        super().__init__(f"{statement.file}, statement {statement.number}, line {line}: {message}")
        self.statement = statement
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Statement:
    """`line` is the line of the file, from 1, at which `text` begins. Comments inside stay, so lines stay, too."""

    file: str
    number: int
    line: int
    text: str

    @property
    def bare(self) -> str:
        """Without comments, on one line."""
        return " ".join("".join(text for kind, text in _tokens(self.text) if kind != "comment").split())

    @property
    def kind(self) -> str:
        """`INSERT`, `CREATE`, `SET`, ..., in capitals."""
        return self.bare.split(" ", 1)[0].upper()

    def error(self, message: str, trace: str = "") -> SqlError:
        """Flink's message with the line of the file instead of the statement's, found in it or in the whole trace."""
        found = _LOCATION.search(message) or _LOCATION.search(trace)
        line = self.line + int(found.group(1)) - 1 if found else self.line
        return SqlError(self, line, " ".join(message.split()))


def read(path: Path, values: Mapping[str, str] | None = None, name: str | None = None) -> list[Statement]:
    """The statements of a file. `values` fills `$name`; without it the text stands as it is.

    Raises SwitchyardError where the file is missing, not UTF-8, or names a value there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SwitchyardError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise SwitchyardError(f"{path} is not UTF-8 text") from None
    return split(fill(text, values, path.name) if values is not None else text, name or str(path))


def fill(text: str, values: Mapping[str, str], file: str) -> str:
    """The template with its values. Raises SwitchyardError for a placeholder without one."""
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise SwitchyardError(f"{file}: no value for placeholder {error}") from None


def split(text: str, file: str) -> list[Statement]:
    """Statements in order; `EXECUTE STATEMENT SET BEGIN … END` is opened, for all INSERTs of a job run together."""
    statements: list[Statement] = []
    for start, piece in _pieces(text):
        begin = len(_LEADING.match(piece).group())  # type: ignore[union-attr]
        body = piece[begin:].rstrip()
        if body and body.upper() != "END":
            line = text.count("\n", 0, start + begin) + 1
            statements.append(Statement(file, len(statements) + 1, line, body))
    return statements


def literals(statement: Statement) -> Iterator[tuple[str, int]]:
    """Each `ARRAY['…', …]` member with its line in the file: the agents that a rule names."""
    text = "".join(
        re.sub(r"[^\n]", " ", token) if kind == "comment" else token for kind, token in _tokens(statement.text)
    )
    for array in re.finditer(r"(?is)\bARRAY\s*\[([^\]]*)\]", text):
        for member in re.finditer(r"'((?:[^']|'')*)'", array.group(1)):
            yield member.group(1), statement.line + text.count("\n", 0, array.start(1) + member.start())


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        yield str(match.lastgroup), match.group()


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    start = position = 0
    for kind, token in _tokens(text):
        position += len(token)
        if kind == "end":
            yield start, text[start : position - 1]
            start = position
    yield start, text[start:]
