"""A small app for tests of the core: triage hands a ticket to fixing or to answering; fixing may split the work."""

from __future__ import annotations

from typing import Any

from switchyard.core.agents_file import AgentsFile
from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import DEFAULT_ROUTER_PROMPT


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": k, "type": v} for k, v in fields.items()]}


CONTRACTS = {
    "ticket.opened": record("ticket_opened", text="string"),
    "ticket.sorted": record("ticket_sorted", kind={"type": "enum", "name": "kind", "symbols": ["bug", "question"]}),
    "ticket.part": record("ticket_part", part="int"),
    "ticket.done": record("ticket_done", note="string"),
}


def registry(attempts: int | None = 1, **changes: Any) -> Registry:
    """One attempt for each agent, unless a test is about attempts."""
    value: dict[str, Any] = {
        "app": "toy",
        "starts": ["ticket.opened"],
        "ends": ["ticket.done"],
        "agents": [
            {"name": "triage", "description": "Sorts.", "accepts": ["ticket.opened"], "emits": ["ticket.sorted"]},
            {
                "name": "fixing",
                "description": "Mends bugs.",
                "accepts": ["ticket.sorted", "ticket.part"],
                "emits": ["ticket.part", "ticket.done"],
            },
            {
                "name": "answering",
                "description": "Answers questions.",
                "accepts": ["ticket.sorted"],
                "emits": ["ticket.done"],
            },
        ],
    }
    value.update(changes)
    if attempts is not None:
        value["agents"] = [{"attempts": attempts, **agent} for agent in value["agents"]]
    return Registry(AgentsFile.model_validate(value), CONTRACTS, DEFAULT_ROUTER_PROMPT)


def opened(number: int, workflow: str | None = None) -> Event:
    return Event.new(
        id=f"ticket-{number}",
        source="tests",
        type="ticket.opened",
        workflow_id=workflow or f"w{number}",
        data={"text": f"ticket {number}"},
    )


def sent_again(event: Event, data: object = None) -> Control:
    """An operator's request to take an event, with other data perhaps, once more."""
    again = event.again("agent-messages/0/0", event.data if data is None else data)
    return Control.new("retry", "tests", "", "ada", workflow_id=event.workflow_id, event=again.object())
