"""What keeps an app's `agents.yaml` from working, where each key by itself is in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from switchyard.core.agents_file import EVENT_TYPE, Agent, AgentsFile
from switchyard.core.app_problem import AppProblem, YamlPath
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.settings import Settings
from switchyard.core.topics import LARGEST_EVENT, LARGEST_RECORD

_NEAR = 0.88
"""How near a type's name is to another one's for it to be taken as misspelt; 1 is equal."""


def problems_of(file: AgentsFile, contracts: Iterable[str]) -> list[AppProblem]:
    """Each thing in an app's `agents.yaml` that cannot work. Empty where all of it can.

    `contracts` are the event types that have one. A misspelt type is one problem: the other checks take it as meant.
    """
    written = set(contracts)
    misspelt = _misspelt(file, written)
    problems = [
        AppProblem(
            f"{where} names the event type {name!r}, which has no contract; did you mean {misspelt[name]!r}?", path=path
        )
        for name, (path, where) in _first_uses(file).items()
        if name in misspelt
    ]
    meant = _with_types(file, misspelt)
    return [*problems, *_limits(meant), *_names(meant), *_types(meant, written), *_structure(meant)]


def _limits(file: AgentsFile) -> list[AppProblem]:
    if file.limits.event_bytes <= LARGEST_EVENT:
        return []
    message = (
        f"limits.event_bytes is {file.limits.event_bytes}; write at most {LARGEST_EVENT}, for Kafka's topics take "
        f"records of {LARGEST_RECORD} bytes, and an event can be twice as large in the ledger"
    )
    return [AppProblem(message, path=("limits", "event_bytes"))]


def unasked_senders(file: AgentsFile, settings: Settings) -> list[AppProblem]:
    """A problem for each agent that would send mails outside without anybody having said whether a person is asked."""
    if settings.smtp is None:
        return []
    return [
        AppProblem(
            f"agent {agent.name!r} sends mails by the server of SWITCHYARD_SMTP, and it is not said whether a person "
            "is asked before; write `approval: required` here, or `approval: never`",
            path=("agents", number),
        )
        for number, agent in enumerate(file.agents)
        if agent.sends is not None and agent.approval is None
    ]


def _structure(file: AgentsFile) -> list[AppProblem]:
    return [*_sequence(file), *_gathers(file), *_unreachable(file), *_endless(file), *_alike(file)]


def _uses(file: AgentsFile) -> Iterator[tuple[str, YamlPath, str]]:
    """Every place that names an event type: the type, its path, and whose it is in words."""
    for key in ("starts", "ends"):
        yield from ((name, (key, place), key) for place, name in enumerate(getattr(file, key)))
    yield from ((item.type, ("inputs", place, "type"), f"input {item.topic}") for place, item in enumerate(file.inputs))
    for number, agent in enumerate(file.agents):
        for key in ("accepts", "emits"):
            for place, name in enumerate(getattr(agent, key)):
                yield name, ("agents", number, key, place), f"agent {agent.name}"


def _first_uses(file: AgentsFile) -> dict[str, tuple[YamlPath, str]]:
    """Each event type with the first place that names it."""
    first: dict[str, tuple[YamlPath, str]] = {}
    for name, path, where in _uses(file):
        first.setdefault(name, (path, where))
    return first


def _misspelt(file: AgentsFile, contracts: set[str]) -> dict[str, str]:
    """Types without a contract whose name is nearly that of one with a contract, and what they are meant to be."""
    available = sorted(contracts | {item.result for item in file.gathers})
    nearest = {
        name: get_close_matches(name, available, 1, _NEAR) for name in _first_uses(file) if name not in available
    }
    return {name: matches[0] for name, matches in nearest.items() if matches}


def _with_types(file: AgentsFile, meant: Mapping[str, str]) -> AgentsFile:
    """The same file with event types replaced."""

    def changed(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(meant.get(name, name) for name in names)

    agents = [
        agent.model_copy(update={"accepts": changed(agent.accepts), "emits": changed(agent.emits)})
        for agent in file.agents
    ]
    inputs = [item.model_copy(update={"type": meant.get(item.type, item.type)}) for item in file.inputs]
    update: dict[str, Any] = {"starts": changed(file.starts), "ends": changed(file.ends)}
    return file.model_copy(update={**update, "agents": tuple(agents), "inputs": tuple(inputs)})


def _names(file: AgentsFile) -> list[AppProblem]:
    names = [agent.name for agent in file.agents]
    return [
        AppProblem(f"agent {name!r} is named twice", path=("agents", number, "name"))
        for number, name in enumerate(names)
        if names.index(name) < number
    ]


def _types(file: AgentsFile, contracts: set[str]) -> list[AppProblem]:
    """What is wrong with single event types, and with the keys that name one."""
    used = _first_uses(file)
    results = {item.result for item in file.gathers}
    problems = [
        AppProblem(f"event type {name!r} ({where}) has no contract; write contracts/{name}.avsc", path=path)
        for name, (path, where) in used.items()
        if name not in contracts | results
    ]
    for name, (path, _) in used.items():
        if name == FAILED_TYPE:
            problems.append(AppProblem(f"event type {name!r} is reserved", path=path))
        if not EVENT_TYPE.fullmatch(name):
            problems.append(
                AppProblem(f"event type {name!r} must be lower-case words joined by dots or dashes", path=path)
            )
    problems += [
        AppProblem("no agent uses it, and neither do starts, ends and inputs", file=f"contracts/{name}.avsc")
        for name in sorted(contracts - results - used.keys())
    ]
    names = [agent.name for agent in file.agents]
    if file.fallback is not None and file.fallback not in names:
        message = f"fallback {file.fallback!r} is no agent; there are {', '.join(names)}"
        problems.append(AppProblem(message, path=("fallback",)))
    return problems + [
        AppProblem(f"input {item.topic!r} makes {item.type!r}, which is not under starts", path=("inputs", number))
        for number, item in enumerate(file.inputs)
        if item.type not in file.starts
    ]


def _sequence(file: AgentsFile) -> list[AppProblem]:
    """What keeps a strict order from working."""
    order = file.sequence
    agents = {agent.name: agent for agent in file.agents}
    problems = []
    for place, name in enumerate(order):
        if name not in agents:
            problems.append(AppProblem(f"sequence names {name!r}, which is no agent", path=("sequence", place)))
        elif order.index(name) < place:
            problems.append(AppProblem(f"sequence names {name!r} twice", path=("sequence", place)))
    if file.fallback in order:
        message = f"fallback {file.fallback!r} stands in the sequence, whose order it could break"
        problems.append(AppProblem(message, path=("fallback",)))
    if problems:
        return problems
    return [
        AppProblem(
            f"in the sequence {after!r} follows {before!r}, but accepts nothing that it emits",
            path=("sequence", place),
        )
        for place, (before, after) in enumerate(pairwise(order), 1)
        if not set(agents[before].emits) & set(agents[after].accepts)
    ]


def _gathers(file: AgentsFile) -> list[AppProblem]:
    """What keeps a gather from working."""
    agents = {agent.name for agent in file.agents}
    problems = []
    for number, item in enumerate(file.gathers):
        takers = {agent.name for agent in file.agents if item.on in agent.accepts}
        if not takers:
            problems.append(AppProblem(f"gather on {item.on!r}: no agent accepts it", path=("gathers", number)))
        if (item.policy == "quorum") != (item.quorum is not None):
            message = f"gather on {item.on!r}: policy quorum and the key quorum belong together"
            problems.append(AppProblem(message, path=("gathers", number)))
        elif item.quorum is not None and item.quorum > len(takers):
            message = f"gather on {item.on!r}: a quorum of {item.quorum}, but {len(takers)} agents accept it"
            problems.append(AppProblem(message, path=("gathers", number, "quorum")))
        unknown = ", ".join(sorted(item.weights.keys() - agents))
        if unknown:
            message = f"gather on {item.on!r}: weights for {unknown}, which is no agent"
            problems.append(AppProblem(message, path=("gathers", number, "weights")))
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


def _unreachable(file: AgentsFile) -> list[AppProblem]:
    first = [agent.name for agent in file.agents if set(agent.accepts) & set(file.starts)]
    reached = _closure(_next(file), first)
    return [
        AppProblem(
            f"nothing can reach agent {agent.name!r}: no agent it could follow emits {' or '.join(agent.accepts)}",
            path=("agents", number),
        )
        for number, agent in enumerate(file.agents)
        if agent.name not in reached
    ]


def _endless(file: AgentsFile) -> list[AppProblem]:
    """Cycles that no branch leaves: none of their agents emits a type that ends, or that only others take."""
    graph = _next(file)
    problems = []
    done: set[str] = set()
    for number, agent in enumerate(file.agents):
        after = _closure(graph, graph[agent.name])
        cycle = {name for name in after if agent.name in _closure(graph, graph[name])} | {agent.name}
        if agent.name not in after or agent.name in done:
            continue
        done |= cycle
        emitted = {name for a in file.agents if a.name in cycle for name in a.emits}
        inside = {name for a in file.agents if a.name in cycle for name in a.accepts}
        if not (emitted & set(file.ends)) and not emitted - inside and file.complete is None:
            message = (
                f"agents {', '.join(sorted(cycle))} can hand work to each other for ever; list a type under "
                "ends:, or say under complete: when a workflow is complete"
            )
            problems.append(AppProblem(message, path=("agents", number)))
    return problems


def _alike(file: AgentsFile) -> list[AppProblem]:
    """Pairs that a router cannot tell apart: Jaccard similarity of the descriptions' words over 0.8."""
    words = [set(re.findall(r"[a-z]+", agent.description.lower())) for agent in file.agents]
    return [
        AppProblem(
            f"the descriptions of {a.name!r} and {b.name!r} are too alike for a router to choose between",
            path=("agents", i, "description"),
        )
        for i, a in enumerate(file.agents)
        for j, b in enumerate(file.agents[:i])
        if a.name != b.name
        and set(a.accepts) & set(b.accepts)
        and len(words[i] & words[j]) > 0.8 * len(words[i] | words[j])
    ]
