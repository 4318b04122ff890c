"""SQL files: split into statements that know their file and line, with `$name` filled in.

`execute_sql` takes one statement and refuses `SET`, so a file is split at each `;` that is a token of its own; what
is a token, sqlparse says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from sqlparse import tokens
from sqlparse.keywords import SQL_REGEX
from sqlparse.lexer import Lexer

from switchyard.core.errors import SwitchyardError

_FLINK = [
    # Of Flink's own: a backslash is a character like any other, and brackets hold the members of an array.
    (r"'(?:''|[^'])*'", tokens.String.Single),
    (r"[\[\]]", tokens.Punctuation),
]
_STATEMENT_SET = ["EXECUTE", "STATEMENT", "SET", "BEGIN"]
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
    def code(self) -> str:
        """With blanks in place of comments, so that each place is where it is in `text`."""
        return "".join(
            re.sub(r"[^\n]", " ", token) if _is_comment(kind) else token for kind, token in _tokens(self.text)
        )

    @property
    def bare(self) -> str:
        """Without comments, on one line."""
        return " ".join(self.code.split())

    @property
    def kind(self) -> str:
        """`INSERT`, `CREATE`, `SET`, ..., in capitals."""
        return self.bare.split(" ", 1)[0].upper()

    def error(self, message: str, trace: str = "") -> SqlError:
        """Flink's message with the line of the file instead of the statement's, found in it or in the whole trace."""
        place = _LOCATION.search(message) or _LOCATION.search(trace)
        line = self.line + int(place.group(1)) - 1 if place else self.line
        return SqlError(self, line, " ".join(message.split()))


def read(path: Path, values: Mapping[str, str] | None = None, name: str | None = None) -> list[Statement]:
    """The statements of a file. `values` fills `$name`; without it the text stands as it is.

    Raises SwitchyardError where the file is missing, not UTF-8, or names a value there is not.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SwitchyardError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise SwitchyardError(f"{path} is not UTF-8 text") from None
    return split(fill(text, values, path.name) if values is not None else text, name or str(path))


def read_own(path: Path, namespace: str, name: str | None = None) -> list[Statement]:
    """The statements of an app's file, with its job's `${namespace}`. Raises SwitchyardError as `read` does."""
    return [
        replace(statement, text=statement.text.replace("${namespace}", namespace))
        for statement in read(path, name=name)
    ]


def fill(text: str, values: Mapping[str, str], file: str) -> str:
    """The template with its values. Raises SwitchyardError for a placeholder without one."""
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise SwitchyardError(f"{file}: no value for placeholder {error}") from None


def split(text: str, file: str) -> list[Statement]:
    """Statements in order; `EXECUTE STATEMENT SET BEGIN … END` is opened, for all INSERTs of a job run together."""
    statements: list[Statement] = []
    for line, body in _bodies(text):
        if body and body.upper() != "END":
            statements.append(Statement(file, len(statements) + 1, line, body))
    return statements


def array_members(statement: Statement) -> Iterator[tuple[str, int]]:
    """Each `ARRAY['…', …]` member with its line in the file: the agents that a rule names."""
    line, array, before = statement.line, False, ""
    for kind, text in _tokens(statement.text):
        if text == "[":
            array = before == "ARRAY"
        elif text == "]":
            array = False
        elif array and kind in tokens.String.Single:
            yield text[1:-1].replace("''", "'"), line
        line += text.count("\n")
        before = before if _is_blank(kind) else text.upper()


@cache
def _lexer() -> Lexer:
    lexer = Lexer()
    lexer.default_initialization()
    lexer.set_SQL_REGEX(_FLINK + SQL_REGEX)
    return lexer


def _tokens(text: str) -> Iterator[tuple[Any, str]]:
    yield from _lexer().get_tokens(text)


def _is_comment(kind: Any) -> bool:
    return kind in tokens.Comment and kind is not tokens.Comment.Multiline.Hint


def _is_blank(kind: Any) -> bool:
    return kind in tokens.Whitespace or _is_comment(kind)


def _bodies(sql: str) -> Iterator[tuple[int, str]]:
    """What stands between semicolons, without blanks and comments around it, and the line on which it begins."""
    line, begun = 1, 1
    body: list[str] = []
    words: list[str] = []
    for kind, text in _tokens(sql):
        if text == ";" and kind in tokens.Punctuation:
            yield begun, "".join(body).rstrip()
            body, words = [], []
        elif body or not _is_blank(kind):
            begun = begun if body else line
            body.append(text)
            words += [] if _is_blank(kind) else [text.upper()]
            if words == _STATEMENT_SET:
                body, words = [], []
        line += text.count("\n")
    yield begun, "".join(body).rstrip()
