"""The orchestrator operator: a keyed process function around `switchyard.core.orchestrator.shard`.

Key = shard. It never waits: asks run on a thread of their own, and a processing-time timer collects their answers.
Which asks are open is state; only ids wait in memory.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import StateTtlConfig

from switchyard.core.capability import without_capability
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import LedgerVersionError, Rejected, SettingsError, internal_error
from switchyard.core.event import Event
from switchyard.core.extensions import Extensions
from switchyard.core.job_config import JobConfig
from switchyard.core.ledger.record import Decision, Fence, parse_record
from switchyard.core.model import Usage, cost
from switchyard.core.model.breaker import Breaker
from switchyard.core.model.pool import POLL_MS, ModelPool
from switchyard.core.orchestrator import migrations, state
from switchyard.core.orchestrator.limits import Quota
from switchyard.core.orchestrator.messages import (
    Ask,
    ControlRead,
    Dispatch,
    Effect,
    EventRead,
    Log,
    ModelAnswered,
    Publish,
    RecordRead,
    ShardInput,
    StatusChanged,
    StatusForgotten,
    Tick,
    WriteAudit,
    WriteControl,
    WriteDeadLetter,
)
from switchyard.core.orchestrator.shard import Shard
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.timers import IN_FLIGHT
from switchyard.core.registry import Registry
from switchyard.core.restore import ORCHESTRATOR_UID
from switchyard.core.routing.ask import ask_model
from switchyard.core.routing.question import Question
from switchyard.core.shards import shard_keys, shard_of
from switchyard.core.topics import Topics
from switchyard.flink import attempts, null_arrays, thread_log  # noqa: F401 - before this operator is used
from switchyard.flink.capabilities import capabilities
from switchyard.flink.gauges import Gauges
from switchyard.flink.keyed_map import keyed_map
from switchyard.flink.model_access import model_client, prices_of
from switchyard.flink.release import VERSION, OfOneRelease

log = logging.getLogger(__name__)

UID = ORCHESTRATOR_UID
TOMBSTONE_DAYS = 7

_STRING, _BYTES, _STRINGS = Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.OBJECT_ARRAY(Types.STRING())

INPUT_TYPE = Types.ROW_NAMED(
    ["kind", "value", "topic", "partition", "offset", "rule_agents", "error", "error_field", "error_message"],
    [_STRING, _BYTES, _STRING, Types.INT(), Types.LONG(), _STRINGS, _STRING, _STRING, _STRING],
)
"""Columns of the operator's input, after the shard: `kind` is event, rejected, record or control."""
INPUT = tuple(INPUT_TYPE.get_field_names())

OUTPUT = ("kind", "workflow_id", "agent", "topic", "dispatch_id", "event_type", "shard", "value")
"""Columns of its output: `kind` is decision, dispatch, event, status, dead-letter, audit or control;
`value` is JSON text, null in the place of a status that is forgotten."""

OUTPUT_TYPE = Types.ROW_NAMED(list(OUTPUT), [Types.INT() if name == "shard" else Types.STRING() for name in OUTPUT])


