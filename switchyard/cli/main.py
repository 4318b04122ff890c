"""The command `switchyard`. A command's module is imported when the command is named, and for `--help`."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated, Any, cast

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from switchyard import terminal
from switchyard.core.errors import SwitchyardError

INTERRUPTED = 130

GROUPS = {
    "Run": {
        "demo": "switchyard.cli.demo:demo",
        "up": "switchyard.cli.stack:up",
        "down": "switchyard.cli.stack:down",
        "submit": "switchyard.cli.submit:submit",
        "stop": "switchyard.cli.stop:stop",
        "send": "switchyard.cli.send:send",
    },
    "Look": {
        "status": "switchyard.cli.stack:status",
        "workflows": "switchyard.cli.workflows:workflows",
        "trace": "switchyard.cli.trace:trace",
        "audit": "switchyard.cli.audit:audit",
        "topics": "switchyard.cli.topics:topics",
    },
    "Step in": {
        "approvals": "switchyard.cli.approvals:approvals",
        "dead-letters": "switchyard.cli.dead_letters:dead_letters",
        "cancel": "switchyard.cli.control:cancel",
        "pause": "switchyard.cli.control:pause",
        "resume": "switchyard.cli.control:resume",
        "forget": "switchyard.cli.forget:forget",
    },
    "Build": {
        "new": "switchyard.cli.new:new",
        "lint": "switchyard.cli.lint:lint",
        "test": "switchyard.cli.test:test",
        "route": "switchyard.cli.route:route",
    },
}
"""The commands as `--help` groups them, each with the function or the group of commands behind it."""

COMMANDS = {name: place for commands in GROUPS.values() for name, place in commands.items()}


class Commands(TyperGroup):
    """The commands above; and the one place where an error becomes a sentence on stderr and exit status 1."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # The names alone: what is typed wrong is compared with them.
        self.commands = cast("dict[str, Any]", dict.fromkeys(COMMANDS))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        behind = getattr(importlib.import_module(module), name)
        if not isinstance(behind, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(behind)
            behind = single
        command: Any = typer.main.get_command(behind)
        command.name = cmd_name
        command.rich_help_panel = next(group for group, commands in GROUPS.items() if cmd_name in commands)
        return command

    def main(self, *given: Any, **more: Any) -> Any:
        """Run a command. What it raises beyond the errors of ours is a fault of ours, and told as Python does."""
        try:
            return super().main(*given, **more)
        except Exception as error:
            terminal.complain_text(traceback.format_exc().rstrip())
            raise SystemExit(1) from error

    def make_context(self, *given: Any, **more: Any) -> Any:
        with plain_usage_errors():
            return super().make_context(*given, **more)

    def invoke(self, ctx: Any) -> Any:
        try:
            with plain_usage_errors():
                return super().invoke(ctx)
        except SwitchyardError as error:
            terminal.complain(error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            terminal.complain_text(f"\nInterrupted. {still_running()}")
            raise typer.Exit(INTERRUPTED) from None


@contextmanager
def plain_usage_errors() -> Iterator[None]:
    """Make what typer says about wrong arguments plain, for it prints that itself."""
    try:
        yield
    except UsageError as error:
        error.message = terminal.plain(error.message)
        raise


def still_running() -> str:
    """What goes on without this command, and how to stop it."""
    from switchyard.cli.formatting import program
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    info = Stack.of(read_settings()).info()
    if info is None:
        return "Nothing of the local stack is running."
    return f"The local stack is still up (Kafka {info.kafka}, Flink {info.flink}); stop it: {program()} down"


def show_version(wanted: bool) -> None:
    if wanted:
        terminal.say(f"switchyard {metadata.version('switchyard')}")
        raise typer.Exit


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def switchyard(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Orchestrates AI agents on Apache Flink and Kafka: rules in SQL first, then a language model."""


if __name__ == "__main__":
    app()
