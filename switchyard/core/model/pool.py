"""Asks run here: an asyncio loop on a thread of its own, so that the operator never waits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import Any

from switchyard.core.model import ModelClient, ModelFailure, Prices, cost
from switchyard.core.model.breaker import Breaker
from switchyard.core.orchestrator.messages import Ask, ModelAnswered
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable
from switchyard.core.routing.prompt import SCHEMA_NAME
from switchyard.core.routing.question import Question

log = logging.getLogger(__name__)

POLL_MS = 5
PROBE_POLL_MS = 100
LONGEST_POLL_MS = 1000

RETRY = ("unreachable", "rate-limited", "deadline", "refused")


async def answer(
    client: ModelClient, question: Question, model: str, prices: Prices | None
) -> ModelDecision | ModelUnavailable:
    """Ask one routing question; never raises."""
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
            retry=failure.reason in RETRY,
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


class ModelPool:
    """At most `limit` questions in flight; answers are collected per shard, from the operator's thread.

    `client` tells `breaker` of its calls: while that is open, one question at a time finds out whether the endpoint
    is back.
    """

    def __init__(self, client: ModelClient, breaker: Breaker, model: str, prices: Prices | None, limit: int) -> None:
        self._client = client
        self.breaker = breaker
        self._model = model
        self._prices = prices
        self._limit = limit
        self._answers: dict[int, deque[ModelAnswered]] = {}
        self.in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="switchyard-asks", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a question may be submitted: there is room, and the endpoint is not known to be down."""
        return self.in_flight < self._limit and self.breaker.wait_s == 0.0

    @property
    def look_again_ms(self) -> int:
        """How long to wait before `ready` is worth another look."""
        if not self.breaker.open:
            return POLL_MS
        wait_s = self.breaker.wait_s
        return PROBE_POLL_MS if wait_s is None else max(POLL_MS, min(int(wait_s * 1000), LONGEST_POLL_MS))

    def submit(self, shard: int, ask: Ask, question: Question) -> None:
        self.in_flight += 1
        probe = self.breaker.begin()
        asyncio.run_coroutine_threadsafe(self._run(shard, ask, question, probe), self._loop)

    def collect(self, shard: int) -> list[ModelAnswered]:
        """The answers that have come for a shard."""
        waiting = self._answers.get(shard)
        found = []
        while waiting:
            found.append(waiting.popleft())
        self.in_flight -= len(found)
        return found

    def close(self) -> None:
        """Drop what is in flight: it is state, and is asked again after a restore."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _run(self, shard: int, ask: Ask, question: Question, probe: bool) -> None:
        outcome = await answer(self._client, question, self._model, self._prices)
        if probe:
            self.breaker.probed()
        # A deque is safe between one appending and one popping thread.
        self._answers.setdefault(shard, deque()).append(
            ModelAnswered(ask.workflow_id, ask.subject, ask.attempt, outcome)
        )

    async def _stop(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        close = getattr(self._client, "aclose", None)
        if close is not None:
            await close()