class Orchestrator(OfOneRelease, KeyedProcessFunction):  # type: ignore[misc]
    """Input rows are `INPUT`, output rows `OUTPUT`. `extensions` is the app's own Python, which travels in the job.

    So does `config`: in thread mode Flink hands no job parameters to a process function.
    """

    def __init__(self, config: JobConfig, extensions: Extensions) -> None:
        self._config = config
        self._extensions = extensions

    def open(self, runtime_context: RuntimeContext) -> None:
        self._registry = Registry.from_json(self._config.registry, self._extensions)
        self._topics = Topics(self._config.namespace)
        ttl = {"tombstones": StateTtlConfig.new_builder(Time.days(TOMBSTONE_DAYS)).build()}
        maps = ("workflows", "tombstones", "timers", "queues", "usage")
        self._state = ShardState(*(keyed_map(runtime_context, name, ttl.get(name)) for name in maps))
        self._settings = keyed_map(runtime_context, "settings")
        self._shards: dict[int, Shard] = {}
        self._queues: dict[int, deque[tuple[int, Ask]]] = {}
        self._asking: dict[int, int] = {}
        self._armed: dict[int, int] = {}
        self._keys = shard_keys(self._config.shards)
        self._prices = prices_of(self._config)
        self._capabilities = capabilities()
        breaker = Breaker(time.monotonic)
        self._client = model_client(self._config, breaker)
        self._pool: ModelPool[ModelAnswered] = ModelPool(breaker, self._config.model_concurrency, self._client.aclose)
        self._place = attempts.place(self._config.namespace, runtime_context)
        attempts.begin(self._place, self._pool.close)
        self._gauges = Gauges(
            runtime_context,
            {
                "waiting_asks": lambda: sum(len(queue) for queue in self._queues.values()),
                "oldest_waiting_ask_ms": self._oldest,
                "asks_in_flight": lambda: self._pool.in_flight,
                "model_circuit_open": lambda: int(breaker.open),
                "model_failures": lambda: breaker.failures,
                "answers_proved": lambda: int(self._capabilities.granting),
                "open_workflows": lambda: self._sum(lambda shard: shard.context.usage.workflows),
                "queued": lambda: self._sum(lambda shard: shard.context.queues.total),
                "state_bytes": lambda: self._sum(lambda shard: shard.context.usage.size),
                "paused_shards": lambda: self._sum(lambda shard: int(shard.context.usage.paused)),
            },
        )
        log.info("the orchestrator of %s begins, with the code %s", self._config.namespace, VERSION)

    def close(self) -> None:
        if hasattr(self, "_pool"):
            attempts.ended(self._place, self._pool.close)
            self._pool.close()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        now = ctx.timer_service().current_processing_time()
        number = ctx.get_current_key()
        row = dict(zip(INPUT, value, strict=True))
        raw = bytes(row["value"]) if row["value"] is not None else b""
        position = Position(row["topic"], row["partition"], row["offset"])
        try:
            item = self._input(row, raw, position, number)
        except (LedgerVersionError, SettingsError):
            raise
        except Exception as error:
            if not isinstance(error, Rejected):
                log.exception("the orchestrator could not read one input; it is kept as a dead letter")
            rejected = error if isinstance(error, Rejected) else internal_error(error)
            yield self._row(WriteDeadLetter(DeadLetter.of(rejected, raw, position, now)), number)
            return
        yield from self._advance(number, item, now, raw, position)
        self._after(number, ctx, now)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        now = ctx.timer_service().current_processing_time()
        number = ctx.get_current_key()
        if self._armed.get(number, 0) <= now:
            self._armed.pop(number, None)
        shard = self._shard(number)
        for item in self._pool.collect(number):
            self._asking[number] -= 1
            yield from self._advance(number, item, now)
        due = shard.next_due()
        if due is not None and due <= now:
            yield from self._advance(number, Tick(), now)
        self._after(number, ctx, now)

    def _input(self, row: dict[str, Any], raw: bytes, position: Position, number: int) -> ShardInput:
        """What a row holds. Raises Rejected where the shard must not see it.

        Raises LedgerVersionError and SettingsError to end the job.
        """
        if row["kind"] == "rejected":
            raise Rejected(row["error"], row["error_message"], row["error_field"])
        if row["kind"] == "record":
            return RecordRead(self._record(raw, number))
        rule = None if row["rule_agents"] is None else tuple(row["rule_agents"])
        if row["kind"] == "control" or position.topic == self._topics.control:
            return ControlRead(Control.parse(raw, number, self._config.shards), raw.decode(), position, rule)
        event, text = without_capability(Event.trusted(raw), raw.decode())
        return EventRead(event, text, position, rule)

    def _record(self, raw: bytes, number: int) -> Decision | Fence:
        try:
            record = parse_record(raw)
        except ValueError as error:
            raise Rejected("not-json", f"not a ledger record: {error}") from None
        if isinstance(record, Fence) and record.shards not in (None, self._config.shards):
            raise self._other_shards("the ledger", record.shards)
        owner = record.shard if isinstance(record, Fence) else shard_of(record.workflow_id, self._config.shards)
        if owner != number or number not in self._keys:
            raise Rejected("wrong-shard", f"it stands on shard {number}; it belongs to {owner}")
        return record

    def _advance(
        self, number: int, item: ShardInput, now: int, raw: bytes = b"", position: Position | None = None
    ) -> Iterator[Row]:
        """Effects as rows; an exception in the core becomes a dead letter, never a restart loop."""
        shard = self._shard(number)
        try:
            effects = shard.advance(item, now)
        except Exception as error:
            log.exception("the orchestrator failed on one input; it is kept as a dead letter")
            place = position or Position(self._topics.agent_messages, -1, -1)
            workflow_id = item.workflow_id if isinstance(item, ModelAnswered) else None
            effects = [WriteDeadLetter(DeadLetter.of(internal_error(error), raw, place, now, workflow_id=workflow_id))]
        for effect in effects:
            if isinstance(effect, Ask):
                self._queues.setdefault(number, deque()).append((now, effect))
            else:
                yield self._row(effect, number)

    def _after(self, number: int, ctx: Any, now: int) -> None:
        """Start asks while they may, and see to the next timer."""
        queue = self._queues.get(number)
        shard = self._shard(number)
        while queue and self._pool.ready and shard.context.accepting:
            _, ask = queue.popleft()
            question = shard.question(ask)
            if question is not None:
                self._pool.submit(number, self._ask(ask, question))
                self._asking[number] = self._asking.get(number, 0) + 1
        due = shard.next_due()
        wake = IN_FLIGHT if due is None else max(due, now + 1)
        if self._asking.get(number):
            wake = min(wake, now - now % POLL_MS + POLL_MS)
        if queue and shard.context.accepting:
            later = now + self._pool.look_again_ms
            wake = min(wake, later - later % POLL_MS)
        wake = min(wake, self._gauges.tell(now) or IN_FLIGHT)
        if wake < self._armed.get(number, IN_FLIGHT):
            self._armed[number] = wake
            ctx.timer_service().register_processing_time_timer(wake)

    async def _ask(self, ask: Ask, question: Question) -> ModelAnswered:
        outcome = await ask_model(self._client, question, self._config.model, self._prices)
        return ModelAnswered(ask.workflow_id, ask.subject, ask.attempt, outcome)

    def _shard(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            self._check_state()
            shard = Shard(
                self._registry,
                self._state,
                number,
                uuid.uuid4().hex,
                self._config.sql_version,
                Quota(self._keys.index(number), len(self._keys)),
                lambda prompt, completion: cost(Usage(prompt, completion), self._prices),
                self._config.namespace,
            )
            self._shards[number] = shard
        return shard

    def _sum(self, number: Callable[[Shard], int]) -> int:
        return sum(number(shard) for shard in self._shards.values())

    def _oldest(self) -> int:
        """How long the ask that waits longest for a free place has waited, in milliseconds."""
        first = min((queue[0][0] for queue in self._queues.values() if queue), default=None)
        return 0 if first is None else max(0, int(time.time() * 1000) - first)

    def _check_state(self) -> None:
        """See that this job can go on from the state of the key; what it raises fails the job.

        Raises StateVersionError, and SettingsError for another number of shards: workflows would be looked for in the
        wrong one.
        """
        # Releases before version 3 noted their shards, and no version.
        version = int(self._settings.get("version") or (2 if "shards" in self._settings else state.STATE_VERSION))
        migrations.check("job", version)
        if version != state.STATE_VERSION:
            migrations.upgrade(self._state, version)
        self._settings["version"] = str(state.STATE_VERSION)
        wanted = str(self._config.shards)
        if self._settings.setdefault("shards", wanted) != wanted:
            raise self._other_shards("this state", self._settings["shards"])

    def _other_shards(self, what: str, shards: object) -> SettingsError:
        return SettingsError(
            f"{what} has {shards} shards, which is fixed for life; "
            f"set SWITCHYARD_SHARDS to that number instead of {self._config.shards} and submit again"
        )

    def _row(self, effect: Effect, number: int) -> Row:
        match effect:
            case Log(record=Decision() as decision):
                return Row("decision", decision.workflow_id, None, None, None, None, number, decision.json())
            case Log(record=fence):
                return Row("decision", None, None, None, None, None, number, fence.json())
            case Dispatch():
                topic = self._topics.inbox(effect.agent)
                event = self._capabilities.granted(effect.event, effect.dispatch_id)
                return Row(
                    "dispatch",
                    effect.workflow_id,
                    effect.agent,
                    topic,
                    effect.dispatch_id,
                    event.type,
                    number,
                    event.json(),
                )
            case Publish(event):
                event = self._capabilities.granted(event, event.causation_id or "")
                return Row("event", event.workflow_id, None, None, None, event.type, number, event.json())
            case StatusChanged():
                return Row("status", effect.workflow_id, None, None, None, None, number, effect.event.json())
            case StatusForgotten(workflow_id):
                return Row("status", workflow_id, None, None, None, None, number, None)
            case WriteControl(control):
                return Row("control", None, None, None, None, None, number, control.event.json())
            case WriteAudit(entry):
                return Row("audit", entry.workflow_id, None, None, entry.id, None, number, entry.json())
            case WriteDeadLetter(letter):
                return Row("dead-letter", letter.workflow_id, None, None, None, None, number, letter.json())
        raise AssertionError(effect)
