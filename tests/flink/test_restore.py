"""After a restore a shard goes on, whatever comes first: an event, or a timer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyflink.common import Row

from switchyard.core.app import App
from switchyard.core.errors import StateVersionError
from switchyard.core.extensions import Extensions
from switchyard.core.job_config import PARAMETER, JobConfig
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator import migrations, state
from switchyard.core.shards import shard_keys
from switchyard.environment import read_settings
from switchyard.flink import job
from switchyard.flink.operator import OUTPUT, Orchestrator
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.minicluster import MiniCluster, Output
from tests.flink.support import created

pytestmark = pytest.mark.flink

SDR = App.load("sdr")
HANGS = Action(hang=True)


@pytest.mark.parametrize("first", ["timer", "event"])
def test_what_was_asked_before_a_savepoint_is_asked_again(
    first: str, tmp_path: Path, scripted_model: ScriptedServer
) -> None:
    scripted_model.script([HANGS])
    job = MiniCluster(SDR, tmp_path, scripted_model.base_url, settings=read_settings(shards=1, parallelism=1))
    job.start()
    job.publish("agent-messages", created(1))
    job.until(lambda _: len(scripted_model.calls) == 1)
    savepoint = job.stop_with_savepoint()
    if first == "event":
        job.publish("agent-messages", created(2))
    job.start(savepoint)
    expected = {"lead-1", "lead-2"} if first == "event" else {"lead-1"}
    outputs = job.until(lambda found: len(dispatched(found)) >= len(expected))
    job.stop()
    assert sorted(dispatched(outputs)) == sorted(expected)


def dispatched(outputs: list[Output]) -> list[str]:
    return [(output.key or b"").decode() for output in outputs if output.topic == "agent-inboxes"]


class Store:
    """Flink's map state, for one key."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str) -> None:
        self.values[key] = value

    def remove(self, key: str) -> None:
        self.values.pop(key, None)

    def keys(self) -> Iterator[str]:
        return iter(list(self.values))


class Harness:
    """The operator with one shard, outside Flink: what it stores and arms outlives it, as in a checkpoint."""

    def __init__(self, base_url: str) -> None:
        config = JobConfig.of(
            SDR.registry,
            "sdr",
            read_settings(shards=1),
            sql_version=job.sql_version(SDR),
            model_base_url=base_url,
            model="scripted",
            embedded=True,
        )
        self._config = config
        self.stores: dict[str, Store] = {}
        self.timers: set[int] = set()
        self.ledger: list[str] = []
        self.dispatched: list[str] = []
        self._offset = 0

    def open(self) -> None:
        self._operator = Orchestrator(self._config, Extensions())
        self._operator.open(self)

    def crash(self) -> None:
        self._operator.close()

    def event(self, raw: bytes) -> None:
        self._offset += 1
        self._row("event", raw, "agent-messages")

    def due_timer(self) -> bool:
        """Let the earliest timer fire, if it is due; then read the ledger back."""
        now = self.current_processing_time()
        if not self.timers or min(self.timers) > now:
            return False
        timer = min(self.timers)
        self.timers.discard(timer)
        self._take(self._operator.on_timer(timer, self))
        return True

    def run(self, until: Callable[[], bool]) -> None:
        give_up = time.monotonic() + 60
        while not until():
            assert time.monotonic() < give_up, (self.timers, self.dispatched, self.ledger)
            if not self.due_timer():
                time.sleep(0.002)

    def _row(self, kind: str, raw: bytes, topic: str) -> None:
        self._take(self._operator.process_element(Row(kind, raw, topic, 0, self._offset, None, None, None, None), self))

    def _take(self, rows: Iterator[Row]) -> None:
        for row in list(rows):
            value = dict(zip(OUTPUT, row, strict=True))
            if value["kind"] == "decision":
                self.ledger.append(value["value"])
                self._row("record", value["value"].encode(), "routing-decisions")
            elif value["kind"] == "control":
                self._row("control", value["value"].encode(), "sdr.control")
            elif value["kind"] == "dispatch":
                self.dispatched.append(value["workflow_id"])

    # What Flink hands to the operator, and to functions for SQL.
    def get_job_parameter(self, name: str, default: str) -> str:
        return self._config.encode() if name == PARAMETER else default

    def get_map_state(self, descriptor: Any) -> Store:
        return self.stores.setdefault(descriptor.name, Store())

    def get_index_of_this_subtask(self) -> int:
        return 0

    def get_metrics_group(self) -> Any:
        return self

    def gauge(self, name: str, value: Callable[[], int]) -> None:
        pass

    def timer_service(self) -> Any:
        return self

    def get_current_key(self) -> int:
        return shard_keys(1)[0]

    def current_processing_time(self) -> int:
        return int(time.time() * 1000)

    def register_processing_time_timer(self, timestamp: int) -> None:
        self.timers.add(timestamp)


