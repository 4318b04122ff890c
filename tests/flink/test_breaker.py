"""The operator while the model endpoint is down: rules go on, decisions of the model wait, nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pyflink.common import Row

from switchyard.core.control import Control
from switchyard.core.errors import SettingsError
from switchyard.core.ledger.record import Decision, Fence, parse_record
from switchyard.core.model.breaker import FAILURES
from switchyard.core.retention import WEEK_MS
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from tests.flink.support import created
from tests.flink.test_restore import Harness, Store

pytestmark = pytest.mark.flink

CONCURRENCY = 3
LEADS = 20


class Measured(Harness):
    """The operator with its gauges, and a count of its timers."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.gauges: dict[str, Callable[[], int]] = {}
        self.fired = 0
        self.kept_ms: dict[str, int | None] = {}

    def due_timer(self) -> bool:
        fired = super().due_timer()
        self.fired += fired
        return fired

    def gauge(self, name: str, value: Callable[[], int]) -> None:
        self.gauges[name] = value

    def get_map_state(self, descriptor: Any) -> Store:
        self.kept_ms[descriptor.name] = descriptor._ttl_config and descriptor._ttl_config.get_ttl().to_milliseconds()
        return super().get_map_state(descriptor)

    def control(self, control: Control) -> None:
        self._row("control", control.event.json().encode(), "sdr.control")

    def record(self, raw: bytes) -> None:
        self._row("record", raw, "sdr.routing-decisions")

    def ruled(self, raw: bytes) -> None:
        """An event whose agent a rule names."""
        self._offset += 1
        row = Row("event", raw, "agent-messages", 0, self._offset, ["lead-ingestion"], None, None, None)
        self._take(self._operator.process_element(row, self))


def test_while_the_endpoint_is_down_rules_go_on_and_asks_wait(
    scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL_CONCURRENCY", str(CONCURRENCY))
    scripted_model.script(lambda call: Action(status=503))
    operator = Measured(scripted_model.base_url)
    operator.open()
    for number in range(LEADS):
        operator.event(created(number))
    operator.run(lambda: operator.gauges["model_circuit_open"]() == 1 and operator.gauges["asks_in_flight"]() == 0)
    assert operator.gauges["model_failures"]() >= FAILURES
    assert operator.gauges["waiting_asks"]() >= LEADS - CONCURRENCY
    assert len(scripted_model.calls) < FAILURES + CONCURRENCY

    operator.ruled(created(LEADS))
    assert operator.dispatched == [f"lead-{LEADS}"]
    asked, fired = len(scripted_model.calls), operator.fired
    operator.run(lambda: len(scripted_model.calls) > asked)
    assert operator.fired - fired < 60, "a poll each 5 ms would be some 200 timers until the first probe"
    operator.run(lambda: operator.gauges["asks_in_flight"]() == 0)
    assert len(scripted_model.calls) == asked + 1, "a probe is one call"
    assert operator.gauges["model_circuit_open"]() == 1
    assert len(operator.dispatched) == 1

    scripted_model.script([])
    operator.run(lambda: len(operator.dispatched) == LEADS + 1)
    assert operator.gauges["model_circuit_open"]() == operator.gauges["model_failures"]() == 0
    assert operator.gauges["waiting_asks"]() == 0
    operator.crash()
    decisions = [record for line in operator.ledger if isinstance(record := parse_record(line), Decision)]
    assert sorted(record.workflow_id for record in decisions) == sorted(f"lead-{number}" for number in range(LEADS + 1))


def test_a_pause_stops_the_asks_that_wait_for_a_place(
    scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL_CONCURRENCY", "1")
    paused = threading.Event()
    scripted_model.script(lambda call: Action() if paused.wait(30) else Action(status=500))
    operator = Measured(scripted_model.base_url)
    operator.open()
    for number in range(5):
        operator.event(created(number))
    operator.run(lambda: len(scripted_model.calls) == 1)
    operator.control(Control.new("pause", "tests", "it costs too much", "ada"))
    paused.set()
    operator.run(lambda: operator.gauges["asks_in_flight"]() == 0)
    assert operator.gauges["waiting_asks"]() == 4
    while operator.due_timer():
        pass
    assert (len(scripted_model.calls), operator.gauges["paused_shards"]()) == (1, 1)
    operator.control(Control.new("resume", "tests", "", "ada"))
    operator.run(lambda: len(operator.dispatched) == 5)
    operator.crash()


def test_a_ledger_with_another_number_of_shards_ends_the_job(scripted_model: ScriptedServer) -> None:
    operator = Measured(scripted_model.base_url)
    operator.open()
    fence = Fence(operator.get_current_key(), "of another start", 1, 32)
    with pytest.raises(SettingsError, match="the ledger has 32 shards, which is fixed for life"):
        operator.record(fence.json().encode())
    operator.crash()


def test_what_stays_of_an_ended_workflow_is_kept_for_a_week(scripted_model: ScriptedServer) -> None:
    """As long as its events are in their topic, from where they could be read again."""
    operator = Measured(scripted_model.base_url)
    operator.open()
    assert {name for name, kept in operator.kept_ms.items() if kept is not None} == {"tombstones"}
    assert operator.kept_ms["tombstones"] == WEEK_MS
    operator.crash()
