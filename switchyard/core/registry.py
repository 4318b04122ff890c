"""The registry: all agents of an app, read from `agents.yaml`.

The one source for prompts, topics, allow-lists and contracts. It travels to Flink as JSON, so that a TaskManager
needs no file of the app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from switchyard.core import strictjson
from switchyard.core.agents_file import Agent, AgentsFile
from switchyard.core.contract import Contract
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.extensions import AppExtensions, Extensions
from switchyard.core.ids import stable_hash

NO_EXTENSIONS = Extensions()


def _list_of(name: str, **fields: str) -> dict[str, Any]:
    items = {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}
    return {"type": "array", "items": items}


FAILED_TYPE = "agent.failed"
FAILED_CONTRACT = {
    "type": "record",
    "name": "agent_failed",
    "fields": [
        {"name": "agent", "type": "string", "maxLength": 64},
        {"name": "reason", "type": "string", "maxLength": 64},
        {"name": "message", "type": "string", "maxLength": 4000},
        {"name": "retryable", "type": "boolean", "default": True},
    ],
}


GATHERED = {
    "type": "record",
    "name": "gathered",
    "fields": [
        {"name": "cause", "type": "string"},
        {"name": "policy", "type": "string"},
        {"name": "answers", "type": _list_of("answer", agent="string", type="string", data="string")},
        {"name": "missing", "type": _list_of("absence", agent="string", reason="string")},
        {
            "name": "votes",
            "type": _list_of("ballot", agent="string", vote="string", weight="double", confidence="double"),
        },
        {"name": "vote", "type": ["null", "string"]},
        {"name": "dissent", "type": {"type": "array", "items": "string"}},
        {"name": "confidence", "type": "double"},
        {"name": "complete", "type": "boolean"},
    ],
}


class Registry:
    """The agents of an app with the contracts of its event types.

    `router_prompt` is the text of the app's `router.md`. Build it with `switchyard.core.app.App`, which checks it as
    a whole, or from `json()` of another.
    """

    def __init__(
        self,
        agents_file: AgentsFile,
        contracts: Mapping[str, Mapping[str, Any]],
        router_prompt: str,
        extensions: Extensions | AppExtensions = NO_EXTENSIONS,
    ) -> None:
        self.file = agents_file
        self.extensions = extensions
        self.router_prompt = router_prompt
        self.gathers = {item.on: item for item in agents_file.gathers}
        self._built_in: dict[str, Any] = {item.result: GATHERED for item in agents_file.gathers}
        self._built_in[FAILED_TYPE] = FAILED_CONTRACT
        schemas = {**contracts, **self._built_in}
        self.contracts = {name: Contract.of(name, dict(schema)) for name, schema in schemas.items()}
        self.agents = {agent.name: agent for agent in agents_file.agents}

    @property
    def router(self) -> Callable[..., Any] | None:
        return self.extensions.router

    @property
    def app(self) -> str:
        return self.file.app

    @property
    def hop_limit(self) -> int:
        """The longest causal chain a workflow may have; by default the number of agents + 1."""
        return self.file.limits.hops or len(self.agents) + 1

    def open_dispatches(self, agent: str) -> int:
        """The most events an agent has at once."""
        definition = self.agents.get(agent)
        return (definition.open_dispatches if definition else None) or self.file.limits.open_dispatches

    def ends(self, event_type: str) -> bool:
        """Whether an event of this type ends its branch without a decision."""
        return event_type in self.file.ends

    def accepting(self, event_type: str) -> list[Agent]:
        """The agents that can take this type, in the order of the file."""
        return [agent for agent in self.agents.values() if event_type in agent.accepts]

    def check(self, event: Event, *, outside: bool = False) -> None:
        """Raise Rejected where the event's type is unknown or its data breaks the contract.

        `outside`: it comes from outside; see `Contract.check`.
        """
        contract = self.contracts.get(event.type)
        if contract is None:
            types = ", ".join(sorted(self.contracts))
            raise Rejected("unknown-type", f"no contract for {event.type!r}; there are {types}", "type")
        try:
            contract.check(event.data, outside=outside)
        except Rejected as error:
            raise Rejected(error.reason, error.message, "data." + error.field if error.field else "data") from None

    def meets_contract(self, event: Event) -> bool:
        """Whether the event's type is known and its data keeps the contract."""
        contract = self.contracts.get(event.type)
        return contract is not None and contract.accepts(event.data)

    def json(self) -> str:
        """Everything a decision rests on, as JSON text; `from_json` reads it."""
        return strictjson.dumps(self._object())

    @classmethod
    def from_json(cls, text: str, extensions: Extensions | AppExtensions = NO_EXTENSIONS) -> Registry:
        value = strictjson.loads(text)
        return cls(AgentsFile.model_validate(value["agents"]), value["contracts"], value["router_prompt"], extensions)

    @cached_property
    def version(self) -> str:
        """Hash of the agents and their contracts."""
        value = self._object()
        return stable_hash(strictjson.canonical([value["agents"], value["contracts"]]).decode())[:12]

    @cached_property
    def prompt_version(self) -> str:
        """Hash of the router's prompt."""
        return stable_hash(self.router_prompt)[:12]

    def _object(self) -> dict[str, Any]:
        contracts = {name: item.schema for name, item in self.contracts.items() if name not in self._built_in}
        return {
            "agents": self.file.model_dump(mode="json"),
            "contracts": contracts,
            "router_prompt": self.router_prompt,
        }
