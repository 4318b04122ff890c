"""The command `switchyard`. A command's module is imported when the command is named, and for `--help`."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from switchyard.core.errors import SwitchyardError

INTERRUPTED = 130

COMMANDS = {
    "demo": "switchyard.cli.demo:demo",
    "up": "switchyard.cli.stack:up",
    "down": "switchyard.cli.stack:down",
    "status": "switchyard.cli.stack:status",
    "submit": "switchyard.cli.submit:submit",
    "stop": "switchyard.cli.stop:stop",
    "send": "switchyard.cli.send:send",
    "workflows": "switchyard.cli.workflows:workflows",
    "trace": "switchyard.cli.trace:trace",
    "approvals": "switchyard.cli.approvals:approvals",
    "cancel": "switchyard.cli.control:cancel",
    "pause": "switchyard.cli.control:pause",
    "resume": "switchyard.cli.control:resume",
    "dead-letters": "switchyard.cli.dead_letters:dead_letters",
    "route": "switchyard.cli.route:route",
    "lint": "switchyard.cli.lint:lint",
    "test": "switchyard.cli.test:test",
    "new": "switchyard.cli.new:new",
}


class Commands(TyperGroup):
    """The commands above; and the one place where an error becomes a sentence on stderr and exit status 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(found)
            found = single
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SwitchyardError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo(f"\nInterrupted. {still_running()}", err=True)
            raise typer.Exit(INTERRUPTED) from None


def still_running() -> str:
    """What goes on without this command, and how to stop it."""
    from switchyard.cli.formatting import program
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    info = Stack.of(read_settings()).info()
    if info is None:
        return "Nothing of the local stack is running."
    return f"The local stack is still up (Kafka {info.kafka}, Flink {info.flink}); stop it: {program()} down"


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def switchyard() -> None:
    """Orchestrates AI agents on Apache Flink and Kafka: rules in SQL first, then a language model."""


if __name__ == "__main__":
    app()
