"""What is sent when a dead letter is retried: the event again, or the bytes again to the topic they came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from switchyard import terminal
from switchyard.cli import control_client, formatting
from switchyard.core import strictjson
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.core.registry import FAILED_TYPE

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka
    from switchyard.cli.reading import NumberedDeadLetter


@dataclass(frozen=True)
class Sending:
    """One record to write: `value`, or `request`, which has it in it."""

    topic: str
    value: bytes
    request: Control | None = None


class RetryRefused(SwitchyardError):
    """This dead letter cannot be sent again as it is; the text says what to do."""


@dataclass(frozen=True)
class Retry:
    """`text` is what a person edits; `made` makes the record of an edited text, or of None, which is as it was.

    `made` raises Rejected where the job would refuse it again.
    """

    text: str
    made: Callable[[str | None], Sending]


class Retries:
    """Prepares the retries of one app's dead letters. The app's contracts are those of its folder here."""

    def __init__(self, target: AppOnKafka) -> None:
        self._target = target
        self._topics = target.topics
        self._validator = InputValidator(target.app.registry)
        self._inputs = {target.topics.named(item.topic): item.type for item in target.app.registry.file.inputs}

    def prepare(self, letter: NumberedDeadLetter, edit: bool) -> Sending:
        """What to send, checked as the job will check it, after a person's edit if wanted.

        Raises RetryRefused with what to do instead.
        """
        dead = letter.letter
        try:
            retry = self._retry(dead)
            if not edit:
                return retry.made(None)
            if dead.topic in (self._topics.agent_messages, self._topics.control) and letter.state == "retried":
                raise RetryRefused(
                    "it was retried already, and a second retry is the same event, whatever its data; if the first "
                    "one failed, it has a dead letter of its own: edit that"
                )
            return edited(retry, letter.number)
        except Rejected as error:
            mend = "" if edit else "; mend it with --edit"
            raise RetryRefused(f"it would be refused again, {error}{mend}") from None

    def _retry(self, dead: DeadLetter) -> Retry:
        topics = self._topics
        if dead.offset < 0:
            raise RetryRefused("the record it is about is not known; the log of the TaskManager says what happened")
        if dead.topic == topics.agent_messages:
            return self._event(dead)
        if dead.topic in self._inputs:
            return self._input(dead, self._inputs[dead.topic])
        if dead.topic == topics.routing_decisions:
            raise RetryRefused("only the job writes to the ledger; nothing waits for this record, so discard it")
        if dead.topic == topics.control:
            return self._request(dead)
        if dead.topic.startswith(topics.inbox("")):
            raise RetryRefused(
                "only the job writes to an inbox; if it holds an event that should be handled, "
                f"send that to {topics.agent_messages} with `switchyard send`, and discard this one"
            )
        raise RetryRefused(f"{dead.topic} is no topic that this app reads")

    def _request(self, dead: DeadLetter) -> Retry:
        """Of an event that was sent again before; anything else on this topic is no event."""
        try:
            event = Event.parse(dead.raw)
            return self._again(dead, event if event.retry else Control.of(event).retried)
        except Rejected:
            raise RetryRefused(
                "a control event is given anew (cancel, approvals, pause, resume); discard this one"
            ) from None

    def _event(self, dead: DeadLetter) -> Retry:
        try:
            event = Event.parse(dead.raw)
        except Rejected as broken:
            problem = broken
            return Retry(as_text(dead.raw), lambda text: self._mended(dead, text, problem))
        return self._again(dead, event)

    def _again(self, dead: DeadLetter, event: Event) -> Retry:
        if event.type == FAILED_TYPE:
            raise RetryRefused("it tells that an agent failed, which cannot happen again; retry the event it failed on")

        def made(text: str | None) -> Sending:
            data = event.data if text is None else _json(text)
            return self._asking(event.again(dead.identity, data))

        return Retry(json.dumps(event.data, indent=2, ensure_ascii=False), made)

    def _mended(self, dead: DeadLetter, text: str | None, problem: Rejected) -> Sending:
        """Of bytes that are no event until they are edited."""
        if text is None:
            raise problem
        event = Event.parse(text)
        return self._asking(event.again(dead.identity, event.data))

    def _asking(self, event: Event) -> Sending:
        request = control_client.new(self._target, "retry", workflow_id=event.workflow_id, event=event.object())
        value = request.event.json().encode()
        self._validator.retried(value)
        return Sending(self._topics.control, value, request)

    def _input(self, dead: DeadLetter, event_type: str) -> Retry:
        def made(text: str | None) -> Sending:
            value = dead.raw if text is None else text.encode()
            self._validator.data(event_type, value)
            return Sending(dead.topic, value)

        return Retry(as_text(dead.raw), made)


def edited(retry: Retry, number: int) -> Sending:
    """Let a person edit until it would be accepted. Raises Rejected where they give up."""
    before = retry.text
    while True:
        text = _in_editor(before)
        try:
            return retry.made(None if text == retry.text else text)
        except Rejected as error:
            if text == before or not formatting.on_terminal():
                raise
            terminal.complain(f"Dead letter {number} would be refused again, {error}")
            if not terminal.confirm("Edit it again?", default=True):
                raise
            before = text


def as_text(raw: bytes) -> str:
    """For an editor: what is no UTF-8 is marked, for a person to mend."""
    return raw.decode("utf-8", errors="replace")


def _in_editor(text: str) -> str:
    """What the text is after $VISUAL or $EDITOR; an editor's newline at the end is not part of it."""
    try:
        edited_text = click.edit(text, extension=".json", require_save=False)
    except (click.ClickException, ValueError) as error:
        raise SwitchyardError(f"the editor did not work ({error}); set EDITOR to one that does") from None
    edited_text = text if edited_text is None else edited_text
    return edited_text if text.endswith("\n") else edited_text.rstrip("\n")


def _json(text: str) -> object:
    try:
        value: object = strictjson.loads(text)
    except ValueError as error:
        raise Rejected("not-json", f"the data is not JSON ({error})") from None
    return value