@pytest.mark.parametrize("first", ["timer", "event"])
def test_either_order_of_event_and_restored_timer(first: str, scripted_model: ScriptedServer) -> None:
    scripted_model.script([HANGS])
    operator = Harness(scripted_model.base_url)
    operator.open()
    operator.event(created(1))
    operator.run(lambda: len(scripted_model.calls) == 1)
    operator.crash()

    operator.open()
    assert operator.timers, "a poll for the open ask is armed"
    if first == "timer":
        operator.run(lambda: "lead-1" in operator.dispatched)
        operator.event(created(2))
    else:
        operator.event(created(2))
    operator.run(lambda: set(operator.dispatched) == {"lead-1", "lead-2"})
    operator.crash()

    decisions = [record for line in operator.ledger if isinstance(record := parse_record(line), Decision)]
    assert sorted(record.workflow_id for record in decisions) == ["lead-1", "lead-2"]


def test_an_event_alone_wakes_a_shard_whose_timer_was_lost(scripted_model: ScriptedServer) -> None:
    """No timer is restored: the shard arms one at its first touch."""
    scripted_model.script([HANGS])
    operator = Harness(scripted_model.base_url)
    operator.open()
    operator.event(created(1))
    operator.run(lambda: len(scripted_model.calls) == 1)
    operator.crash()

    operator.timers.clear()
    operator.open()
    operator.event(created(2))
    operator.run(lambda: set(operator.dispatched) == {"lead-1", "lead-2"})
    operator.crash()


def test_the_next_release_goes_on_from_this_ones_state_and_leaves_none_of_it(
    scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stored value is brought to the new form at the first touch, not only those that are used."""
    scripted_model.script([HANGS])
    operator = Harness(scripted_model.base_url)
    operator.open()
    operator.event(created(1))
    operator.run(lambda: len(scripted_model.calls) == 1)
    operator.crash()

    released = state.STATE_VERSION + 1
    seen: list[str] = []
    monkeypatch.setattr(state, "STATE_VERSION", released)
    for kind in ("workflow", "timer"):
        monkeypatch.setitem(
            migrations.MIGRATIONS, (kind, released - 1), lambda value, kind=kind: seen.append(kind) or value
        )
    operator.open()
    operator.event(created(2))
    assert {"workflow", "timer"} <= set(seen)
    values = [value for name in ("workflows", "usage", "queues") for value in operator.stores[name].values.values()]
    assert values
    assert {json.loads(value)["version"] for value in values} == {released}
    operator.run(lambda: set(operator.dispatched) == {"lead-1", "lead-2"})
    operator.crash()


def test_state_of_0_1_0_fails_the_job_before_anything_is_read(scripted_model: ScriptedServer) -> None:
    operator = Harness(scripted_model.base_url)
    operator.open()
    operator.stores["settings"].put("shards", "1")
    with pytest.raises(StateVersionError, match="the state of a job has version 2"):
        operator.event(created(1))
    operator.crash()
    assert set(operator.stores["settings"].values) == {"shards"}
