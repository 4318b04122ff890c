"""What happens to one message of an inbox: handler, store, memory, answer events. No Kafka here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine

from switchyard.core.agents_file import Agent
from switchyard.core.errors import Rejected
from switchyard.core.event import LARGEST_INTEGER, Event
from switchyard.core.ids import answer_id
from switchyard.core.model import Usage
from switchyard.core.registry import Registry
from switchyard.core.settings import Settings
from switchyard.worker.answers import Failed, checked, failure
from switchyard.worker.database import unwritable
from switchyard.worker.effects import EffectStore, StoredEffect
from switchyard.worker.memory.backend import AgentMemory, MemoryBackend, StoredMemory
from switchyard.worker.task import Answer, Handler, HandlerModel, Task
from switchyard.worker.usage_meter import UsageMeter

log = logging.getLogger("switchyard.worker")

ENVELOPE_BYTES = 4096


@dataclass
class Processor:
    """One agent of one namespace; any number of threads may call `handle`."""

    agent: Agent
    registry: Registry
    handler: Handler
    effects: EffectStore
    memories: MemoryBackend
    namespace: str
    settings: Settings
    database: Engine
    model: HandlerModel | None = None
    _locks: KeyLocks = field(default_factory=lambda: KeyLocks(), repr=False)

    def handle(self, raw: bytes) -> list[Event]:
        """The answer events for one inbox message: the stored ones, or those of the handler, stored first.

        What the handler remembers is stored with them, and has been kept when this returns.
        A failure is stored for its dispatch alone, so that the next attempt runs the handler again.
        Raises Rejected where the message is no dispatch, SQLAlchemyError where the database cannot do its work, also
        when it was the handler that wrote to it: such a message is to be handled again.
        """
        event = Event.parse(raw)
        effect_key, dispatch_id = _dispatch(event)
        with self._locks.held(effect_key):
            stored = self.effects.get(effect_key)
            if stored is not None:
                return self._events(event, effect_key, stored)
            failed = self.effects.get(dispatch_id)
            if failed is not None:
                return self._events(event, dispatch_id, failed)
            metered = None if self.model is None else UsageMeter(self.model)
            try:
                (answers, remembered), key = self._run(event, effect_key, metered), effect_key
            except (Exception, SystemExit) as error:  # whatever user code raises is its failure
                if unwritable(error):
                    raise
                _tell(self.agent, event, error)
                answers, remembered, key = [failure(self.agent, error)], (), dispatch_id
            usage = Usage() if metered is None else metered.usage
            return self._events(event, key, self.effects.put(key, self.agent.name, answers, usage, remembered))

    def _run(
        self, event: Event, effect_key: str, model: HandlerModel | None
    ) -> tuple[list[Answer], tuple[StoredMemory, ...]]:
        if event.type not in self.agent.accepts:
            raise Failed("not-accepted", f"{self.agent.name} does not accept this type of event.")
        try:
            self.registry.check(event)
        except Rejected as error:
            raise Failed(
                "input-violation", f"{self.agent.name} was given data that breaks its contract at {error.field}."
            ) from None
        memory = AgentMemory(self.memories, self.agent.name, effect_key)
        task = Task(
            event,
            self.agent,
            effect_key,
            self.namespace,
            self.settings,
            self.database,
            self.registry.contracts,
            memory,
            model,
        )
        largest = self.registry.file.limits.event_bytes
        room = largest - ENVELOPE_BYTES if largest > 2 * ENVELOPE_BYTES else ENVELOPE_BYTES
        return checked(self.agent, self.registry, self.handler(task), room), memory.noted

    def _events(self, event: Event, key: str, effect: StoredEffect) -> list[Event]:
        self.memories.keep(effect.remembered)
        return answer_events(event, f"switchyard/{self.namespace}/{self.agent.name}", key, effect)


def answer_events(event: Event, source: str, key: str, effect: StoredEffect) -> list[Event]:
    """The events that carry an effect's answers; the same bytes for the same dispatch, whenever they are made.

    The first of them tells what the effect spent on the model.
    """
    answers: Sequence[Answer] = effect.answers
    spent = {"prompttokens": effect.usage.prompt_tokens, "completiontokens": effect.usage.completion_tokens}
    told = {name: min(tokens, LARGEST_INTEGER) for name, tokens in spent.items() if tokens}
    return [
        Event.new(
            id=answer_id(key, position),
            source=source,
            type=answer.type,
            workflow_id=event.workflow_id,
            data=answer.data,
            time=effect.created_at,
            causationid=event.attributes["dispatchid"],
            hops=event.hops + 1,
            answerindex=position,
            answercount=len(answers),
            **(told if position == 0 else {}),
        )
        for position, answer in enumerate(answers)
    ]


def _dispatch(event: Event) -> tuple[str, str]:
    found = []
    for name in ("effectkey", "dispatchid"):
        value = event.attributes.get(name)
        if not isinstance(value, str) or not value or len(value) > 256:
            raise Rejected("not-a-cloudevent", "extension attribute of a dispatch is missing or no string", name)
        found.append(value)
    return found[0], found[1]


def _tell(agent: Agent, event: Event, error: BaseException) -> None:
    ours = isinstance(error, Failed)
    log.warning(
        "%s failed on event %s of workflow %s: %s",
        agent.name,
        event.id,
        event.workflow_id,
        error if ours else type(error).__name__,
        exc_info=None if ours else error,
    )


class KeyLocks:
    """A lock per key, there only as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)
