"""Names that an app's SQL gets wrong: of its files, and of agents that its registry lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from switchyard.cli.linting.problem import Problem
from switchyard.core.app import App
from switchyard.flink import app_sql, sql_file

_INBOX = re.compile(r"'[^']*\bagent\.([^']*)'|\bagent\s*(?:=|<>|!=)\s*'([^']*)'")


def unknown_files(app: App) -> Iterator[Problem]:
    """Files beside the app's SQL that no job would ever load."""
    for file in sorted(app.sql.glob("*.sql")):
        if file.name not in app_sql.FILES:
            yield Problem(file, 1, f"no job loads this file; what an app may have is {', '.join(app_sql.FILES)}")


def unknown_agents(app: App) -> Iterator[Problem]:
    """In `ARRAY['…']` of requests.sql, and in topics and comparisons of dispatch.sql."""
    agents = ", ".join(app.registry.agents)
    for file, find in ((app.sql / "requests.sql", sql_file.array_members), (app.sql / "dispatch.sql", _addressed)):
        if not file.is_file():
            yield Problem(file, 1, "this file is missing")
            continue
        for statement in sql_file.read(file):
            for name, line in find(statement):
                if name and name not in app.registry.agents:
                    yield Problem(file, line, f"there is no agent {name!r}; there are {agents}")


def _addressed(statement: sql_file.Statement) -> Iterator[tuple[str, int]]:
    code = statement.code
    for match in _INBOX.finditer(code):
        yield match.group(1) or match.group(2) or "", statement.line + code.count("\n", 0, match.start())
