"""What to ask a model about an event that neither a rule nor a guard decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from switchyard.core.event import Event
from switchyard.core.model.reply import ANSWER_TOKENS
from switchyard.core.registry import Registry
from switchyard.core.routing import decide
from switchyard.core.routing.prompt import PROMPT_BYTES, choice_problem, choice_schema, routing_messages

LARGEST_ASK = PROMPT_BYTES + ANSWER_TOKENS
"""The most that `Question.most_tokens` is."""


@dataclass(frozen=True)
class Question:
    """A routing request, ready for a model client."""

    messages: list[dict[str, str]]
    schema: dict[str, Any]
    check: Callable[[Any], str | None]

    @property
    def most_tokens(self) -> int:
        """More than one answer takes: a token is at least a byte of what is sent, and the answer is bounded."""
        return sum(len(message["content"].encode()) for message in self.messages) + ANSWER_TOKENS


def question(
    registry: Registry,
    event: Event,
    failures: Sequence[Mapping[str, Any]] = (),
    answered: list[dict[str, Any]] | None = None,
) -> Question:
    """What to ask. `failures` are those of agents at this event, each `{agent, reason, message}`; they are left out."""
    choices = decide.candidates(registry, event, [failure["agent"] for failure in failures])
    names = [agent.name for agent in choices]
    messages = routing_messages(
        registry,
        {"type": event.type, "data": event.data},
        choices,
        answered or (),
        [{name: failure[name] for name in ("agent", "reason", "message")} for failure in failures],
    )
    return Question(messages, choice_schema(choices), lambda answer: choice_problem(answer, names))
