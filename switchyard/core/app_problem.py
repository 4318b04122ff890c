"""One thing to mend in an app, and where it is."""

from __future__ import annotations

from dataclasses import dataclass

YamlPath = tuple[str | int, ...]
"""The keys and indices that lead to a value in a YAML document."""


@dataclass(frozen=True)
class AppProblem:
    """`file` is relative to the app's folder, "" where no file is to blame.

    `path` is the place in `agents.yaml`; `line`, counted from 1, is given for other files. `message` is a sentence.
    """

    message: str
    file: str = "agents.yaml"
    path: YamlPath = ()
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message
