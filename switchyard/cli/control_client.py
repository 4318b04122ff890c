"""Asking the job that runs for something, by a control event, and waiting until a workflow's status tells of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchyard import terminal
from switchyard.cli.reading import LatestStatus, summary_of
from switchyard.core.control import Control, Kind
from switchyard.core.deadletter import DeadLetter, parse_entry
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, Fence, Record
from switchyard.core.shards import MAX_PARALLELISM, shard_keys, shard_of

if TYPE_CHECKING:
    from switchyard.cli.options import AppOnKafka
    from switchyard.kafka.admin import KafkaRecord

SILENT_S = 2.0
PATIENCE_S = 120.0

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Paused:
    """Since when (milliseconds since 1970) and by whom an app is paused."""

    since: int
    by: str


def new(target: AppOnKafka, kind: Kind, reason: str = "", workflow_id: str = "", **more: Any) -> Control:
    """A control event of the person at the keyboard; `more` is what `Control.new` takes."""
    source = f"switchyard/{target.topics.namespace}/operator"
    return Control.new(kind, source, reason, target.operator, workflow_id, **more)


def send(target: AppOnKafka, *controls: Control) -> int:
    """Write control events; answers how many shards they went to."""
    target.require(target.topics.control)
    shards = shards_of(target)
    records = [record for control in controls for record in control.records(shards)]
    target.cluster.send(target.topics.control, list(records))
    return len(records)


def shards_of(target: AppOnKafka) -> int:
    """The number of shards of the job that wrote the ledger; the setting's, where that agrees with it."""
    from switchyard.cli import reading

    return shards_from(reading.ledger(target), target.shards)


def shards_from(ledger: Iterable[tuple[KafkaRecord, Record]], setting: int) -> int:
    """As `shards_of`. Raises SwitchyardError where the ledger tells another number than the setting, but not which."""
    possible = list(range(1, MAX_PARALLELISM + 1))
    for message, record in ledger:
        if isinstance(record, Fence) and record.shards:
            return record.shards
        if message.key.isdigit() and len(message.key) < 10:
            fits = [number for number in possible if _fits(int(message.key), record, number)]
            possible = fits or possible
    if setting in possible:
        return setting
    if len(possible) > 1:
        raise SwitchyardError(
            f"the job's number of shards is not {setting}, as the ledger shows; set SWITCHYARD_SHARDS to the number "
            "that the job was submitted with"
        )
    return possible[0]


def _fits(key: int, record: Record, shards: int) -> bool:
    if isinstance(record, Decision) and record.workflow_id:
        return shard_of(record.workflow_id, shards) == key
    return key in shard_keys(shards)


def paused(target: AppOnKafka) -> Paused | None:
    """Whether the newest word to any shard is to pause; None where it is not, or nothing was ever said."""
    topic = target.topics.control
    if topic not in target.cluster.topics():
        return None
    last: dict[bytes, tuple[int, Control]] = {}
    for message in sorted(target.cluster.read(topic), key=lambda item: (item.partition, item.offset)):
        try:
            control = Control.of(Event.parse(message.value))
        except Rejected:
            continue
        if control.of_app:
            last[message.key] = (message.time, control)
    pauses = [Paused(at, control.by) for at, control in last.values() if control.kind == "pause"]
    return max(pauses, key=lambda item: item.since, default=None)


def wait_for(target: AppOnKafka, control: Control, since: LatestStatus, done: Callable[[Summary], bool]) -> Summary:
    """The first status of the control event's workflow after `since` for which it is `done`.

    Raises SwitchyardError where the job refuses the control event, or nothing happens for two minutes.
    """
    from switchyard.kafka.admin import Follower

    topics = target.topics
    follower: Follower = target.cluster.follow([topics.workflow_status, topics.dead_letters])
    started, said_so = time.monotonic(), False
    try:
        while True:
            for message in follower.poll(0.2):
                if message.topic == topics.dead_letters:
                    _check_refused(message.value, control, topics.control)
                elif message.key == control.event.workflow_id.encode() and message.offset > since.offset:
                    summary = summary_of(message.value)
                    if summary is not None and done(summary):
                        return summary
            waited = time.monotonic() - started
            if waited > PATIENCE_S:
                raise SwitchyardError(
                    f"the job has not acted on it for {PATIENCE_S:.0f} s; it will once it reads {topics.control}. "
                    f"Does it run? See `switchyard status`; start it with `switchyard submit {target.again}`"
                )
            if waited > SILENT_S and not said_so:
                said_so = True
                terminal.complain("Sent; waiting for the job to act on it. Ctrl-C ends the waiting alone.")
    finally:
        follower.close()


def wait_for_audit(target: AppOnKafka, control: Control) -> None:
    """Until the job has noted what became of a control event. Raises SwitchyardError after two minutes."""
    follower = target.cluster.follow([target.topics.audit])
    started = time.monotonic()
    try:
        while not any(message.key == control.event.id.encode() for message in follower.poll(0.2)):
            if time.monotonic() - started > PATIENCE_S:
                raise SwitchyardError(
                    f"the job has not noted it for {PATIENCE_S:.0f} s; it will once it reads {target.topics.control}. "
                    f"Does it run? See `switchyard status`; start it with `switchyard submit {target.again}`"
                )
    finally:
        follower.close()


def _check_refused(raw: bytes, control: Control, topic: str) -> None:
    """Raises SwitchyardError where this is the dead letter of the control event."""
    try:
        letter = parse_entry(raw)
        if isinstance(letter, DeadLetter) and letter.topic == topic and Event.parse(letter.raw).id == control.event.id:
            raise SwitchyardError(f"the job refused it, {letter.reason}: {letter.message}")
    except (ValueError, Rejected):
        return
