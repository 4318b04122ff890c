"""The commands `up`, `down` and `status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from switchyard import terminal
from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from switchyard.local.status import ProgramStatus

Kafka = Annotated[str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Use this Kafka, and start none.")]
Flink = Annotated[
    str | None, typer.Option("--flink", metavar="http://HOST:PORT", help="Use this Flink, and start none.")
]


def up(
    apps: Annotated[list[str] | None, typer.Argument(metavar="APP...", help="Names or folders of apps.")] = None,
    kafka: Kafka = None,
    flink: Flink = None,
    port: Annotated[
        list[str] | None, typer.Option("--port", metavar="NAME=N", help="A port, such as flink=8081; may be repeated.")
    ] = None,
) -> None:
    """Start broker, Flink cluster, model server, mail server and workers, and wait until all are healthy."""
    from switchyard.cli.app_choice import apps_to_serve
    from switchyard.cli.formatting import program
    from switchyard.environment import read_settings
    from switchyard.local.options import StackOptions
    from switchyard.local.stack import Stack

    settings = read_settings(kafka=kafka, flink=flink)
    options = StackOptions.of(settings, _ports(port or []))
    info = Stack.of(settings).up(apps_to_serve(apps or [], settings), options, terminal.say)
    model = "embedded offline model" if info.model_embedded else "model"
    terminal.say(f"Kafka {info.kafka}   Flink {info.flink}   {model} {info.model_base_url}")
    terminal.say(f"Mails go to {info.mail_folder}, logs to {info.home / 'log'}. Stop: {program()} down")


def down(
    clean: Annotated[bool, typer.Option("--clean", help="Remove all data, too, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --clean: do not ask.")] = False,
) -> None:
    """Stop what `up` started; data stays unless --clean is given."""
    from switchyard.core.data_folder import check_removable
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    stack = Stack.of(read_settings())
    home = stack.layout.home
    if clean and not yes and home.exists():
        check_removable(home)
        question = f"Stop the stack and remove all data in {home}? Nothing brings it back; --yes asks no more"
        if not terminal.confirm(question):
            raise typer.Abort
    ran = stack.down(clean, terminal.say)
    data = "its data is removed" if clean else "its data is kept"
    terminal.say(f"The stack is down; {data}." if ran else f"Nothing was running{'; ' + data if clean else ''}.")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on each line.")] = False,
) -> None:
    """Show each process, its health and restarts, and each job on Flink. Exit 1 unless all processes are healthy."""
    from switchyard.cli.inboxes import show_unread
    from switchyard.cli.jobs import show_jobs
    from switchyard.environment import read_settings
    from switchyard.local.stack import Stack

    settings = read_settings()
    stack = Stack.of(settings)
    processes, info = stack.status(), stack.info()
    if as_json:
        terminal.say_json(asdict(item) for item in processes)
    elif processes:
        terminal.show(_table(processes))
        for item in processes:
            if not item.healthy:
                terminal.say(f"{item.process}: {item.health}; its log: {item.log}")
    else:
        terminal.say("The stack is not up. Start it: switchyard up")
    flink = settings.flink or (info.flink if info else None)
    if flink is not None:
        show_jobs(flink, as_json)
    if info is not None and all(item.healthy for item in processes if item.process == "kafka"):
        show_unread(info, settings, as_json)
    if not processes or not all(item.healthy for item in processes):
        raise typer.Exit(1)


def _table(processes: Sequence[ProgramStatus]) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in ("process", "pid", "port", "health", "restarts", "uptime"):
        table.add_column(heading, justify="left" if heading in ("process", "health") else "right")
    for item in processes:
        cells = (item.pid, item.port, item.restarts, None if item.uptime is None else f"{item.uptime:.0f} s")
        pid, port, restarts, uptime = ("-" if cell is None else str(cell) for cell in cells)
        colour = "green" if item.healthy else "red"
        table.add_row(item.process, pid, port, Text(item.health, style=colour), restarts, uptime)
    return table


def _ports(pairs: Sequence[str]) -> dict[str, int]:
    ports = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not number.isdecimal() or not 0 < int(number) < 65536:
            raise SwitchyardError(f"--port {pair}: write NAME=NUMBER, for example flink=8081.")
        ports[name] = int(number)
    return ports
