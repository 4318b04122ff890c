"""A scripted model, and leads, for the tests of workers and of the SDR app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from agent_endpoints.sdr import offline
from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import dispatch_id
from switchyard.core.model import AnswerCheck, Reply, Usage
from switchyard.core.model.answer import violation
from switchyard.core.routing.inbox_event import with_dispatch_attributes

SDR = App.load("sdr")
SCORED = {"score": 70, "next_step": "nurture", "reasons": ["r"], "talking_points": ["t"]}


class ScriptedModel:
    """Answers by a function of purpose and facts; keeps what it was asked."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Any]) -> None:
        self._answer = answer
        self.asked: list[dict[str, Any]] = []

    def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck | None = None,
    ) -> Reply:
        self.asked.append({"messages": messages, "schema": schema, "name": name, "purpose": purpose})
        value = self._answer(purpose, strictjson.loads(messages[1]["content"]))
        assert violation(value, schema) is None, violation(value, schema)
        assert check is None or check(value) is None, check(value)
        return Reply(value, Usage(), 0.0, 1, "scripted")


def offline_answer(purpose: str, facts: dict[str, Any]) -> Any:
    return getattr(offline, purpose.rpartition("/")[2].replace("-", "_"))(facts)


def inbox_event(agent: str, type: str, data: Any, attempt: int = 0, id: str = "e1", **more: Any) -> Event:
    """An event as the router puts it into an agent's inbox."""
    event = Event.new(id=id, source="test", type=type, workflow_id="w1", data=data)
    return with_dispatch_attributes(
        event, agent, dispatch_id(f"event/{id}", agent, attempt), attempt, 2
    ).with_attributes(**more)


def lines() -> list[bytes]:
    return [line for line in (SDR.folder / "leads.jsonl").read_bytes().splitlines() if line.strip()]


def leads(limit: int = 256 * 1024) -> Iterator[dict[str, Any]]:
    """The lines that a router would let through."""
    for line in lines():
        try:
            lead = strictjson.loads(line)
            SDR.registry.contracts["lead.created"].check(lead)
        except (ValueError, Rejected):
            continue
        if len(line) <= limit:
            yield lead
