"""The command `send`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppNeverGuessed, Kafka, OwnNamespace
from switchyard.core.errors import Rejected, SwitchyardError


def send(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A file with one message on each line; - is stdin.")],
    topic: Annotated[
        str | None, typer.Option("--topic", help="The app's first input topic if not given.", show_default=False)
    ] = None,
    app: AppNeverGuessed = None,
    namespace: OwnNamespace = None,
    kafka: Kafka = None,
) -> None:
    """Send every non-blank line, as the bytes it is, to a topic of an app."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.namespace_choice import changed_namespace
    from switchyard.cli.options import AppOnKafka
    from switchyard.core.app import App
    from switchyard.environment import read_settings

    settings = read_settings(kafka=kafka)
    argument = app_argument(app, settings, guess=False)
    inputs = [item.topic for item in App.load(argument).registry.file.inputs]
    name = topic or (inputs[0] if inputs else "agent-messages")
    if name not in (*inputs, "agent-messages"):
        raise SwitchyardError(f"{name!r} is no input of the app; there are {', '.join((*inputs, 'agent-messages'))}")
    messages = lines(read(file))
    if not messages:
        raise SwitchyardError(f"{'standard input' if file == '-' else file} holds no line that is not blank")
    target = AppOnKafka.of(argument, namespace, settings, changed_namespace)
    full_name = target.topics.named(name)
    target.require(full_name)
    keyed = name == "agent-messages"
    target.cluster.send(full_name, [(workflow_of(line) if keyed else None, line) for line in messages])
    terminal.say(f"Sent {formatting.counted(len(messages), 'message')} to {full_name} on {target.cluster.bootstrap}.")


def read(file: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises SwitchyardError."""
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SwitchyardError(f"{file} cannot be read: {error.strerror}") from None


def lines(raw: bytes) -> list[bytes]:
    """The lines that are not blank, each without its newline and otherwise as it is."""
    return [line for line in raw.split(b"\n") if line.strip()]


def workflow_of(line: bytes) -> bytes | None:
    """The Kafka key of an event: its workflow's id; None for what is no event."""
    from switchyard.core.event import Event

    try:
        return Event.parse(line).workflow_id.encode()
    except Rejected:
        return None
