"""The command `route`."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppName, Json
from switchyard.core.errors import Rejected, SwitchyardError

if TYPE_CHECKING:
    from switchyard.cli.dryrun import DryRun
    from switchyard.core.app import App
    from switchyard.core.settings import Settings


def route(
    event: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="A CloudEvent: inline JSON, a file, or - for stdin.")
    ] = None,
    type: Annotated[str | None, typer.Option("--type", help="Make an event of this type, with --data.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="The data of that event, as JSON.")] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", help="EVENT is a line of this input topic; requests.sql makes the event.")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules/--no-rules", help="Whether the rules of requests.sql are run.")
    ] = True,
    app: AppName = None,
    as_json: Json = False,
) -> None:
    """Dry run: which agents would get an event, by what, why, at what cost. Needs no Kafka and no cluster."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.dryrun import dry_run
    from switchyard.core.app import App
    from switchyard.environment import read_settings
    from switchyard.local.java import java

    settings = read_settings()
    loaded = App.load(app_argument(app, settings))
    try:
        for raw in _events(loaded, settings, event, type, data, topic):
            if rules:
                java()
            result = dry_run(loaded, settings, raw, rules)
            if as_json:
                terminal.say_json([result.object()])
            else:
                _show(result)
    except Rejected as error:
        raise SwitchyardError(f"it would become a dead letter, {error}") from None


def _events(
    app: App, settings: Settings, event: str | None, type: str | None, data: str | None, topic: str | None
) -> list[bytes]:
    if type is not None and data is not None and event is None:
        return [_made(type, data)]
    if event is None or type is not None or data is not None:
        raise SwitchyardError("give one event: as EVENT (inline JSON, a file, or -), or as --type and --data")
    from switchyard.cli.send import lines, read

    raw = event.encode() if event.lstrip().startswith("{") else read(event)
    if topic is None:
        return [raw]
    from switchyard.cli.dryrun import configuration
    from switchyard.local.java import java

    java()
    from switchyard.cli.rules import events_of

    first = lines(raw)[:1] or [b""]
    made = events_of(app, configuration(app, settings), topic, first[0])
    if not made:
        raise SwitchyardError(f"requests.sql makes no event of this line of {topic}")
    return made


def _made(type: str, data: str) -> bytes:
    from switchyard.core.event import Event

    try:
        value = json.loads(data)
    except ValueError as error:
        raise SwitchyardError(f"--data is not JSON: {error}") from None
    identity = uuid.uuid4().hex
    return (
        Event.new(id=identity, source="switchyard/route", type=type, workflow_id=identity, data=value).json().encode()
    )


def _show(result: DryRun) -> None:
    verdict, spent = result.verdict, result.outcome
    actions = {"complete": "branch complete", "stop": "workflow stopped", "dead-letter": "dead letter"}
    confidence = "" if verdict.confidence is None else f", confidence {verdict.confidence:.2f}"
    lines = {
        "event": f"{result.event.type} of workflow {result.event.workflow_id}",
        "goes to": ", ".join(verdict.agents) or actions[verdict.action],
        "decided by": f"{verdict.decided_by}{confidence}",
        "why": f"{verdict.code}: {verdict.reason}" if verdict.code else verdict.reason,
        "candidates": ", ".join(result.candidates) or "none",
        "model": "not asked",
    }
    if spent is not None:
        cost = "" if spent.cost is None else f", cost {spent.cost:.4f}"
        calls = formatting.counted(spent.calls, "call")
        tokens = f"{spent.prompt_tokens} + {spent.completion_tokens} tokens"
        lines["model"] = f"{spent.model}: {calls}, {tokens}{cost}, {formatting.lasted(spent.latency_ms)}"
    lines["took"] = formatting.lasted(result.milliseconds)
    for name, value in lines.items():
        terminal.say(f"{name:<11} {formatting.one_line(value)}")
