"""What happens to one message of an inbox: handler, store, memory, answer events. No Kafka here."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from switchyard.core.agents_file import Agent
from switchyard.core.errors import AgentError, Rejected
from switchyard.core.event import LARGEST_INTEGER, Event
from switchyard.core.ids import answer_id
from switchyard.core.model import Usage
from switchyard.core.registry import Registry
from switchyard.core.topics import Topics
from switchyard.worker.answers import checked, failure
from switchyard.worker.database import unwritable
from switchyard.worker.effects import EffectStore, StoredEffect
from switchyard.worker.handler_loop import HandlerLoop
from switchyard.worker.memory.backend import AgentMemory, MemoryBackend
from switchyard.worker.task import Answer, Handler, Task
from switchyard.worker.thinking import HandlerModel, Thinker
from switchyard.worker.usage_meter import UsageMeter

log = logging.getLogger("switchyard.worker")

ENVELOPE_BYTES = 4096


@dataclass
class Processor:
    """One agent of one namespace; any number of threads may call `handle`.

    `language_model` is the name of the one behind `model`, if any. `loop` is where `async def` handlers run.
    """

    agent: Agent
    registry: Registry
    handler: Handler
    effects: EffectStore
    memories: MemoryBackend
    namespace: str
    database: Engine
    model: HandlerModel | None = None
    language_model: str | None = None
    loop: HandlerLoop = field(default_factory=HandlerLoop, repr=False)
    _locks: KeyLocks = field(default_factory=lambda: KeyLocks(), repr=False)

    def handle(self, raw: bytes, dispatched_at: int | None = None) -> list[Event]:
        """Return the answer events for one inbox message: the stored ones, or those of the handler, stored first.

        `dispatched_at` is when the message was written, in milliseconds since 1970; now if not given.

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
                task = self._task(event, effect_key, dispatched_at, metered)
                answers, remembered, key = self._answers(task), task.memory.pending, effect_key
            except (Exception, SystemExit) as error:  # whatever user code raises is its failure
                if unwritable(error):
                    raise
                _log_failure(self.agent, event, error)
                answers, remembered, key = [failure(self.agent, error)], (), dispatch_id
            usage = Usage() if metered is None else metered.usage
            return self._events(event, key, self.effects.put(key, self.agent.name, answers, usage, remembered))

    def _task(self, event: Event, effect_key: str, dispatched_at: int | None, model: HandlerModel | None) -> Task:
        """Raises AgentError where the event is none for this agent."""
        if event.type not in self.agent.accepts:
            raise AgentError(f"{self.agent.name} does not accept this type of event.", reason="not-accepted")
        try:
            self.registry.check(event)
        except Rejected as error:
            raise AgentError(
                f"{self.agent.name} was given data that breaks its contract at {error.field}.",
                reason="input-violation",
            ) from None
        since = time.time() if dispatched_at is None else dispatched_at / 1000
        return Task(
            event=event,
            agent=self.agent.name,
            namespace=self.namespace,
            effect_key=effect_key,
            deadline=datetime.fromtimestamp(since, UTC) + timedelta(seconds=self.agent.deadline),
            memory=AgentMemory(self.memories, self.agent.name, effect_key),
            database=self.database,
            _thinker=Thinker(self.agent, self.namespace, self.registry.contracts, model, self.language_model),
        )

    def _answers(self, task: Task) -> list[Answer]:
        """Run the handler. Raises AgentError where its answers may not be sent, and what it raises."""
        returned = self.handler(task)
        if inspect.isawaitable(returned):
            returned = self.loop.run(returned)
        largest = self.registry.file.limits.event_bytes
        room = largest - ENVELOPE_BYTES if largest > 2 * ENVELOPE_BYTES else ENVELOPE_BYTES
        return checked(self.agent, self.registry, returned, room)

    def _events(self, event: Event, key: str, effect: StoredEffect) -> list[Event]:
        self.memories.keep(effect.remembered)
        return answer_events(event, Topics(self.namespace).source(self.agent.name), key, effect)


def answer_events(event: Event, source: str, key: str, effect: StoredEffect) -> list[Event]:
    """The events that carry an effect's answers; the same bytes for the same dispatch, whenever they are made.

    The first of them tells what the effect spent on the model.
    """
    answers: Sequence[Answer] = effect.answers
    spent = {"prompttokens": effect.usage.prompt_tokens, "completiontokens": effect.usage.completion_tokens}
    usage = {name: min(tokens, LARGEST_INTEGER) for name, tokens in spent.items() if tokens}
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
            capability=event.attributes.get("capability"),
            **(usage if position == 0 else {}),
        )
        for position, answer in enumerate(answers)
    ]


def _dispatch(event: Event) -> tuple[str, str]:
    """Return the effect key and the dispatch id. Raises Rejected where the event was not dispatched."""
    keys = []
    for name in ("effectkey", "dispatchid"):
        value = event.attributes.get(name)
        if not isinstance(value, str) or not value or len(value) > 256:
            raise Rejected("not-a-cloudevent", "extension attribute of a dispatch is missing or no string", name)
        keys.append(value)
    return keys[0], keys[1]


def _log_failure(agent: Agent, event: Event, error: BaseException) -> None:
    ours = isinstance(error, AgentError)
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
