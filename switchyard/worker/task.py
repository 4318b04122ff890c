"""What a handler is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Engine

from switchyard.core import strictjson
from switchyard.core.agents_file import Agent
from switchyard.core.contract import Contract
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.model import AnswerCheck, ModelFailure, Reply
from switchyard.core.settings import Settings
from switchyard.worker.memory.backend import AgentMemory


@dataclass(frozen=True)
class Answer:
    """One event a handler answers with."""

    type: str
    data: Any


class HandlerModel(Protocol):
    """The seam between a handler and a model; a fake is one method."""

    def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck | None = None,
    ) -> Reply:
        """Return JSON that meets `schema` and `check`, or raise ModelFailure."""
        ...


@dataclass(frozen=True)
class Task:
    """One event for one agent.

    Pass `effect_key` on to foreign systems (as Message-ID, as idempotency key): it is the same at every attempt.
    """

    event: Event
    agent: Agent
    effect_key: str
    namespace: str
    settings: Settings
    database: Engine
    contracts: Mapping[str, Contract]
    memory: AgentMemory
    model: HandlerModel | None = None

    @property
    def data(self) -> Any:
        return self.event.data

    def think(
        self,
        instructions: str,
        facts: Mapping[str, Any],
        type: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Ask the model for data that meets the contract of `type`, by default the agent's only emitted type.

        With `fields`, the model is asked for these fields of the contract alone. Raises ModelFailure.
        """
        contract = self._contract(type or self.only_type, fields)
        if self.model is None:
            raise ModelFailure("refused", "No model is set: OPENAI_BASE_URL and SWITCHYARD_MODEL name one.")
        reply = self.model.ask(
            [
                {"role": "system", "content": instructions},
                {"role": "user", "content": strictjson.dumps(dict(facts))},
            ],
            contract.json_schema(),
            name=f"{self.agent.name}-{contract.type}".replace(".", "-")[:64],
            purpose=f"agent/{self.namespace}/{self.agent.name}",
            check=lambda value: _problem(contract, value),
        )
        value: dict[str, Any] = reply.value
        return value

    @property
    def only_type(self) -> str:
        """The agent's only emitted type. Raises ValueError where it emits several."""
        if len(self.agent.emits) != 1:
            raise ValueError(f"{self.agent.name} emits {', '.join(self.agent.emits)}; say which type is meant")
        return self.agent.emits[0]

    def _contract(self, type: str, fields: Sequence[str] | None) -> Contract:
        contract = self.contracts[type]
        if fields is None:
            return contract
        known = {field["name"]: field for field in contract.schema["fields"]}
        return Contract.of(type, {**contract.schema, "fields": [known[name] for name in fields]})


Handler = Callable[[Task], Answer | dict[str, Any] | list[Answer] | None]


def _problem(contract: Contract, value: Any) -> str | None:
    try:
        contract.check(value)
    except Rejected as error:
        return f"{error.field or 'the answer'}: {error.message}"
    return None
