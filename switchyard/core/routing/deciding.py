"""Deciding about one event: rules first, then strict order and guards, then the model's answer, then the fallback.

Plain functions from what is known to a `Verdict`; none of them waits, and none of them asks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import OUT_OF_ORDER, Action, DecidedBy
from switchyard.core.registry import Agent, Registry
from switchyard.core.routing.prompt import COMPLETE, MAX_REASON, NONE


@dataclass(frozen=True)
class Verdict:
    """What is done about an event, by what, and why."""

    action: Action
    decided_by: DecidedBy
    reason: str
    agents: tuple[str, ...] = ()
    code: str | None = None
    confidence: float | None = None
    delay_ms: int = 0


@dataclass(frozen=True)
class RoutingContext:
    """What is known of the workflow when one of its events is decided about.

    hop      dispatches before the event, in its causal chain
    rule     what SQL decided, None where it did not
    failed   agents that failed on this event
    tokens, cost   what the workflow has used
    place    how many steps of the sequence are done
    ancestors  `payload_hash` of each dispatch that led to the event
    given    how many dispatches the workflow has had, further attempts not counted
    redo     whether a person has sent the event again, see `is_manual_retry`
    """

    hop: int = 0
    rule: Sequence[str] | None = None
    failed: Sequence[str] = ()
    tokens: int = 0
    cost: float | None = None
    place: int = 0
    ancestors: Collection[str] = ()
    given: int = 0
    redo: bool = False


@dataclass(frozen=True)
class ModelDecision:
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
class ModelUnavailable:
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


def without_model(registry: Registry, event: Event, known: RoutingContext) -> Verdict | None:
    """The verdict that needs no model; None where one must be asked."""
    verdict = _without_model(registry, event, known)
    return None if verdict is None else guarded(registry, event, known, verdict)


def _without_model(registry: Registry, event: Event, known: RoutingContext) -> Verdict | None:
    if known.rule is not None and not known.failed:
        return _by_rule(registry, event, known)
    if registry.ends(event.type):
        return Verdict("complete", "rule", f"{event.type} ends its branch")
    if any(event.type in registry.agents[name].accepts for name in registry.file.sequence):
        if known.failed:
            return fallback(registry, event, known.failed, "agent-failed", f"{', '.join(known.failed)} failed")
        return _by_sequence(registry, event, known)
    if not candidates(registry, event, known.failed):
        if known.failed:
            return fallback(registry, event, known.failed, "agent-failed", f"{', '.join(known.failed)} failed")
        return Verdict("dead-letter", "guard", f"no agent accepts {event.type}", code="no-agent-accepts")
    return _over_limit(registry, known)


def guarded(registry: Registry, event: Event, known: RoutingContext, verdict: Verdict) -> Verdict:
    """The verdict, or the end of the workflow where its dispatches would pass a limit or repeat what was done."""
    if verdict.action != "dispatch":
        return verdict
    most = registry.file.limits.dispatches
    if known.given + len(verdict.agents) > most:
        return stop("dispatch-limit", f"limit of {most} dispatches reached")
    again = [name for name in verdict.agents if payload_hash(name, event) in known.ancestors]
    if again and not known.failed:  # an agent that has an event may take over for one that failed
        return stop("loop", f"a loop: {', '.join(again)} had {event.type} with the same data before")
    return _over_limit(registry, known) or verdict


def stop(code: str, reason: str) -> Verdict:
    """The end of a workflow, by a guard."""
    return Verdict("stop", "guard", reason, code=code)


def payload_hash(agent: str, event: Event) -> str:
    """What an agent is given, as a short hash: the same type and data make the same."""
    data = strictjson.canonical(event.data).decode()
    return stable_hash("payload_hash", agent, event.type, data)[:16]


def by_choice(registry: Registry, event: Event, failed: Sequence[str], choice: ModelDecision) -> Verdict:
    """The verdict a model's answer stands for. Its names were checked against the candidates."""
    reason = choice.reason[:MAX_REASON]
    if choice.agents == (COMPLETE,):
        return Verdict("complete", "model", reason, confidence=choice.confidence)
    if choice.agents == (NONE,):
        return fallback(registry, event, failed, "no-usable-decision", f"the model chose none: {reason}")
    return Verdict("dispatch", "model", reason, choice.agents, confidence=choice.confidence)


