"""What open workflows hold in Flink's state, how long checkpoints take, and what is left in the end: see README.md."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from benchmarks.apps import ECHO, FANOUT
from benchmarks.fanout import SINGLE_ASKED
from benchmarks.figures import State, medians
from benchmarks.inference import ASKED
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.traffic import Traffic
from benchmarks.ways import job
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.job_config import job_name
from switchyard.core.topics import Topics
from switchyard.deployment.submit import Submission, prepare_topics, submit
from switchyard.flink.rest import Flink, wait_for
from switchyard.flink.savepoints import local_path
from switchyard.kafka.admin import Cluster, KafkaRecord
from switchyard.local import process_cleanup

MODEL_S = 30.0
"""Longer than the checkpoints that are looked at take together."""


@dataclass(frozen=True)
class Plan:
    """`workflows` are open at once; then `asks` wait for a model while `checkpoints` are made."""

    workflows: int = 10_000
    asks: int = 1_000
    checkpoints: int = 8
    runs: int = 1


PLANS = {
    "whole": Plan(),
    "quick": Plan(workflows=2_000),
    "smallest": Plan(workflows=10, asks=10, checkpoints=1),
}


def run(there: Stage, plan: Plan, report: Report) -> State:
    """Median figures of the runs."""
    measured = []
    for number in range(1, plan.runs + 1):
        figures = State(**_held(there, plan, number), **_checkpoints(there, plan, number))
        measured.append(figures)
        report(
            f"Run {number} of {plan.runs}: {figures.bytes_per_workflow:.0f} bytes a workflow, restored in "
            f"{figures.restore_ms:.0f} ms; {figures.bytes_left_per_workflow:.0f} bytes left of it{calibrated()}"
        )
    return medians(measured)


def _held(there: Stage, plan: Plan, number: int) -> dict[str, float]:
    """Workflows that wait for an agent; their state in a savepoint, its restoring, and that after all have ended."""
    app, topics = App.load(str(FANOUT)), Topics(f"state-{number}")
    kafka, flink = Cluster(there.target.kafka), Flink(there.target.flink)
    prepare_topics(kafka, app, topics.namespace, lambda line: None)
    submission = Submission(str(FANOUT), topics.namespace)
    first = submit(submission, there.target, there.settings, lambda line: None)
    empty = _savepoint_bytes(flink, first.job_id)
    submit(submission, there.target, there.settings, lambda line: None)
    memory = _memory(there)
    with Traffic(there.target.kafka, topics, topics.inbox("hawk"), lambda message: True) as traffic:
        traffic.burst("open", plan.workflows, SINGLE_ASKED)
    memory_held = _memory(there) - memory
    again = submit(submission, there.target, there.settings, lambda line: None)
    held = _size(again.restored_from)
    restore_ms = _restore_ms(flink, again.job_id)
    there.stack.add_app(FANOUT, topics.namespace)
    try:
        _wait_ended(kafka, topics, plan.workflows)
    finally:
        there.stack.remove_app(topics.namespace)
    left = _size(local_path(flink.stop(again.job_id)))
    return {
        "bytes_per_workflow": (held - empty) / plan.workflows,
        "memory_bytes_per_workflow": memory_held / plan.workflows,
        "restore_ms": restore_ms,
        "bytes_left_per_workflow": (left - empty) / plan.workflows,
    }


def _checkpoints(there: Stage, plan: Plan, number: int) -> dict[str, float]:
    """How long checkpoints take while nobody waits for a model, and while many do."""
    topics = Topics(f"asks-{number}")
    prepare_topics(Cluster(there.target.kafka), App.load(str(ECHO)), topics.namespace, lambda line: None)
    flink = Flink(there.target.flink)
    with (
        _at_once(plan.asks),
        there.model_server(number, MODEL_S, sigma=0.0),
        job(there, topics.namespace),
        Traffic(there.target.kafka, topics, topics.inbox("echo"), lambda message: True) as traffic,
    ):
        (running,) = flink.jobs(job_name(topics.namespace))
        idle = _checkpoint_ms(flink, running.id, plan.checkpoints)
        for name in range(plan.asks):
            traffic.burst(f"asked-{name}", 1, ASKED, lambda identity: False)
        wait_for(lambda: _asks(flink, running.id) >= plan.asks or None, 60, "not all asks were in flight")
        busy = _checkpoint_ms(flink, running.id, plan.checkpoints)
    return {"checkpoint_ms": idle, "checkpoint_beside_asks_ms": busy, "checkpoint_ratio": busy / idle}


@contextmanager
def _at_once(asks: int) -> Iterator[None]:
    """The job of this block may have so many asks in flight."""
    before = os.environ["SWITCHYARD_MODEL_CONCURRENCY"]
    os.environ["SWITCHYARD_MODEL_CONCURRENCY"] = str(asks)
    try:
        yield
    finally:
        os.environ["SWITCHYARD_MODEL_CONCURRENCY"] = before


def _asks(flink: Flink, job_id: str) -> int:
    gauges = flink.gauges(job_id, ["orchestrator.asks_in_flight"])
    return sum(found["sum"] for found in gauges.values())


def _checkpoint_ms(flink: Flink, job_id: str, count: int) -> float:
    """The median time of the next checkpoints, from trigger to completion."""
    began = time.time() * 1000

    def done() -> list[float] | None:
        history = _get(flink, f"/jobs/{job_id}/checkpoints")["history"]
        own = [item for item in history if item["status"] == "COMPLETED" and item["trigger_timestamp"] > began]
        return [float(item["end_to_end_duration"]) for item in own] if len(own) >= count else None

    return median(wait_for(done, 120, "there were no checkpoints"))


def _savepoint_bytes(flink: Flink, job_id: str) -> int:
    return _size(local_path(flink.stop(job_id)))


def _size(savepoint: str | None) -> int:
    if savepoint is None:
        raise SwitchyardError("the job that ran left no savepoint")
    return sum(path.stat().st_size for path in Path(savepoint.removeprefix("file:")).rglob("*") if path.is_file())


def _restore_ms(flink: Flink, job_id: str) -> float:
    """The longest time that a task of the job was restoring its state."""
    vertices = _get(flink, f"/jobs/{job_id}")["vertices"]
    tasks = [_get(flink, f"/jobs/{job_id}/vertices/{vertex['id']}")["subtasks"] for vertex in vertices]
    return max(float(task["status-duration"]["INITIALIZING"]) for subtasks in tasks for task in subtasks)


def _memory(there: Stage) -> int:
    """Resident bytes of the TaskManager, its Python included."""
    info = there.stack.info()
    assert info is not None
    return sum(item.memory_info().rss for item in process_cleanup.members(info.stack_id, "flink-taskmanager"))


def _wait_ended(kafka: Cluster, topics: Topics, count: int) -> None:
    follower = kafka.follow([topics.workflow_status])
    ended: set[str] = set()
    moved = time.monotonic()
    try:
        for message in kafka.read(topics.workflow_status):
            _take(message, ended)
        while len(ended) < count:
            before = len(ended)
            for message in follower.poll(0.2):
                _take(message, ended)
            if len(ended) > before:
                moved = time.monotonic()
            if time.monotonic() - moved > 120:
                raise SwitchyardError(f"{count - len(ended)} of {count} workflows did not end")
    finally:
        follower.close()


def _take(message: KafkaRecord, ended: set[str]) -> None:
    told = Event.parse(message.value)
    if told.data["ended_at"] is not None:
        ended.add(told.workflow_id)


def _get(flink: Flink, path: str) -> Any:
    answer = httpx2.get(flink.address + path, timeout=30, trust_env=False)
    return answer.raise_for_status().json()
