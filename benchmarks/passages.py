"""The way of a question through a fan-out and its gather, by the timestamps of the records it leaves in Kafka.

Every timestamp is the record's CreateTime, which the one who writes it sets, in milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.figures import percentile
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.kafka.admin import KafkaRecord

HOPS = 5
"""Records that somebody waits for: question, decision, the last dispatch, its answer, and the record of that."""


@dataclass(frozen=True)
class Passage:
    """When each record was written: the question, the decision, the dispatch whose answer came last, that answer, the
    record that takes it into the gather, and the gathered event. Milliseconds since 1970."""

    asked: float
    decided: float
    dispatched: float
    answered: float
    taken: float
    gathered: float

    @property
    def total(self) -> float:
        return self.gathered - self.asked


@dataclass(frozen=True)
class FanOut:
    """Milliseconds; medians but for `p95_ms`.

    The five from `decide_ms` to `gather_ms` follow one another, from each record of a passage to its next.
    `kafka_ms`, `flink_ms` and `agents_ms` are the same time split by who has it.
    """

    p50_ms: float
    p95_ms: float
    parallel_ratio: float
    three_agents_ms: float
    one_agent_ms: float
    kafka_ms: float
    flink_ms: float
    agents_ms: float
    decide_ms: float
    dispatch_ms: float
    answer_ms: float
    take_ms: float
    gather_ms: float

    @classmethod
    def of(
        cls, quick: Sequence[Passage], three: Sequence[Passage], one: Sequence[Passage], hops_ms: Sequence[float]
    ) -> FanOut:
        """From questions answered without a model, by three agents with one, and by one agent with one."""
        hop = percentile(hops_ms, 0.5)
        totals = [item.total for item in quick]
        together, alone = (percentile([item.total for item in some], 0.5) for some in (three, one))
        return cls(
            p50_ms=percentile(totals, 0.5),
            p95_ms=percentile(totals, 0.95),
            parallel_ratio=together / alone,
            three_agents_ms=together,
            one_agent_ms=alone,
            kafka_ms=HOPS * hop,
            flink_ms=percentile([i.total - (i.answered - i.dispatched) for i in quick], 0.5) - (HOPS - 1) * hop,
            agents_ms=percentile([item.answered - item.dispatched for item in quick], 0.5) - hop,
            decide_ms=percentile([item.decided - item.asked for item in quick], 0.5),
            dispatch_ms=percentile([item.dispatched - item.decided for item in quick], 0.5),
            answer_ms=percentile([item.answered - item.dispatched for item in quick], 0.5),
            take_ms=percentile([item.taken - item.answered for item in quick], 0.5),
            gather_ms=percentile([item.gathered - item.taken for item in quick], 0.5),
        )


def passages(
    events: Iterable[KafkaRecord], ledger: Iterable[KafkaRecord], inboxes: Iterable[KafkaRecord], wanted: Iterable[str]
) -> list[Passage]:
    """One for each workflow in `wanted`; of a record that was written again the first counts.

    Raises ValueError where one has no gathered event, or one with an answer missing.
    """
    asked: dict[str, float] = {}
    answered: dict[str, float] = {}
    gathered: dict[str, float] = {}
    for message in events:
        event = Event.parse(message.value)
        if event.causation_id is None:
            asked.setdefault(event.workflow_id, message.time)
        elif not is_gathered(message):
            answered.setdefault(event.causation_id, message.time)
        elif event.data["complete"]:
            gathered.setdefault(event.workflow_id, message.time)
    decided: dict[str, float] = {}
    taken: dict[str, dict[str, tuple[float, int]]] = {}
    for message in ledger:
        record = parse_record(message.value)
        if not isinstance(record, Decision):
            continue
        if record.action == "dispatch":
            decided.setdefault(record.workflow_id, message.time)
        elif record.action == "gather" and record.subject.kind == "dispatch":
            dispatch = record.subject.id
            taken.setdefault(record.workflow_id, {}).setdefault(dispatch, (message.time, message.offset))
    dispatched: dict[str, float] = {}
    for message in inboxes:
        dispatched.setdefault(str(Event.parse(message.value).attributes["dispatchid"]), message.time)
    passages, unanswered = [], []
    for name in wanted:
        if name not in gathered:
            unanswered.append(name)
            continue
        last, (time, _) = max(taken[name].items(), key=lambda item: item[1])
        passages.append(Passage(asked[name], decided[name], dispatched[last], answered[last], time, gathered[name]))
    if unanswered:
        raise ValueError(f"{len(unanswered)} questions were not answered by all agents, among them {min(unanswered)}")
    return passages


def is_gathered(message: KafkaRecord) -> bool:
    """Whether an event is the result of a gather."""
    return Event.parse(message.value).type.endswith(".gathered")
