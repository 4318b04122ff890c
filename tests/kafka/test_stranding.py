"""What a submission says of open work that a change leaves without a place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from switchyard.core.orchestrator.workflow import Workflow, WorkflowStatus, status_event
from switchyard.deployment.stranding import open_workflows, stranded, warnings
from switchyard.kafka.admin import KafkaRecord
from tests.core import toy
from tests.core.test_supervision import with_agent

WITHOUT_FIXING = toy.registry(agents=[agent for agent in with_agent("") if agent["name"] != "fixing"])


class Statuses:
    """A cluster, as far as it is read here."""

    def __init__(self, *told: tuple[str, WorkflowStatus]) -> None:
        self.told = told

    def read(self, topic: str) -> Iterator[KafkaRecord]:
        assert topic == "toy.workflow-status"
        for offset, (name, status) in enumerate(self.told):
            raw = status_event("toy", Workflow(name, 1, status).summary("toy")).json().encode()
            yield KafkaRecord(topic, 0, offset, 1, name.encode(), raw)
        yield KafkaRecord(topic, 0, len(self.told), 1, b"x", b"no status")


def test_what_is_gone_is_said_with_what_becomes_of_it() -> None:
    (sentence,) = stranded(toy.registry(), WITHOUT_FIXING)
    assert sentence.startswith("agent fixing is gone: what waits for it is decided anew")
    assert stranded(WITHOUT_FIXING, toy.registry()) == []


@pytest.mark.parametrize(
    ("told", "count"),
    [
        ([("a", "running"), ("b", "queued"), ("c", "completed")], 2),
        ([("a", "running"), ("a", "completed")], 0),
        ([("a", "completed"), ("a", "running")], 1),
    ],
)
def test_the_newest_status_counts(told: list[tuple[str, WorkflowStatus]], count: int) -> None:
    cluster = Statuses(*told)
    assert open_workflows(cluster, "toy.workflow-status") == count  # type: ignore[arg-type]
    lines = list(warnings(toy.registry(), WITHOUT_FIXING, cluster, "toy.workflow-status"))  # type: ignore[arg-type]
    assert len(lines) == (2 if count else 0)
    assert list(warnings(toy.registry(), toy.registry(), cluster, "toy.workflow-status")) == []  # type: ignore[arg-type]
