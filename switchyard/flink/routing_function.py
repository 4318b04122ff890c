"""The function behind `route_message` in SQL: the decision about one event.

An async scalar function around the same core as the orchestrator. It answers the ledger record's JSON text and never
raises: what fails is a record, too, with its reason. It has no state; what follows from that is told in
`switchyard.core.routing.single_event`. What an hour has used is counted in memory, by each instance of the function.
Non-deterministic, so that the planner keeps to one call a row.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from pyflink.table.udf import AsyncScalarFunction, FunctionContext

import switchyard.flink.flink_39532  # noqa: F401 - must be imported wherever an async function is
from switchyard.core.capability import without_capability
from switchyard.core.deadletter import Position
from switchyard.core.errors import Rejected, internal_error
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.core.ledger.record import Decision
from switchyard.core.model import Usage, cost
from switchyard.core.orchestrator.limits import Quota, ShardUsage, over_hour, spend_of_agent
from switchyard.core.registry import Registry
from switchyard.core.routing import single_event
from switchyard.core.routing.ask import ask_model
from switchyard.core.routing.question import Question
from switchyard.core.routing.single_event import Outcome, RoutingInput
from switchyard.core.routing.verdict import ModelUnavailable, model_usage, tokens_and_cost
from switchyard.core.topics import Topics
from switchyard.flink.job_parameters import job_config
from switchyard.flink.model_access import model_client, prices_of
from switchyard.flink.release import OfOneRelease

log = logging.getLogger(__name__)

MARGIN_S = 5.0
"""The model client keeps its own deadline; this much later the function no longer waits for it."""


class RouteMessage(OfOneRelease, AsyncScalarFunction):  # type: ignore[misc]
    """`open` runs before there is an event loop: the client connects at its first question, on the loop that asks."""

    def open(self, function_context: FunctionContext) -> None:
        self._config = job_config(function_context)
        self._validator = InputValidator(Registry.from_json(self._config.registry))
        self._control = Topics(self._config.namespace).control
        self._client = model_client(self._config)
        self._prices = prices_of(self._config)
        self._usage = ShardUsage({})

    def is_deterministic(self) -> bool:
        return False

    async def eval(
        self, value: bytes | None, topic: str, partition: int, offset: int, rule_agents: Sequence[str] | None
    ) -> str:
        raw = b"" if value is None else bytes(value)
        position = Position(topic, partition, offset)
        try:
            event, text = self._event(raw, topic)
            rule = None if rule_agents is None else tuple(rule_agents)
            return (await self._decided(RoutingInput(event, text, position, rule))).json()
        except Rejected as error:
            refusal = error
        except Exception as error:
            log.exception("route_message failed on one event; it is settled as a dead letter")
            refusal = internal_error(error)
        return single_event.refused(refusal, raw, position, _now()).json()

    def _event(self, raw: bytes, topic: str) -> tuple[Event, str]:
        """An event that `check_event` has let in."""
        if topic == self._control:
            event = self._validator.retried(raw)
            return event, event.json()
        return without_capability(self._validator.well_formed(raw), raw.decode())

    async def _decided(self, item: RoutingInput) -> Decision:
        registry = self._validator.registry
        spend_of_agent(self._usage, self._price, item.event, _now())
        verdict, outcome = await single_event.decide_once(registry, item, self._ask)
        return single_event.record_of(registry, item, verdict, outcome, _now(), self._config.sql_version)

    async def _ask(self, question: Question) -> Outcome:
        limits = self._validator.registry.file.limits
        over = over_hour(limits, Quota(), self._usage, self._price, _now(), question.most_tokens)
        if over is not None:
            return ModelUnavailable("hour-limit", over, self._config.model)
        self._usage.reserved += question.most_tokens
        outcome = await self._asked(question)
        self._usage.reserved -= question.most_tokens
        self._usage.spend(now := _now(), now, *tokens_and_cost(model_usage(outcome)))
        return outcome

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        return cost(Usage(prompt_tokens, completion_tokens), self._prices)

    async def _asked(self, question: Question) -> Outcome:
        try:
            async with asyncio.timeout(self._config.model_deadline_s + MARGIN_S):
                return await ask_model(self._client, question, self._config.model, self._prices)
        except TimeoutError:
            return ModelUnavailable("deadline", "the model did not answer in time", self._config.model)


def _now() -> int:
    return time.time_ns() // 1_000_000
