"""What would be decided about one event: the registry, the rules, the guards, a model. Nothing is written anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from switchyard.core.app import App
from switchyard.core.deadletter import Position
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.core.job_config import JobConfig
from switchyard.core.model import OpenAIModel, Prices, api_key
from switchyard.core.routing import decide
from switchyard.core.routing.ask import ask_model
from switchyard.core.routing.question import Question
from switchyard.core.routing.single_event import Outcome, RoutingInput, decide_once
from switchyard.core.routing.verdict import Verdict
from switchyard.core.settings import Settings

NAMESPACE = "route"


@dataclass(frozen=True)
class RoutingEndpoint:
    """Where a routing question goes; `about` says it in words."""

    base_url: str
    name: str
    embedded: bool
    about: str


@dataclass(frozen=True)
class DryRun:
    """A verdict with what it took."""

    event: Event
    verdict: Verdict
    candidates: tuple[str, ...]
    outcome: Outcome | None
    milliseconds: float

    def object(self) -> dict[str, Any]:
        spent = self.outcome
        return {
            "workflow_id": self.event.workflow_id,
            "type": self.event.type,
            **asdict(self.verdict),
            "candidates": self.candidates,
            "model": spent.model if spent else None,
            "model_calls": spent.calls if spent else 0,
            "prompt_tokens": spent.prompt_tokens if spent else 0,
            "completion_tokens": spent.completion_tokens if spent else 0,
            "cost": spent.cost if spent else None,
            "model_ms": round(spent.latency_ms, 1) if spent else 0.0,
            "milliseconds": round(self.milliseconds, 1),
        }


def configuration(app: App, settings: Settings) -> JobConfig:
    """The job's configuration as far as a dry run needs it: no model is named in it."""
    return JobConfig.of(app.registry, NAMESPACE, settings, sql_version="", model_base_url="", model="", embedded=True)


def dry_run(app: App, settings: Settings, raw: bytes, with_rules: bool) -> DryRun:
    """Raises Rejected where the event would become a dead letter, SqlError, SettingsError."""
    config = configuration(app, settings)
    event = InputValidator(app.registry).well_formed(raw)
    rule = None
    if with_rules:
        from switchyard.cli.rules import rule_agents

        rule = rule_agents(app, config, event)
    started = time.perf_counter()
    item = RoutingInput(event, raw.decode(), Position("agent-messages", 0, 0), rule)

    async def ask(question: Question) -> Outcome:
        nonlocal started
        with routing_model(settings) as model:
            started = time.perf_counter()
            return await _ask(settings, model, question)

    verdict, outcome = asyncio.run(decide_once(app.registry, item, ask))
    milliseconds = (time.perf_counter() - started) * 1000
    candidates = tuple(agent.name for agent in decide.candidates(app.registry, event, ()))
    return DryRun(event, verdict, candidates, outcome, milliseconds)


@contextmanager
def routing_model(settings: Settings) -> Iterator[RoutingEndpoint]:
    """The model of the settings, else the running stack's, else the embedded one, started for this question."""
    from switchyard.local.model_server.app import MODEL, WHAT_IT_IS
    from switchyard.local.stack import Stack

    if settings.openai_base_url is not None:
        yield RoutingEndpoint(settings.openai_base_url, settings.model or "", False, "the model of the settings")
        return
    info = Stack.of(settings).info()
    if info is not None and info.model_embedded:
        yield RoutingEndpoint(info.model_base_url, MODEL, True, f"the local stack's {WHAT_IT_IS}")
        return
    if info is not None:
        raise SwitchyardError(
            f"the local stack uses the model at {info.model_base_url}; "
            "set OPENAI_BASE_URL, OPENAI_API_KEY and SWITCHYARD_MODEL here, too"
        )
    from switchyard.local.model_server.scripted import ScriptedServer

    with ScriptedServer() as server:
        yield RoutingEndpoint(server.base_url, MODEL, True, WHAT_IT_IS)


async def _ask(settings: Settings, model: RoutingEndpoint, question: Question) -> Outcome:
    prices = None
    if settings.price_prompt is not None and settings.price_completion is not None:
        prices = Prices(settings.price_prompt, settings.price_completion)
    key = api_key(settings.openai_api_key, model.base_url, embedded=model.embedded)
    client = OpenAIModel(
        model.base_url,
        key,
        model.name,
        settings.model_deadline_s,
        settings.allow_remote_model,
        namespace=NAMESPACE,
    )
    try:
        return await ask_model(client, question, model.name, prices)
    finally:
        await client.aclose()
