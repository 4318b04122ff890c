"""`route_message(value, topic, partition, offset, rule_agents)` for plain SQL: the decision about one event.

An async scalar function around the same core as the orchestrator. It answers the ledger record's JSON text and never
raises: what fails is a record, too, with its reason. It has no state; what follows from that is told in
`switchyard.core.routing.stateless`. Non-deterministic, so that the planner keeps to one call a row.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from pyflink.table.udf import AsyncScalarFunction, FunctionContext

import switchyard.flink.flink_39532  # noqa: F401 - must be imported wherever an async function is
from switchyard.core.deadletter import Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.core.ledger.record import Decision
from switchyard.core.model.pool import answer
from switchyard.core.routing import deciding, stateless
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable
from switchyard.core.routing.question import question
from switchyard.core.routing.stateless import RoutingInput
from switchyard.flink.job_parameters import job_config
from switchyard.flink.operator import model_client, prices_of

log = logging.getLogger(__name__)

MARGIN_S = 5.0
"""The model client keeps its own deadline; this much later the function no longer waits for it."""


class RouteMessage(AsyncScalarFunction):  # type: ignore[misc]
    """`open` runs before there is an event loop: the client connects at its first question, on the loop that asks."""

    def open(self, function_context: FunctionContext) -> None:
        self._config = job_config(function_context)
        self._door = InputValidator(self._config)
        self._client = model_client(self._config)
        self._prices = prices_of(self._config)

    def is_deterministic(self) -> bool:
        return False

    async def eval(
        self, value: bytes | None, topic: str, partition: int, offset: int, rule_agents: Sequence[str] | None
    ) -> str:
        raw = b"" if value is None else bytes(value)
        position = Position(topic, partition, offset)
        try:
            event = self._door.event(raw)
            rule = None if rule_agents is None else tuple(rule_agents)
            return (await self._decided(RoutingInput(event, raw.decode(), position, rule))).json()
        except Rejected as error:
            refusal = error
        except Exception as error:
            log.exception("route_message failed on one event; it is settled as a dead letter")
            refusal = Rejected("internal-error", f"{type(error).__name__}; the log of the TaskManager says where")
        return stateless.refused(refusal, raw, position, _now()).json()

    async def _decided(self, message: RoutingInput) -> Decision:
        registry, outcome = self._door.registry, None
        verdict = stateless.without_model(registry, message)
        if verdict is None:
            outcome = await self._asked(message.event)
            verdict = deciding.by_outcome(registry, message.event, (), outcome)
        return stateless.record(registry, message, verdict, outcome, _now(), self._config.sql_version)

    async def _asked(self, event: Event) -> ModelDecision | ModelUnavailable:
        try:
            async with asyncio.timeout(self._config.model_deadline_s + MARGIN_S):
                asked = question(self._door.registry, event)
                return await answer(self._client, asked, self._config.model, self._prices)
        except TimeoutError:
            return ModelUnavailable("deadline", "the model did not answer in time", self._config.model)


def _now() -> int:
    return time.time_ns() // 1_000_000
