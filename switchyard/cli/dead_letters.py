"""The commands `dead-letters list`, `show`, `retry` and `discard`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.dead_letter_filters import Reason, Since, Until, Which, chosen, matching
from switchyard.cli.options import AppName, Json, Kafka, Namespace
from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka
    from switchyard.cli.reading import NumberedDeadLetter
    from switchyard.cli.retrying import Sending
    from switchyard.core.control import Control

SHOWN_BYTES = 4096

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before acting on all that match.")]

dead_letters = typer.Typer(
    help="What could not be handled: list it, show one with its original bytes, send it again, discard it.",
    no_args_is_help=True,
    add_completion=False,
)


@dead_letters.command("list")
def list_open(
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="Retried and discarded ones, too.")] = False,
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """List the dead letters that are open, each source record once, by time. A number stays the same for ever."""
    from switchyard.cli import reading

    letters = reading.dead_letters(_find(app, namespace, kafka))
    shown = matching([item for item in letters if every or item.note is None], reason, since, until)
    if as_json:
        terminal.say_json(json_object(item) for item in shown)
        return
    states = Counter(item.state for item in letters)
    if not letters:
        terminal.say("There are no dead letters: everything that was read could be handled.")
    elif not shown:
        terminal.say(f"No dead letter matches; {_counts(states)}.")
    else:
        _table(shown, every)
        terminal.say(f"{len(shown)} shown; {_counts(states)}. One in full: switchyard dead-letters show N")


@dead_letters.command()
def show(
    which: Which,
    full: Annotated[bool, typer.Option("--full", help="All of the original, however long.")] = False,
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Show dead letters with their original bytes."""
    from switchyard.cli import reading

    for place, item in enumerate(chosen(reading.dead_letters(_find(app, namespace, kafka)), which)):
        if as_json:
            terminal.say_json([{**json_object(item), "original": item.letter.original}])
            continue
        if place:
            terminal.say()
        for name, value in json_object(item).items():
            terminal.say(f"{name:<12} {'-' if value in (None, '') else formatting.one_line(value)}")
        raw = item.letter.raw
        shown = raw if full else raw[:SHOWN_BYTES]
        terminal.say(f"original     {len(raw)} bytes:")
        terminal.say_text(formatting.readable(shown))
        if len(shown) < len(raw):
            terminal.say(f"... {len(raw) - len(shown)} bytes more; --full shows all")


@dead_letters.command()
def retry(
    which: Which = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Open each in $EDITOR first: an event's data, or the text of what is none.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent where, and send nothing.")
    ] = False,
    yes: Yes = False,
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
) -> None:
    """Send dead letters again, checked by the app's contracts first.

    An event goes to the job as a request to send it again, which is done once however often it is asked for.

    A line of an input topic goes to that topic again.
    """
    from switchyard.cli.retrying import Retries, RetryRefused

    target = _find(app, namespace, kafka)
    selected = _selected(target, which, reason, since, until, "Retry", yes or dry_run)
    retries = Retries(target)
    ready: list[tuple[NumberedDeadLetter, Sending]] = []
    refused: list[str] = []
    for item in selected:
        try:
            ready.append((item, retries.prepare(item, edit)))
        except RetryRefused as error:
            refused.append(f"Dead letter {item.number} was not sent: {error}.")
    if dry_run:
        _show_sendings(ready)
    else:
        _send(target, ready)
    for sentence in refused[:-1]:
        terminal.complain(sentence)
    if refused:
        raise SwitchyardError(refused[-1])


@dead_letters.command()
def discard(
    which: Which = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    app: AppName = None,
    namespace: Namespace = None,
    kafka: Kafka = None,
) -> None:
    """Mark dead letters as done with. Nothing is removed: `list --all` and `show` still have them."""
    from switchyard.cli import control_client

    target = _find(app, namespace, kafka)
    selected = _selected(target, which, reason, since, until, "Discard", yes)
    _note(target, selected, "discarded")
    if selected:
        control_client.send(target, *_told(target, "discard", selected))
        counted = formatting.counted(len(selected), "dead letter")
        terminal.say(f"Discarded {counted}; see them: switchyard dead-letters list --all")


def _selected(
    target: AppOnKafka,
    which: Sequence[str] | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    verb: str,
    yes: bool,
) -> list[NumberedDeadLetter]:
    """Those that are named, or all open ones that match, once a person has agreed to how many that are."""
    from switchyard.cli import reading

    filtered = any(item is not None for item in (reason, since, until))
    if bool(which) == filtered:
        raise SwitchyardError("say which: numbers from the list, or else --reason, --since or --until")
    letters = reading.dead_letters(target)
    if which:
        return chosen(letters, which)
    selected = matching([item for item in letters if item.note is None], reason, since, until)
    if not selected:
        terminal.say("No open dead letter matches.")
    else:
        counted = ", ".join(
            f"{count} {code}" for code, count in Counter(item.letter.reason for item in selected).items()
        )
        terminal.say(f"{formatting.counted(len(selected), 'dead letter')} of {target.topics.namespace}: {counted}")
        if not yes:
            formatting.agreed(f"{verb} {'it' if len(selected) == 1 else 'all of them'}?")
    return selected


