"""How a handler asks the model for data that keeps a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from switchyard.core import strictjson
from switchyard.core.agents_file import Agent
from switchyard.core.contract import Contract
from switchyard.core.errors import Rejected
from switchyard.core.model import AnswerCheck, ModelFailure, Reply
from switchyard.core.model.trimming import cut

PROMPT_BYTES = 128 * 1024
"""The most that the facts of one ask may hold."""


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
class Thinker:
    """One agent's way to the model, which is None where none is set. `contracts` are by event type.

    `language_model` is the model's name; None where the offline model stands in for one.
    """

    agent: Agent
    namespace: str
    contracts: Mapping[str, Contract]
    model: HandlerModel | None
    language_model: str | None

    def think(
        self, instructions: str, facts: Mapping[str, Any], type: str | None, fields: Sequence[str] | None
    ) -> dict[str, Any]:
        """Return what the model answers; facts beyond `PROMPT_BYTES` are cut, with a mark where.

        Raises ModelFailure, ValueError where the type is not clear.
        """
        contract = self._contract(type or self._only_type(), fields)
        if self.model is None:
            raise ModelFailure("refused", "No model is set: OPENAI_BASE_URL and SWITCHYARD_MODEL name one.")
        reply = self.model.ask(
            [
                {"role": "system", "content": instructions},
                {"role": "user", "content": strictjson.dumps(cut(dict(facts), PROMPT_BYTES))},
            ],
            contract.json_schema(),
            name=f"{self.agent.name}-{contract.type}".replace(".", "-")[:64],
            purpose=f"agent/{self.namespace}/{self.agent.name}",
            check=lambda value: _problem(contract, value),
        )
        value: dict[str, Any] = reply.value
        return value

    def _only_type(self) -> str:
        if len(self.agent.emits) != 1:
            raise ValueError(f"{self.agent.name} emits {', '.join(self.agent.emits)}; say which type is meant")
        return self.agent.emits[0]

    def _contract(self, type: str, fields: Sequence[str] | None) -> Contract:
        contract = self.contracts[type]
        if fields is None:
            return contract
        by_name = {field["name"]: field for field in contract.schema["fields"]}
        return Contract.of(type, {**contract.schema, "fields": [by_name[name] for name in fields]})


def _problem(contract: Contract, value: Any) -> str | None:
    try:
        contract.check(value)
    except Rejected as error:
        return f"{error.field or 'the answer'}: {error.message}"
    return None
