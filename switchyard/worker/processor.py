"""What happens to one message of an inbox: handler, store, memory, answer events. No Kafka here."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from switchyard.core.agents_file import Agent
from switchyard.core.errors import AgentError, Rejected
from switchyard.core.event import LARGEST_INTEGER, Event
from switchyard.core.ids import answer_id, stable_hash
from switchyard.core.model import Usage
from switchyard.core.registry import Registry
from switchyard.core.topics import Topics
from switchyard.worker.answers import checked, failure, timed_out
from switchyard.worker.database import unwritable
from switchyard.worker.effects import EffectStore, StoredEffect, no_lease
from switchyard.worker.handler_loop import HandlerLoop, HandlerTimedOut
from switchyard.worker.handler_run import HandlerRun
from switchyard.worker.leases import Lease, LeaseHeld, LeaseLost
from switchyard.worker.memory.backend import AgentMemory, MemoryBackend
from switchyard.worker.task import Answer, Handler, Task
from switchyard.worker.thinking import HandlerModel, Thinker
from switchyard.worker.usage_meter import UsageMeter

log = logging.getLogger("switchyard.worker")

ENVELOPE_BYTES = 4096
GRACE_S = 1.0
"""How much longer than its deadline a handler may take to end, once it is cancelled."""


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
    _runs: dict[str, HandlerRun] = field(default_factory=dict, repr=False)
    """By effect key: what runs, hangs, or has ended and is not stored yet."""

    def handle(self, raw: bytes, since: float | None = None) -> list[Event]:
        """Return the answer events for one inbox message: the stored ones, or those of the handler, stored first.

        `since` is when it was first tried, in `time.monotonic()`; now if not given.

        What the handler remembers is stored with them, and has been kept when this returns. It has the agent's
        deadline for it, from its start; one that goes on is answered for, and what it answers later is kept for the
        next attempt, which does not run it a second time.
        A failure is stored for its dispatch alone, so that the next attempt runs the handler again.
        Raises Rejected where the message is no dispatch. Such a message is to be handled again: raises LeaseHeld where
        another worker runs its handler, SQLAlchemyError where the database cannot do its work, also when it was the
        handler that wrote to it. What a handler answered is not lost then, and it does not run again for it.
        """
        event = Event.parse(raw)
        effect_key, attempt_key = _keys(event)
        with self._locks.held(effect_key):
            known = self.effects.get(effect_key, attempt_key)
            if known is not None:
                return self._events(event, *known)
            try:
                run = self._runs.get(effect_key) or self._run(event, effect_key, attempt_key)
            except AgentError as error:
                return self._events(event, attempt_key, self._failure(event, attempt_key, error, Usage()))
            except LeaseHeld:
                if since is None or time.monotonic() - since < self.agent.deadline + GRACE_S:
                    raise
                failed = self._failure(event, attempt_key, timed_out(self.agent), Usage())
                return self._events(event, attempt_key, failed)
            if run.wait(self.agent.deadline + GRACE_S) or not run.leave():
                return self._settled(event, effect_key, attempt_key, run)
            log.error("%s hangs: %d handlers of it go on after their deadlines", self.agent.name, self.hanging)
            spent = run.uncharged
            stored = self._failure(event, attempt_key, timed_out(self.agent), spent, self._lease(effect_key).keep)
            run.charge(spent)
            return self._events(event, attempt_key, stored)

    @property
    def hanging(self) -> int:
        """How many threads are kept by handlers that go on although their deadlines have passed."""
        return sum(run.hangs for run in list(self._runs.values())) + self.loop.hanging(self.agent.name)

    def _run(self, event: Event, effect_key: str, attempt_key: str) -> HandlerRun:
        """Start the handler. Raises AgentError where the event is none for this agent, and LeaseHeld."""
        meter = None if self.model is None else UsageMeter(self.model)
        task = self._task(event, effect_key, meter)
        deadline = time.monotonic() + self.agent.deadline
        run = HandlerRun(
            name=f"{self.agent.name}-handler",
            work=lambda: (self._answers(task, deadline), task.memory.pending),
            late=lambda run: self._late(event, effect_key, run),
            spent=lambda: Usage() if meter is None else meter.usage,
        )
        lease = self._lease(effect_key)
        lease.take()
        if self.effects.get(effect_key, attempt_key):  # another worker has just given it back
            lease.give_back()
            raise LeaseHeld
        run.start()
        self._runs[effect_key] = run
        return run

    def _settled(self, event: Event, effect_key: str, attempt_key: str, run: HandlerRun) -> list[Event]:
        """Store what came of a run that has ended, which is known here alone until then.

        Raises SQLAlchemyError, LeaseLost.
        """
        if run.error is not None and unwritable(run.error):
            del self._runs[effect_key]
            raise run.error
        try:
            if run.error is None:
                key, stored = effect_key, self._success(event, effect_key, run)
            else:
                lease = self._lease(effect_key).end
                key, stored = attempt_key, self._failure(event, attempt_key, run.error, run.uncharged, lease)
        except LeaseLost:
            log.warning("%s was overtaken by another worker, whose answer counts", self.agent.name)
            del self._runs[effect_key]
            raise
        del self._runs[effect_key]
        return self._events(event, key, stored)

    def _success(self, event: Event, effect_key: str, run: HandlerRun) -> StoredEffect:
        answers, remembered = run.returned
        lease = self._lease(effect_key).end
        agent, workflow = self.agent.name, event.workflow_id
        return self.effects.put(effect_key, agent, answers, run.uncharged, remembered, lease, workflow)

    def _failure(
        self,
        event: Event,
        attempt_key: str,
        error: BaseException,
        usage: Usage,
        lease: Callable[[Connection], None] = no_lease,
    ) -> StoredEffect:
        """Store the failure of one dispatch. Raises SQLAlchemyError, LeaseLost."""
        _log_failure(self.agent, event, error)
        answers, workflow = [failure(self.agent, error)], event.workflow_id
        return self.effects.put(attempt_key, self.agent.name, answers, usage, lease=lease, workflow_id=workflow)

    def _late(self, event: Event, effect_key: str, run: HandlerRun) -> None:
        """A handler has ended after its deadline: the next attempt finds what it answered, in any worker."""
        with self._locks.held(effect_key), suppress(SQLAlchemyError):
            if self._runs.get(effect_key) is not run:
                return
            with suppress(LeaseLost):
                if run.error is None:
                    self._success(event, effect_key, run)
                else:
                    self._lease(effect_key).give_back()
            del self._runs[effect_key]

    def _lease(self, effect_key: str) -> Lease:
        return self.effects.leases.of(effect_key)

    def _task(self, event: Event, effect_key: str, model: HandlerModel | None) -> Task:
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
        return Task(
            event=event,
            agent=self.agent.name,
            namespace=self.namespace,
            effect_key=effect_key,
            deadline=datetime.now(UTC) + timedelta(seconds=min(self.agent.deadline, threading.TIMEOUT_MAX)),
            memory=AgentMemory(self.memories, self.agent.name, effect_key),
            database=self.database,
            _thinker=Thinker(self.agent, self.namespace, self.registry.contracts, model, self.language_model),
        )

    def _answers(self, task: Task, deadline: float) -> list[Answer]:
        """Run the handler. Raises AgentError where its answers may not be sent, and what it raises."""
        returned = self.handler(task)
        if inspect.isawaitable(returned):
            try:
                returned = self.loop.run(returned, deadline, self.agent.name)
            except HandlerTimedOut:
                raise timed_out(self.agent) from None
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


def _keys(event: Event) -> tuple[str, str]:
    """Return the keys of what an effect, and a failure of this one attempt, are stored under.

    Raises Rejected where the event was not dispatched.
    """
    keys = []
    for name in ("effectkey", "dispatchid"):
        value = event.attributes.get(name)
        if not isinstance(value, str) or not value or len(value) > 256:
            raise Rejected("not-a-cloudevent", "extension attribute of a dispatch is missing or no string", name)
        keys.append(value)
    return keys[0], stable_hash("failure", event.workflow_id, keys[1])


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
