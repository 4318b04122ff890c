"""Asking a model one routing question."""

from __future__ import annotations

import logging
from typing import Any

from switchyard.core.model import ModelClient, ModelFailure, Prices, cost
from switchyard.core.routing.prompt import SCHEMA_NAME
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable

log = logging.getLogger(__name__)

OF_THE_ENDPOINT = ("unreachable", "rate-limited", "refused")
"""Failures that a later ask may be spared: nobody there, too many calls, or a key, quota or address to be mended."""

OF_THE_REQUEST = ("deadline", "error")
"""Failures that may come back at every ask about the same event."""


async def ask_model(
    client: ModelClient, question: Question, model: str, prices: Prices | None
) -> ModelDecision | ModelUnavailable:
    """Ask; never raises."""
    try:
        reply = await client.ask(
            question.messages, question.schema, name=SCHEMA_NAME, purpose="routing", check=question.check
        )
    except ModelFailure as failure:
        return ModelUnavailable(
            failure.reason,
            failure.message,
            model,
            failure.calls,
            failure.usage.prompt_tokens,
            failure.usage.completion_tokens,
            cost(failure.usage, prices),
            retry=failure.reason in OF_THE_ENDPOINT + OF_THE_REQUEST,
            bounded=failure.reason in OF_THE_REQUEST,
            retry_after_s=failure.retry_after_s,
        )
    except Exception:
        log.exception("asking the model failed in a way that it must not")
        return ModelUnavailable("internal-error", "asking failed; the log of the TaskManager says why", model)
    value: dict[str, Any] = reply.value
    return ModelDecision(
        tuple(value["agents"]),
        value["reason"],
        float(value["confidence"]),
        reply.model,
        reply.calls,
        reply.usage.prompt_tokens,
        reply.usage.completion_tokens,
        cost(reply.usage, prices),
        reply.latency_ms,
    )
