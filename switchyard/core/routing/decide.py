"""Deciding about one event: rules first, then strict order and guards, then a router, a model, the fallback.

Plain functions from what is known to a `Verdict`; none of them waits, and none of them asks. The job, the function
`route_message` and the command `route` decide by these two: `before_model`, and `after_model` where that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from switchyard.core.agents_file import Agent
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import OUT_OF_ORDER
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import COMPLETE, MAX_REASON, NONE
from switchyard.core.routing.router import routed
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable, RoutingContext, Verdict


def before_model(registry: Registry, event: Event, context: RoutingContext) -> Verdict | None:
    """The verdict that needs no model; None where one must be asked. The event meets its contract."""
    verdict = _before_model(registry, event, context)
    return None if verdict is None else guarded(registry, event, context, verdict)


def after_model(
    registry: Registry, event: Event, context: RoutingContext, outcome: ModelDecision | ModelUnavailable
) -> Verdict:
    """The verdict once a model was asked, whatever came of it. Its names were checked against the candidates."""
    return guarded(registry, event, context, _by_outcome(registry, event, context.failed, outcome))


def candidates(registry: Registry, event: Event, failed: Sequence[str]) -> list[Agent]:
    """The agents a router or a model may choose from."""
    return [agent for agent in registry.accepting(event.type) if agent.name not in failed]


def guarded(registry: Registry, event: Event, context: RoutingContext, verdict: Verdict) -> Verdict:
    """The verdict, or the end of the workflow where its dispatches would pass a limit or repeat what was done."""
    if verdict.action != "dispatch":
        return verdict
    most = registry.file.limits.dispatches
    return over_dispatches(most, event, context, verdict.agents) or over_limit(registry, context) or verdict


def over_dispatches(most: int, event: Event, context: RoutingContext, agents: Sequence[str]) -> Verdict | None:
    """The end of a workflow where dispatches to these agents are more than it may have, or repeat what was done."""
    if context.dispatch_count + len(agents) > most:
        return stop("dispatch-limit", f"limit of {most} dispatches reached")
    again = [name for name in agents if payload_hash(name, event) in context.ancestors]
    if again and not context.failed:  # an agent that has an event may take over for one that failed
        return stop("loop", f"a loop: {', '.join(again)} had {event.type} with the same data before")
    return None


def stop(code: str, reason: str) -> Verdict:
    """The end of a workflow, by a guard."""
    return Verdict("stop", "guard", reason, code=code)


def over_limit(registry: Registry, context: RoutingContext) -> Verdict | None:
    """The end of a workflow that has used what it may; None where it has not."""
    limits = registry.file.limits
    if context.hop >= registry.hop_limit:
        return stop("hop-limit", f"hop limit of {registry.hop_limit} reached")
    if context.tokens >= limits.tokens:
        return stop("token-limit", f"limit of {limits.tokens} tokens reached: {context.tokens} used")
    if limits.cost is not None and context.cost is not None and context.cost >= limits.cost:
        return stop("cost-limit", f"limit of {limits.cost:g} reached: {context.cost:.4f} spent")
    return None


def payload_hash(agent: str, event: Event) -> str:
    """What an agent is given, as a short hash: the same type and data make the same."""
    return stable_hash("parcel", agent, event.content_hash)[:16]


def fallback(registry: Registry, event: Event, failed: Sequence[str], code: str, reason: str) -> Verdict:
    """The app's fallback agent where it can take the event, else a dead letter."""
    agent = registry.file.fallback
    if agent is not None and agent not in failed and event.type in registry.agents[agent].accepts:
        return Verdict("dispatch", "fallback", reason, (agent,), code)
    return Verdict("dead-letter", "fallback", reason, code=code)


def agents_error(registry: Registry, event: Event, agents: Sequence[str]) -> str | None:
    """Why an event cannot be dispatched to these agents; None where it can."""
    if not agents:
        return "it names no agent"
    for name in agents:
        agent = registry.agents.get(name)
        if agent is None:
            return f"there is no agent {name!r}"
        if event.type not in agent.accepts:
            return f"agent {name!r} does not accept {event.type}"
    return None


def dispatch_error(registry: Registry, event: Event, action: str, agents: Sequence[str]) -> str | None:
    """Why a record that was read back must not be acted on; None where it may."""
    if action != "dispatch":
        return None
    problem = agents_error(registry, event, agents)
    if problem is None and not registry.meets_contract(event):
        return f"the event does not meet the contract of {event.type}"
    return problem