def _send(target: AppOnKafka, ready: Sequence[tuple[NumberedDeadLetter, Sending]]) -> None:
    """Send, then write it down: what is sent twice because that failed is handled once."""
    from switchyard.cli import control_client

    requests = [sending.request for _, sending in ready if sending.request is not None]
    raw = [(item, sending) for item, sending in ready if sending.request is None]
    for topic in dict.fromkeys(sending.topic for _, sending in raw):
        records: list[tuple[bytes | None, bytes]] = [
            (None, sending.value) for _, sending in raw if sending.topic == topic
        ]
        target.cluster.send(topic, records)
        terminal.say(f"Sent {formatting.counted(len(records), 'dead letter')} to {topic} again.")
    told = [*requests, *_told(target, "resend", [item for item, _ in raw])]
    if told:
        control_client.send(target, *told)
    if requests:
        terminal.say(f"Asked the job to take {formatting.counted(len(requests), 'dead letter')} again.")
    for item, _ in ready:
        if item.note is not None and item.state == "retried":
            terminal.say(
                f"Dead letter {item.number} was {done(item)} before; an event that comes again is handled once."
            )
    _note(target, [item for item, _ in ready], "retried")


def _told(
    target: AppOnKafka, action: Literal["resend", "discard"], letters: Sequence[NumberedDeadLetter]
) -> list[Control]:
    """What the job is told, which keeps the audit."""
    from switchyard.cli import control_client

    return [control_client.new(target, action, deadletter=item.letter.identity) for item in letters]


def _note(target: AppOnKafka, letters: Sequence[NumberedDeadLetter], action: Literal["retried", "discarded"]) -> None:
    from switchyard.core.deadletter import Note

    now, by = int(time.time() * 1000), target.operator
    records: list[tuple[bytes | None, bytes]] = []
    for item in letters:
        place = item.letter.position
        note = Note(action, place.topic, place.partition, place.offset, now, by)
        records.append(((item.letter.workflow_id or "").encode(), note.json().encode()))
    if records:
        target.cluster.send(target.topics.dead_letters, records)


def _show_sendings(ready: Sequence[tuple[NumberedDeadLetter, Sending]]) -> None:
    for item, sending in ready:
        terminal.say(f"Dead letter {item.number} would go to {sending.topic} ({len(sending.value)} bytes):")
        terminal.say_text(formatting.readable(sending.value))
    terminal.say("Nothing was sent.")


def _table(letters: Sequence[NumberedDeadLetter], with_state: bool) -> None:
    rows = []
    for item in letters:
        letter = item.letter
        state = [done(item)] if with_state else []
        source = f"{letter.topic}[{letter.partition}]@{letter.offset}"
        place = [letter.field or None, letter.workflow_id, source]
        rows.append([item.number, formatting.clock(letter.time), *state, letter.reason, *place, letter.message])
    state_heading = ["state"] if with_state else []
    formatting.table(["no.>", "time", *state_heading, "reason", "field", "workflow", "source", "message"], rows)


def done(item: NumberedDeadLetter) -> str:
    """Its state in words: what was done about it, when and by whom."""
    return "open" if item.note is None else f"{item.state} {formatting.clock(item.note.time)} by {item.note.by}"


def _counts(states: Counter[str]) -> str:
    closed = [f"{states[name]} {name}" for name in ("retried", "discarded") if states[name]]
    return f"{states['open']} open" + (f", {' and '.join(closed)} (--all)" if closed else "")


def json_object(item: NumberedDeadLetter) -> dict[str, object]:
    """One dead letter as an object of `--json`, without its bytes."""
    from dataclasses import asdict

    fields = {name: value for name, value in asdict(item.letter).items() if name != "original"}
    note = item.note
    acted = {"state": item.state, "by": note.by if note else None, "noted": formatting.iso(note.time) if note else None}
    return {
        "number": item.number,
        **fields,
        "time": formatting.iso(item.letter.time),
        **acted,
        "identity": item.letter.identity,
    }


def _find(app: str | None, namespace: str | None, kafka: str | None) -> AppOnKafka:
    from switchyard.cli.options import AppOnKafka

    return AppOnKafka.find(app, namespace, kafka)
