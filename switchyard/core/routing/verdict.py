"""What is decided about an event, what that rests on, and what a model answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.core.ledger.record import Action, DecidedBy


@dataclass(frozen=True)
class Verdict:
    """What is done about an event, by what, and why.

    A router of an app's own makes one with `Verdict.dispatch` or `Verdict.complete`.
    """

    action: Action
    decided_by: DecidedBy
    reason: str
    agents: tuple[str, ...] = ()
    code: str | None = None
    confidence: float | None = None
    delay_ms: int = 0

    @classmethod
    def dispatch(cls, *agents: str, reason: str, confidence: float | None = None) -> Verdict:
        """Give the event to these agents, by name. `confidence` is from 0 to 1."""
        return cls("dispatch", "router", reason, agents, confidence=confidence)

    @classmethod
    def complete(cls, reason: str) -> Verdict:
        """Nothing is left to do about the event: its branch of the workflow ends."""
        return cls("complete", "router", reason)


@dataclass(frozen=True)
class RoutingContext:
    """What is known of the workflow when one of its events is decided about.

    hop             dispatches before the event, in its causal chain
    rule            what SQL decided, None where it decided nothing
    failed          agents that failed on this event
    tokens, cost    what the workflow has used; cost in the currency of the prices, None where there are none
    next_step       how many steps of the app's sequence are done
    ancestors       `payload_hash` of each dispatch that led to the event
    dispatch_count  how many dispatches the workflow has had, further attempts not counted
    manual_retry    whether a person has sent the event again
    history         what agents have answered in this workflow, oldest first, each `{agent, type, data}`; the newest 20
    candidates      names of the agents that can take the event and have not failed on it; set for a router
    """

    hop: int = 0
    rule: Sequence[str] | None = None
    failed: Sequence[str] = ()
    tokens: int = 0
    cost: float | None = None
    next_step: int = 0
    ancestors: Collection[str] = ()
    dispatch_count: int = 0
    manual_retry: bool = False
    history: Sequence[Mapping[str, Any]] = ()
    candidates: tuple[str, ...] = ()


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
    """A model that gave no usable answer. `retry` tells that it is worth asking again, `bounded` not for ever.

    `retry_after_s` is how long the endpoint wants to be left alone.
    """

    reason: str
    message: str
    model: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    latency_ms: float = 0.0
    retry: bool = False
    bounded: bool = False
    retry_after_s: float = 0.0


def model_usage(
    outcome: ModelDecision | ModelUnavailable | None, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a record says about its model calls, by field; nothing where no model was asked.

    `before` is the same of the asks before this one, which is added.
    """
    before = before or {}
    if outcome is None:
        return dict(before)
    costs = [cost for cost in (before.get("cost"), outcome.cost) if cost is not None]
    return {
        "model": outcome.model,
        "model_calls": before.get("model_calls", 0) + outcome.calls,
        "prompt_tokens": before.get("prompt_tokens", 0) + outcome.prompt_tokens,
        "completion_tokens": before.get("completion_tokens", 0) + outcome.completion_tokens,
        "cost": sum(costs) if costs else None,
        "latency_ms": before.get("latency_ms", 0.0) + outcome.latency_ms,
    }


def tokens_and_cost(usage: Mapping[str, Any]) -> tuple[int, float]:
    """Tokens and cost in a record's fields about its model calls."""
    return usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0), usage.get("cost") or 0.0
