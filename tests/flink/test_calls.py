"""Each message is checked once and each model decision asks the model once, whatever INSERTs follow."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.flink.input_functions import CheckEvent
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.minicluster import MiniCluster, Output
from tests.flink.support import answer, copy_of, created, edited

pytestmark = pytest.mark.flink

LEADS = 5
MORE = """
CREATE TEMPORARY TABLE audit (a STRING, b STRING) WITH ('connector' = 'blackhole');
INSERT INTO audit SELECT dispatch_id, agent FROM dispatches WHERE agent <> 'nobody';
INSERT INTO audit SELECT id, type FROM events WHERE type <> 'nothing';
INSERT INTO audit SELECT workflow_id, JSON_VALUE(data, '$.lead_id') FROM events;
"""
UDFS = "from pyflink.table.udf import udf\n\n\n@udf(result_type='STRING')\ndef same(text):\n    return text\n"
SINKS = """
CREATE TEMPORARY TABLE lake (a STRING, b STRING) WITH ('connector' = 'blackhole');
INSERT INTO lake SELECT same(subject), action FROM decisions;
INSERT INTO lake SELECT same(id), type FROM events;
INSERT INTO lake SELECT same(agent), event FROM dispatches;
"""


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each message was checked. The functions run in this process, as copies made from this class."""
    counted: Counter[bytes] = Counter()
    lock, plain = threading.Lock(), CheckEvent.eval

    def eval(self: CheckEvent, value: Any, topic: str) -> Any:
        with lock:
            counted[bytes(value)] += 1
        return plain(self, value, topic)

    monkeypatch.setattr(CheckEvent, "eval", eval)
    return counted


def test_one_check_a_message_and_one_call_a_decision(
    tmp_path: Path,
    mini_cluster: Callable[..., MiniCluster],
    scripted_model: ScriptedServer,
    checks: Counter[bytes],
) -> None:
    app = edited(copy_of("sdr", tmp_path / "sdr"), "dispatch.sql", ("FROM dispatches;", "FROM dispatches;" + MORE))
    (app.folder / "udfs.py").write_text(UDFS)
    (app.sql / "sinks.sql").write_text(SINKS)
    job = mini_cluster(app, own_sinks=True)
    for number in range(LEADS):
        job.publish("agent-messages", created(number))

    outputs = job.until(lambda found: len(ended(found)) == LEADS, answer)

    records = [parse_record(output.value) for output in outputs if output.topic == "routing-decisions"]
    decisions = [record for record in records if isinstance(record, Decision)]
    by_model = [record for record in decisions if record.decided_by == "model"]
    assert len(decisions) == len(by_model) == 3 * LEADS
    assert len(scripted_model.calls) == scripted_model.counts.by_purpose()["routing"] == len(by_model)
    assert set(checks.values()) == {1}
    assert len(checks) == 3 * LEADS


def ended(outputs: list[Output]) -> set[str]:
    events = [Event.parse(output.value) for output in outputs if output.topic == "workflow-status"]
    return {event.workflow_id for event in events if event.type == "workflow.completed"}
