"""The finance app in memory: its real handlers behind the orchestrator's state machine, no Kafka, no Flink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agent_endpoints.finance import offline
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.event import Event
from switchyard.core.settings import Settings
from switchyard.testing.memory import InMemory
from switchyard.testing.offline import choose_offline
from switchyard.worker.effects import EffectStore
from switchyard.worker.memory.store import SqliteMemory
from switchyard.worker.processor import Processor
from tests.agents.support import ScriptedModel

FINANCE = App.load("finance")
RULES = {
    "trade.requested": ["market-analyst", "risk-manager", "sentiment-tracker"],
    "trade.requested.gathered": ["portfolio-optimizer"],
    "research.requested": ["research-agent"],
    "research.completed": ["portfolio-optimizer"],
    "derivatives.requested": ["options-strategist"],
    "market.moved": ["market-analyst", "risk-manager"],
    "news.published": ["sentiment-tracker"],
    "portfolio.changed": ["risk-manager", "portfolio-optimizer"],
}
TRADE: dict[str, Any] = {
    "request_id": "t1",
    "user": "ada",
    "ticker": "AAPL",
    "side": "buy",
    "quantity": 20,
    "as_of": "2007-10-31",
    "holdings": {"MSFT": 200, "IBM": 50, "GOOG": 10},
    "research": False,
    "derivatives": False,
    "headlines": ["Apple shares soar on great results"],
}
ASKED = {"question_id": "q1", "user": "ada", "tickers": ["AAPL"], "as_of": "2008-09-30"}

MakeProcessor = Callable[..., Processor]


def event(type: str, data: dict[str, Any], id: str = "e1") -> Event:
    return Event.new(id=id, source="test", type=type, workflow_id=f"w-{id}", data=data)


def offline_answer(purpose: str, facts: dict[str, Any]) -> Any:
    return getattr(offline, purpose.rpartition("/")[2].replace("-", "_"))(facts)


def processors(app: App, settings: Settings, database: Any, model: ScriptedModel) -> dict[str, Processor]:
    """The processor of each agent, as a worker has them."""
    code = AppCode(app.folder)
    return {
        name: Processor(
            agent=agent,
            registry=app.registry,
            handler=code.function(agent.function),
            effects=EffectStore(database, "test"),
            memories=SqliteMemory(database, lambda records: None),
            namespace="test",
            database=database,
            model=model,
            language_model=settings.model if settings.language_model else None,
        )
        for name, agent in app.registry.agents.items()
    }


def in_memory(app: App, agents: dict[str, Processor], **more: Any) -> InMemory:
    def handler(name: str) -> Callable[[Event], Sequence[tuple[str, object]]]:
        return lambda given: [(answer.type, answer.data) for answer in agents[name].handle(given.json().encode())]

    return InMemory(
        app.registry,
        more.pop("model", choose_offline),
        {name: handler(name) for name in agents},
        more.pop("rule", lambda given: RULES.get(given.type)),
    )


def answers(run: InMemory, type: str) -> list[Any]:
    """The data of all events of a type that were published."""
    found = [Event.parse(raw) for raw in run.events]
    return [item.data for item in found if item.type == type]
