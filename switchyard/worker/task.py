"""What a handler is given and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from switchyard.core.event import Event
from switchyard.worker.memory.backend import AgentMemory
from switchyard.worker.thinking import Thinker


@dataclass(frozen=True)
class Answer:
    """One event that a handler answers with: its type, one of the agent's `emits`, and data that keeps its contract."""

    type: str
    data: Any


@dataclass(frozen=True)
class Task:
    """One event for one agent, and what its handler may use.

    event: the CloudEvent; its data keeps the contract of its type.
    agent: the agent's name.
    namespace: the namespace that the app runs in.
    effect_key: the same at every attempt at this event; pass it on to foreign systems (as Message-ID, as idempotency
        key), so that a repeated attempt has no second effect there.
    deadline: until when the handler may take, as an aware time: the agent's deadline after its start. Then an
        `async def` handler is cancelled, any other left to itself, and the answer is `agent.failed`.
    memory: what the agent remembers, by subject.
    database: the SQLAlchemy engine that all workers of the app share.
    """

    event: Event
    agent: str
    namespace: str
    effect_key: str
    deadline: datetime
    memory: AgentMemory
    database: Engine
    _thinker: Thinker = field(repr=False)

    @property
    def data(self) -> Any:
        """The event's data."""
        return self.event.data

    @property
    def language_model(self) -> str | None:
        """The name of the language model behind `think`; None where the offline model stands in for one."""
        return self._thinker.language_model

    def think(
        self,
        instructions: str,
        facts: Mapping[str, Any],
        type: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Ask the model for data that meets the contract of `type`, by default the agent's only emitted type.

        With `fields`, the model is asked for these fields of the contract alone. Blocks until the answer is there: an
        `async def` handler awaits `think_async`. Raises ModelFailure, which a handler need not catch.
        """
        return self._thinker.think(instructions, facts, type, fields)

    async def think_async(
        self,
        instructions: str,
        facts: Mapping[str, Any],
        type: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """As `think`, for an `async def` handler: other handlers go on meanwhile."""
        return await asyncio.to_thread(self.think, instructions, facts, type, fields)


Returned = Answer | dict[str, Any] | list[Answer] | None
Handler = Callable[[Task], Returned | Awaitable[Returned]]
