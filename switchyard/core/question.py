"""What to ask a model about an event that neither a rule nor a guard decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from switchyard.core import deciding
from switchyard.core.event import Event
from switchyard.core.prompt import choice_problem, choice_schema, routing_messages
from switchyard.core.registry import Registry


@dataclass(frozen=True)
class Question:
    """A routing request, ready for a model client."""

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    check: Callable[[Any], str | None]


def question(
    registry: Registry,
    event: Event,
    failed: tuple[str, ...] = (),
    answered: list[dict[str, Any]] | None = None,
) -> Question:
    """What to ask a model about an event that neither a rule nor a guard decides."""
    choices = deciding.candidates(registry, event, failed)
    names = [agent.name for agent in choices]
    messages = routing_messages(
        registry,
        {"type": event.type, "data": event.data},
        choices,
        answered or (),
        [{"agent": name} for name in failed],
    )
    return Question(messages, choice_schema(choices), lambda answer: choice_problem(answer, names))
