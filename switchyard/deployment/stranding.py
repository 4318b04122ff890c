"""What a change of an app leaves without a place: told before the job that runs is replaced."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.core.registry import Registry
from switchyard.core.summary import parse_summary
from switchyard.kafka.admin import Cluster


def stranded(before: Registry, after: Registry) -> list[str]:
    """What becomes of work that is open, one sentence for each agent, event type and gather that is gone."""
    agents = [
        f"agent {name} is gone: what waits for it is decided anew, and what it still answers counts"
        for name in before.agents
        if name not in after.agents
    ]
    types = [
        f"event type {name} is gone: what waits with it becomes a dead letter"
        for name in before.contracts
        if name not in after.contracts
    ]
    gathers = [
        f"the gather on {name} is gone: one that is open becomes a dead letter"
        for name in before.gathers
        if name not in after.gathers
    ]
    return [*agents, *types, *gathers]


def open_workflows(kafka: Cluster, topic: str) -> int:
    """How many workflows have not ended, by the newest status of each."""
    newest: dict[bytes, bool] = {}
    for record in sorted(kafka.read(topic), key=lambda item: (item.partition, item.offset)):
        newest[record.key] = _is_open(record.value)
    return sum(newest.values())


def warnings(before: Registry, after: Registry, kafka: Cluster, topic: str) -> Iterator[str]:
    """Lines for the person who submits; none where nothing is open, or nothing of it is touched."""
    sentences = stranded(before, after)
    count = open_workflows(kafka, topic) if sentences else 0
    if count:
        yield f"{count} workflow{'' if count == 1 else 's'} not ended:"
        yield from (f"  {sentence}" for sentence in sentences)


def _is_open(raw: bytes) -> bool:
    try:
        return parse_summary(raw)["status"] in ("running", "queued")
    except ValueError:
        return False