def by_outcome(
    registry: Registry, event: Event, failed: Sequence[str], outcome: ModelDecision | ModelUnavailable
) -> Verdict:
    """The verdict after a model was asked, whatever came of it."""
    if isinstance(outcome, ModelDecision):
        return by_choice(registry, event, failed, outcome)
    return fallback(registry, event, failed, "no-usable-decision", f"{outcome.reason}: {outcome.message}")


def spent(outcome: ModelDecision | ModelUnavailable | None) -> dict[str, Any]:
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


def dispatch_error(registry: Registry, event: Event, action: str, agents: Sequence[str]) -> str | None:
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


def is_manual_retry(event: Event, subject: str) -> bool:
    """Whether this is the retry of a dead letter: a new beginning, which may do again what was done."""
    return event.retry > 0 and subject.startswith("event/")


def out_of_order(registry: Registry, agents: Sequence[str], place: int, *, redo: bool = False) -> str | None:
    """Why these agents may not act now, by the app's strict order; None where they may. `redo` allows earlier steps."""
    order = registry.file.sequence
    steps = {name: order.index(name) for name in agents if name in order}
    wrong = [name for name, step in steps.items() if step > place or (step < place and not redo)]
    if not wrong:
        return None
    step = f"step {place + 1} of the sequence is {order[place]}" if place < len(order) else "the sequence is done"
    return f"out of order: it is for {', '.join(wrong)}, but {step}"


def _by_sequence(registry: Registry, event: Event, known: RoutingContext) -> Verdict:
    order = registry.file.sequence
    takers = [name for name in order if event.type in registry.agents[name].accepts]
    allowed = [name for name in takers if out_of_order(registry, [name], known.place, redo=known.redo) is None]
    if allowed:
        step = order.index(allowed[-1]) + 1
        return Verdict("dispatch", "sequence", f"step {step} of {len(order)} of the sequence", (allowed[-1],))
    return Verdict("dead-letter", "guard", out_of_order(registry, takers, known.place) or "", code=OUT_OF_ORDER)


def _by_rule(registry: Registry, event: Event, known: RoutingContext) -> Verdict:
    rule = known.rule
    if not rule:
        return Verdict("complete", "rule", "the rule names no agent: the branch ends")
    problem = dispatch_error(registry, event, "dispatch", rule)
    if problem:
        code = "no-agent-accepts" if registry.agents.keys() >= set(rule) else "unknown-agent"
        return Verdict("dead-letter", "rule", f"the rule in requests.sql: {problem}", code=code)
    disorder = out_of_order(registry, rule, known.place, redo=known.redo)
    if disorder:
        return Verdict("dead-letter", "rule", f"the rule in requests.sql: {disorder}", code=OUT_OF_ORDER)
    return Verdict("dispatch", "rule", "a rule in requests.sql", tuple(dict.fromkeys(rule)))


def _over_limit(registry: Registry, known: RoutingContext) -> Verdict | None:
    limits = registry.file.limits
    if known.hop >= registry.hop_limit:
        return stop("hop-limit", f"hop limit of {registry.hop_limit} reached")
    if known.tokens >= limits.tokens:
        return stop("token-limit", f"limit of {limits.tokens} tokens reached: {known.tokens} used")
    if limits.cost is not None and known.cost is not None and known.cost >= limits.cost:
        return stop("cost-limit", f"limit of {limits.cost:g} reached: {known.cost:.4f} spent")
    return None
