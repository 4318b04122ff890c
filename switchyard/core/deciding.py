"""Deciding about one event: rules first, then guards, then the model's answer, then the fallback.

Plain functions from what is known to a `Verdict`; none of them waits, and none of them asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.core.decision import Action, DecidedBy
from switchyard.core.event import Event
from switchyard.core.prompt import COMPLETE, MAX_REASON, NONE
from switchyard.core.registry import Agent, Registry


@dataclass(frozen=True)
class Verdict:
    """What is done about an event, by what, and why."""

    action: Action
    decided_by: DecidedBy
    reason: str
    agents: tuple[str, ...] = ()
    code: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Choice:
    """A model's usable answer to a routing request. `latency_ms` covers all calls."""

    agents: tuple[str, ...]
    reason: str
    confidence: float
    model: str
    calls: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    latency_ms: float = 0.0


@dataclass(frozen=True)
class NoChoice:
    """A model that gave no usable answer. `retry` tells that it could not be reached and is worth asking again."""

    reason: str
    message: str
    model: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    latency_ms: float = 0.0
    retry: bool = False


def candidates(registry: Registry, event: Event, failed: Sequence[str]) -> list[Agent]:
    """The agents a router may choose from."""
    return [agent for agent in registry.accepting(event.type) if agent.name not in failed]


def without_model(
    registry: Registry, event: Event, hop: int, rule: Sequence[str] | None, failed: Sequence[str]
) -> Verdict | None:
    """The verdict that needs no model; None where one must be asked. `hop` counts the dispatches before the event."""
    if rule is not None and not failed:
        return _by_rule(registry, event, hop, rule)
    if registry.ends(event.type):
        return Verdict("complete", "rule", f"{event.type} ends its branch")
    if not candidates(registry, event, failed):
        if failed:
            return fallback(registry, event, failed, "agent-failed", f"{', '.join(failed)} failed")
        return Verdict("dead-letter", "guard", f"no agent accepts {event.type}", code="no-agent-accepts")
    return _over_limit(registry, hop)


def by_choice(registry: Registry, event: Event, failed: Sequence[str], choice: Choice) -> Verdict:
    """The verdict a model's answer stands for. Its names were checked against the candidates."""
    reason = choice.reason[:MAX_REASON]
    if choice.agents == (COMPLETE,):
        return Verdict("complete", "model", reason, confidence=choice.confidence)
    if choice.agents == (NONE,):
        return fallback(registry, event, failed, "no-usable-decision", f"the model chose none: {reason}")
    return Verdict("dispatch", "model", reason, choice.agents, confidence=choice.confidence)


def by_outcome(registry: Registry, event: Event, failed: Sequence[str], outcome: Choice | NoChoice) -> Verdict:
    """The verdict after a model was asked, whatever came of it."""
    if isinstance(outcome, Choice):
        return by_choice(registry, event, failed, outcome)
    return fallback(registry, event, failed, "no-usable-decision", f"{outcome.reason}: {outcome.message}")


def spent(outcome: Choice | NoChoice | None) -> dict[str, Any]:
    """What a record says about its model calls, by field; nothing where no model was asked."""
    if outcome is None:
        return {}
    return {
        "model": outcome.model,
        "model_calls": outcome.calls,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "cost": outcome.cost,
        "latency_ms": outcome.latency_ms,
    }


def fallback(registry: Registry, event: Event, failed: Sequence[str], code: str, reason: str) -> Verdict:
    """The app's fallback agent where it can take the event, else a dead letter."""
    agent = registry.file.fallback
    if agent is not None and agent not in failed and event.type in registry.agents[agent].accepts:
        return Verdict("dispatch", "fallback", reason, (agent,), code)
    return Verdict("dead-letter", "fallback", reason, code=code)


def objection(registry: Registry, event: Event, action: str, agents: Sequence[str]) -> str | None:
    """Why a record that was read back must not be acted on; None where it may."""
    if action != "dispatch":
        return None
    if not agents:
        return "it names no agent"
    for name in agents:
        agent = registry.agents.get(name)
        if agent is None:
            return f"there is no agent {name!r}"
        if event.type not in agent.accepts:
            return f"agent {name!r} does not accept {event.type}"
    contract = registry.contracts.get(event.type)
    if contract is None or not contract.accepts(event.data):
        return f"the event does not meet the contract of {event.type}"
    return None


def _by_rule(registry: Registry, event: Event, hop: int, rule: Sequence[str]) -> Verdict:
    if not rule:
        return Verdict("complete", "rule", "the rule names no agent: the branch ends")
    problem = objection(registry, event, "dispatch", rule)
    if problem:
        code = "no-agent-accepts" if registry.agents.keys() >= set(rule) else "unknown-agent"
        return Verdict("dead-letter", "rule", f"the rule in requests.sql: {problem}", code=code)
    over = _over_limit(registry, hop)
    return over or Verdict("dispatch", "rule", "a rule in requests.sql", tuple(dict.fromkeys(rule)))


def _over_limit(registry: Registry, hop: int) -> Verdict | None:
    if hop < registry.hop_limit:
        return None
    return Verdict("stop", "guard", f"hop limit of {registry.hop_limit} reached", code="hop-limit")
