"""The offline model without its server, for the orchestrator in memory."""

from __future__ import annotations

from deploy.model_server.choose import choose
from switchyard.core import strictjson
from switchyard.core.deciding import Choice
from switchyard.core.event import Event
from switchyard.core.question import Question


def choose_offline(event: Event, question: Question) -> Choice:
    """What the offline model answers to a routing question."""
    answer = choose(strictjson.loads(question.messages[1]["content"]))
    return Choice(tuple(answer["agents"]), answer["reason"], float(answer["confidence"]), "offline")