def is_manual_retry(event: Event, subject: Subject) -> bool:
    """Whether this is the retry of a dead letter: a new beginning, which may do again what was done."""
    return event.retry > 0 and subject.kind == "event"


def out_of_order(
    order: Sequence[str], agents: Sequence[str], next_step: int, *, manual_retry: bool = False
) -> str | None:
    """Why these agents may not act now, by an app's strict order; None where they may.

    `manual_retry` allows earlier steps.
    """
    steps = {name: order.index(name) for name in agents if name in order}
    wrong = [name for name, step in steps.items() if step > next_step or (step < next_step and not manual_retry)]
    if not wrong:
        return None
    done = next_step >= len(order)
    due = "the sequence is done" if done else f"step {next_step + 1} of the sequence is {order[next_step]}"
    return f"out of order: it is for {', '.join(wrong)}, but {due}"


def _before_model(registry: Registry, event: Event, context: RoutingContext) -> Verdict | None:
    if context.rule is not None and not context.failed:
        return _by_rule(registry, event, context)
    if registry.ends(event.type):
        return Verdict("complete", "rule", f"{event.type} ends its branch")
    if any(event.type in registry.agents[name].accepts for name in registry.file.sequence):
        return _all_failed(registry, event, context) if context.failed else _by_sequence(registry, event, context)
    able = candidates(registry, event, context.failed)
    if not able:
        if context.failed:
            return _all_failed(registry, event, context)
        return Verdict("dead-letter", "guard", f"no agent accepts {event.type}", code="no-agent-accepts")
    over = over_limit(registry, context)
    if over is not None or registry.router is None:
        return over
    verdict, trouble = routed(registry.router, event, context, tuple(agent.name for agent in able))
    if trouble is not None:
        return fallback(registry, event, context.failed, "router-failed", trouble)
    return verdict


def _all_failed(registry: Registry, event: Event, context: RoutingContext) -> Verdict:
    return fallback(registry, event, context.failed, "agent-failed", f"{', '.join(context.failed)} failed")


def _by_outcome(
    registry: Registry, event: Event, failed: Sequence[str], outcome: ModelDecision | ModelUnavailable
) -> Verdict:
    if isinstance(outcome, ModelUnavailable):
        return fallback(registry, event, failed, "no-usable-decision", f"{outcome.reason}: {outcome.message}")
    reason = outcome.reason[:MAX_REASON]
    if outcome.agents == (COMPLETE,):
        return Verdict("complete", "model", reason, confidence=outcome.confidence)
    if outcome.agents == (NONE,):
        return fallback(registry, event, failed, "no-usable-decision", f"the model chose none: {reason}")
    return Verdict("dispatch", "model", reason, outcome.agents, confidence=outcome.confidence)


def _by_sequence(registry: Registry, event: Event, context: RoutingContext) -> Verdict:
    order = registry.file.sequence
    takers = [name for name in order if event.type in registry.agents[name].accepts]
    allowed = [
        name
        for name in takers
        if out_of_order(order, [name], context.next_step, manual_retry=context.manual_retry) is None
    ]
    if allowed:
        step = order.index(allowed[-1]) + 1
        return Verdict("dispatch", "sequence", f"step {step} of {len(order)} of the sequence", (allowed[-1],))
    return Verdict("dead-letter", "guard", out_of_order(order, takers, context.next_step) or "", code=OUT_OF_ORDER)


def _by_rule(registry: Registry, event: Event, context: RoutingContext) -> Verdict:
    rule = context.rule
    if not rule:
        return Verdict("complete", "rule", "the rule names no agent: the branch ends")
    problem = agents_error(registry, event, rule)
    if problem:
        code = "no-agent-accepts" if registry.agents.keys() >= set(rule) else "unknown-agent"
        return Verdict("dead-letter", "rule", f"the rule in requests.sql: {problem}", code=code)
    disorder = out_of_order(registry.file.sequence, rule, context.next_step, manual_retry=context.manual_retry)
    if disorder:
        return Verdict("dead-letter", "rule", f"the rule in requests.sql: {disorder}", code=OUT_OF_ORDER)
    return Verdict("dispatch", "rule", "a rule in requests.sql", tuple(dict.fromkeys(rule)))
