"""The command `lint`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from switchyard.cli import formatting


def lint(app: Annotated[str, typer.Argument(help="Name or folder of the app.")] = "sdr") -> None:
    """Check an app: agents, contracts, handlers, prompt, and all its SQL, planned without a cluster."""
    from switchyard.cli.linting import code, contracts, names, registry

    found, problems = registry.load(app)
    if found is not None:
        problems += [
            *contracts.unreadable_predecessors(found),
            *code.unusable_functions(found),
            *names.unknown_files(found),
            *names.unknown_agents(found),
        ]
    took = 0.0
    if found is not None and all(path.is_file() for path in (found.sql / "requests.sql", found.sql / "dispatch.sql")):
        from switchyard.cli.linting.planning import unplannable_sql

        started = time.monotonic()
        problems += unplannable_sql(found)
        took = time.monotonic() - started
    for problem in problems:
        typer.echo(problem)
    if problems or found is None:
        raise typer.Exit(1)
    agents = formatting.counted(len(found.registry.agents), "agent")
    schemas = formatting.counted(len(found.registry.contracts) - 1, "contract")
    files = formatting.counted(len(list(found.sql.glob("*.sql"))), "SQL file")
    typer.echo(f"{found.name}: no problems ({agents}, {schemas}, {files} planned in {took:.1f} s)")
