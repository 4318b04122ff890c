"""The commands `dead-letters list` and `dead-letters show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli import screen
from switchyard.cli.options import AppName, Json, Kafka, Namespace
from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.core.deadletter import DeadLetter

SHOWN_BYTES = 4096

dead_letters = typer.Typer(
    help="What could not be handled: list it, show one with its original bytes.", no_args_is_help=True
)


@dead_letters.command("list")
def list_all(app: AppName = "sdr", namespace: Namespace = None, kafka: Kafka = None, as_json: Json = False) -> None:
    """List dead letters, each source record once, by time."""
    found = _read(app, namespace, kafka)
    if as_json:
        screen.json_lines(_line(number, letter) for number, letter in enumerate(found, 1))
    elif not found:
        typer.echo("There are no dead letters: everything that was read could be handled.")
    else:
        rows = []
        for number, item in enumerate(found, 1):
            place = [item.field or None, item.workflow_id, _source(item)]
            rows.append([number, screen.clock(item.time), item.reason, *place, item.message])
        screen.table(["no.>", "time", "reason", "field", "workflow", "source", "message"], rows)
        typer.echo("One in full: switchyard dead-letters show N")


@dead_letters.command()
def show(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number in the list.", min=1)],
    full: Annotated[bool, typer.Option("--full", help="All of the original, however long.")] = False,
    app: AppName = "sdr",
    namespace: Namespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter with its original bytes."""
    found = _read(app, namespace, kafka)
    if number > len(found):
        there = f"there are {len(found)}" if found else "there is none"
        raise SwitchyardError(f"there is no dead letter {number}; {there}")
    letter = found[number - 1]
    if as_json:
        screen.json_lines([{**_line(number, letter), "original": letter.original}])
        return
    for name, value in _line(number, letter).items():
        typer.echo(f"{name:<12} {'-' if value in (None, '') else value}")
    raw = letter.raw
    shown = raw if full else raw[:SHOWN_BYTES]
    typer.echo(f"original     {len(raw)} bytes:\n{readable(shown)}")
    if len(shown) < len(raw):
        typer.echo(f"... {len(raw) - len(shown)} bytes more; --full shows all")


def readable(raw: bytes) -> str:
    """As text where it is UTF-8 (cut or not), else as a hex dump."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return _hex_dump(raw)
        text = raw[: error.start].decode()
    return text if all(sign.isprintable() or sign in "\r\n\t" for sign in text) else _hex_dump(raw)


def _hex_dump(raw: bytes) -> str:
    rows = []
    for start in range(0, len(raw), 16):
        part = raw[start : start + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"{start:08x}  {part.hex(' '):<47}  {text}")
    return "\n".join(rows)


def _read(app: str, namespace: str | None, kafka: str | None) -> list[DeadLetter]:
    from switchyard.cli import reading
    from switchyard.cli.options import AppOnKafka

    return reading.dead_letters(AppOnKafka.find(app, namespace, kafka))


def _line(number: int, letter: DeadLetter) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(letter).items() if name != "original"}
    return {"number": number, **fields, "time": screen.iso(letter.time)}


def _source(letter: DeadLetter) -> str:
    return f"{letter.topic}[{letter.partition}]@{letter.offset}"
