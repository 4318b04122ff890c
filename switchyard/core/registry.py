"""The registry: all agents of an app, read from `agents.yaml`.

The one source for prompts, topics, allow-lists and contracts. It travels to Flink as JSON, so that a TaskManager
needs no file of the app.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from switchyard.core import strictjson
from switchyard.core.agents_file import EVENT_TYPE, Agent, AgentsFile
from switchyard.core.contract import Contract
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.extensions import Extensions
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
        {"name": "agent", "type": "string"},
        {"name": "reason", "type": "string"},
        {"name": "message", "type": "string"},
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
        extensions: Extensions = NO_EXTENSIONS,
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
        known = self.agents.get(agent)
        return (known.open_dispatches if known else None) or self.file.limits.open_dispatches

    def ends(self, event_type: str) -> bool:
        """Whether an event of this type ends its branch without a decision."""
        return event_type in self.file.ends

    def accepting(self, event_type: str) -> list[Agent]:
        """The agents that can take this type, in the order of the file."""
        return [agent for agent in self.agents.values() if event_type in agent.accepts]

    def check(self, event: Event) -> None:
        """Raise Rejected where the event's type is unknown or its data breaks the contract."""
        contract = self.contracts.get(event.type)
        if contract is None:
            known = ", ".join(sorted(self.contracts))
            raise Rejected("unknown-type", f"no contract for {event.type!r}; there are {known}", "type")
        try:
            contract.check(event.data)
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
    def from_json(cls, text: str, extensions: Extensions = NO_EXTENSIONS) -> Registry:
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


def problems_of(file: AgentsFile, contracts: Iterable[str]) -> list[str]:
    """One sentence for each thing in an app's `agents.yaml` that cannot work. Empty where it can."""
    results = {item.result for item in file.gathers}
    known = set(contracts) | results
    agents = file.agents
    names = [agent.name for agent in agents]
    problems = [f"agent {name!r} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    used = {
        **dict.fromkeys(file.starts, "starts"),
        **dict.fromkeys(file.ends, "ends"),
        **{item.type: f"input {item.topic}" for item in file.inputs},
    }
    for agent in agents:
        used.update(dict.fromkeys((*agent.accepts, *agent.emits), f"agent {agent.name}"))
    problems += [
        f"event type {name!r} ({where}) has no contract; write contracts/{name}.avsc"
        for name, where in used.items()
        if name not in known
    ]
    problems += [f"event type {name!r} is reserved" for name in used if name == FAILED_TYPE]
    problems += [
        f"event type {name!r} must be lower-case words joined by dots or dashes"
        for name in used
        if not EVENT_TYPE.fullmatch(name)
    ]
    problems += [f"contracts/{name}.avsc is used by no agent" for name in sorted(known - results - used.keys())]
    if file.fallback is not None and file.fallback not in names:
        problems.append(f"fallback {file.fallback!r} is no agent; there are {', '.join(names)}")
    problems += [
        f"input {item.topic!r} makes {item.type!r}, which is not under starts"
        for item in file.inputs
        if item.type not in file.starts
    ]
    return problems + _sequence(file) + _gathers(file) + _unreachable(file) + _endless(file) + _alike(file)


def _sequence(file: AgentsFile) -> list[str]:
    """What keeps a strict order from working."""
    order = file.sequence
    agents = {agent.name: agent for agent in file.agents}
    problems = [f"sequence names {name!r}, which is no agent" for name in order if name not in agents]
    problems += [f"sequence names {name!r} twice" for name in sorted({n for n in order if order.count(n) > 1})]
    if file.fallback in order:
        problems.append(f"fallback {file.fallback!r} stands in the sequence, whose order it could break")
    if problems:
        return problems
    return [
        f"in the sequence {after!r} follows {before!r}, but accepts nothing that it emits"
        for before, after in pairwise(order)
        if not set(agents[before].emits) & set(agents[after].accepts)
    ]


def _gathers(file: AgentsFile) -> list[str]:
    """What keeps a gather from working."""
    agents = {agent.name for agent in file.agents}
    problems = []
    for item in file.gathers:
        takers = {agent.name for agent in file.agents if item.on in agent.accepts}
        if not takers:
            problems.append(f"gather on {item.on!r}: no agent accepts it")
        if (item.policy == "quorum") != (item.quorum is not None):
            problems.append(f"gather on {item.on!r}: policy quorum and the key quorum belong together")
        elif item.quorum is not None and item.quorum > len(takers):
            problems.append(f"gather on {item.on!r}: a quorum of {item.quorum}, but {len(takers)} agents accept it")
        unknown = ", ".join(sorted(item.weights.keys() - agents))
        if unknown:
            problems.append(f"gather on {item.on!r}: weights for {unknown}, which is no agent")
    return problems


def _next(file: AgentsFile) -> dict[str, set[str]]:
    """Agent → the agents that take what it emits, or what a gather of its answers results in."""
    results = {item.on: item.result for item in file.gathers}

    def given(agent: Agent) -> set[str]:
        return {*agent.emits, *(results[name] for name in agent.accepts if name in results)}

    return {a.name: {b.name for b in file.agents if given(a) & set(b.accepts) - set(file.ends)} for a in file.agents}


def _closure(graph: Mapping[str, set[str]], start: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    stack = list(start)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(graph[name])
    return seen


def _unreachable(file: AgentsFile) -> list[str]:
    first = [agent.name for agent in file.agents if set(agent.accepts) & set(file.starts)]
    reached = _closure(_next(file), first)
    return [
        f"nothing can reach agent {agent.name!r}: no agent it could follow emits {' or '.join(agent.accepts)}"
        for agent in file.agents
        if agent.name not in reached
    ]


def _endless(file: AgentsFile) -> list[str]:
    """Cycles that no branch leaves: none of their agents emits a type that ends, or that only others take."""
    graph = _next(file)
    problems = []
    done: set[str] = set()
    for agent in file.agents:
        after = _closure(graph, graph[agent.name])
        cycle = {name for name in after if agent.name in _closure(graph, graph[name])} | {agent.name}
        if agent.name not in after or agent.name in done:
            continue
        done |= cycle
        emitted = {name for a in file.agents if a.name in cycle for name in a.emits}
        inside = {name for a in file.agents if a.name in cycle for name in a.accepts}
        if not (emitted & set(file.ends)) and not emitted - inside and file.complete is None:
            problems.append(
                f"agents {', '.join(sorted(cycle))} can hand work to each other for ever; list a type under "
                "ends:, or say under complete: when a workflow is complete"
            )
    return problems


def _alike(file: AgentsFile) -> list[str]:
    """Pairs that a router cannot tell apart: Jaccard similarity of the descriptions' words over 0.8."""
    words = [set(re.findall(r"[a-z]+", agent.description.lower())) for agent in file.agents]
    return [
        f"the descriptions of {a.name!r} and {b.name!r} are too alike for a router to choose between"
        for i, a in enumerate(file.agents)
        for j, b in enumerate(file.agents[:i])
        if a.name != b.name
        and set(a.accepts) & set(b.accepts)
        and len(words[i] & words[j]) > 0.8 * len(words[i] | words[j])
    ]
