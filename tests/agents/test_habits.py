"""The demo's leads with servers and models as they are: all of them complete, whatever the habit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.model import BlockingModel, OpenAIModel
from switchyard.core.routing.ask import ask_model
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.local.model_server.habits import HABITS, REFUSES, with_habit
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.memory import InMemory
from switchyard.worker.processor import Processor
from tests.agents.support import SDR, leads

SECOND_CALLS = {REFUSES: "once", "ignores-response-format": "once", "several": "always"}
"""When a habit costs a second call: the first time that a schema is asked for, or each time."""


@pytest.fixture(params=HABITS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ScriptedServer]:
    apps = tmp_path / "apps.json"
    apps.write_text(strictjson.dumps({"test": str(SDR.folder)}))
    with ScriptedServer(with_habit(request.param), apps_file=apps) as server:
        yield server


@pytest.fixture
def model(server: ScriptedServer) -> Iterator[BlockingModel]:
    """What the handlers ask, in place of the scripted model."""
    model = BlockingModel(OpenAIModel(server.base_url, "k", "m", namespace="test"))
    yield model
    model.close()


def test_all_leads_complete(
    request: pytest.FixtureRequest, server: ScriptedServer, processor: Callable[[str], Processor]
) -> None:
    client = OpenAIModel(server.base_url, "k", "m", namespace="test")
    outcomes: list[ModelDecision | ModelUnavailable] = []
    with asyncio.Runner() as asks:

        def decide(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
            outcomes.append(asks.run(ask_model(client, question, "m", None)))
            return outcomes[-1]

        def handler(name: str) -> Callable[[Event], list[tuple[str, Any]]]:
            works = processor(name)
            return lambda event: [(item.type, item.data) for item in works.handle(event.json().encode())]

        run = InMemory(SDR.registry, decide, {name: handler(name) for name in SDR.registry.agents}, namespace="test")
        for number, lead in enumerate({lead["lead_id"]: lead for lead in leads()}.values()):
            run.publish(
                Event.new(id=f"e{number}", source="t", type="lead.created", workflow_id=f"w{number}", data=lead)
            )
        run.settle()
        asks.run(client.aclose())

    assert Counter(run.status(name) for name in run.statuses) == {"completed": 25}
    assert not run.dead_letters
    decisions = run.decisions()
    assert {record.decided_by for record in decisions if record.model_calls} == {"model"}
    asked_twice = {"once": 1, "always": len(outcomes)}.get(SECOND_CALLS.get(request.node.callspec.id, ""), 0)
    assert sum(outcome.calls for outcome in outcomes) == len(outcomes) + asked_twice
