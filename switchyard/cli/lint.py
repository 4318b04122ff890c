"""The command `lint`."""

from __future__ import annotations

import time

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.jobs import unproved
from switchyard.cli.options import AppArgument


def lint(app: AppArgument = None) -> None:
    """Check an app: agents, contracts, functions, prompt, and all its SQL, planned without a cluster."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.linting import code, contracts, memory, names, registry, udfs
    from switchyard.core.app_checks import unasked_senders
    from switchyard.environment import read_settings

    settings = read_settings()
    loaded, problems = registry.load(app_argument(app, settings))
    if loaded is not None:
        problems += [
            *contracts.unreadable_predecessors(loaded),
            *code.unusable_functions(loaded),
            *udfs.unusable_udfs(loaded),
            *memory.unusable_memory(loaded, settings),
            *names.unknown_files(loaded),
            *names.unknown_agents(loaded),
            *(registry.placed(loaded.folder, problem) for problem in unasked_senders(loaded.registry.file, settings)),
        ]
    for problem in problems:
        terminal.say(problem)
    if problems or loaded is None:
        terminal.complain("The SQL was not planned; mend this first.")
        raise typer.Exit(1)
    from switchyard.local.java import java

    java()
    terminal.complain("Planning the SQL (about ten seconds) ...")
    from switchyard.cli.linting.planning import unplannable_sql

    started = time.monotonic()
    problems = list(unplannable_sql(loaded, settings))
    for problem in problems:
        terminal.say(problem)
    if problems:
        raise typer.Exit(1)
    took = time.monotonic() - started
    agents = formatting.counted(len(loaded.registry.agents), "agent")
    schemas = formatting.counted(len(loaded.registry.contracts) - 1, "contract")
    files = formatting.counted(len(list(loaded.sql.glob("*.sql"))), "SQL file")
    if settings.dispatch_key is None:
        terminal.complain(f"On a cluster of your own: {unproved('this command', loaded.name)}")
    terminal.say(f"{loaded.name}: no problems ({agents}, {schemas}, {files} planned in {took:.1f} s)")
