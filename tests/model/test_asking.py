"""What the orchestrator learns of an ask: whether and when another is worth while, and what it has cost."""

from __future__ import annotations

import asyncio

import pytest

from switchyard.core.model import OpenAIModel, Prices
from switchyard.core.routing.ask import ask_model
from switchyard.core.routing.question import question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from tests.core import toy


def outcome_of(server: ScriptedServer) -> ModelDecision | ModelUnavailable:
    async def ask() -> ModelDecision | ModelUnavailable:
        client = OpenAIModel(server.base_url, "k", "m", 5.0, backoff_s=0.001, backoff_max_s=0.002)
        try:
            return await ask_model(client, question(toy.registry(), toy.opened(1)), "m", Prices(1.0, 1.0))
        finally:
            await client.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("status", "reason", "retry", "bounded"),
    [
        *((status, "rejected", False, False) for status in (400, 413, 422)),
        *((status, "refused", True, False) for status in (401, 403, 404, 501)),
        (429, "rate-limited", True, False),
        (503, "unreachable", True, False),
        (500, "error", True, True),
    ],
)
def test_what_a_status_means(
    scripted_model: ScriptedServer, status: int, reason: str, retry: bool, bounded: bool
) -> None:
    scripted_model.script(lambda call: Action(status=status, headers={"Retry-After": "90"}))
    outcome = outcome_of(scripted_model)
    assert isinstance(outcome, ModelUnavailable)
    assert (outcome.reason, outcome.retry, outcome.bounded) == (reason, retry, bounded)
    assert outcome.retry_after_s == (90.0 if status in (429, 500, 503) else 0.0)
    assert outcome.calls == len(scripted_model.calls) <= 2


def test_an_unusable_answer_is_charged_with_both_of_its_calls(scripted_model: ScriptedServer) -> None:
    scripted_model.script(lambda call: Action(answer="none"))
    outcome = outcome_of(scripted_model)
    assert isinstance(outcome, ModelUnavailable)
    assert (outcome.reason, outcome.retry, outcome.calls) == ("unusable-answer", False, 2)
    assert outcome.prompt_tokens > 100
    assert outcome.cost == (outcome.prompt_tokens + outcome.completion_tokens) / 1_000_000
