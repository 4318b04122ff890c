"""The offline model without its server, for the orchestrator in memory."""

from __future__ import annotations

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision
from switchyard.local.model_server.choose import choose


def choose_offline(event: Event, question: Question) -> ModelDecision:
    """What the offline model answers to a routing question."""
    answer = choose(strictjson.loads(question.messages[1]["content"]))
    return ModelDecision(tuple(answer["agents"]), answer["reason"], float(answer["confidence"]), "offline")
