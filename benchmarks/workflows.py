"""Whole workflows of the SDR app with a model that answers at once, and the CPU time that each takes: see README.md."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Workflows, medians
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.ways import job
from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.bundled import APPS
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster
from switchyard.local import process_cleanup

PATIENCE_S = 120.0
PROGRAMS = ("kafka", "flink-jobmanager", "flink-taskmanager", "worker")


@dataclass(frozen=True)
class Plan:
    """`leads` at once after `warm_up` others; all of it `runs` times."""

    leads: int = 500
    runs: int = 3
    warm_up: int = 100


PLANS = {"whole": Plan(), "quick": Plan(leads=100, runs=1, warm_up=25), "smallest": Plan(leads=2, runs=1, warm_up=1)}


def run(there: Stage, plan: Plan, report: Report) -> Workflows:
    """Median figures of the runs."""
    measured = []
    for number in range(1, plan.runs + 1):
        figures = measure(there, plan, number)
        measured.append(figures)
        report(
            f"Run {number} of {plan.runs}: {figures.workflows_per_s:.1f} workflows/s, "
            f"{figures.cpu_s:.3f} s of CPU time for each{calibrated()}"
        )
    return medians(measured)


def measure(there: Stage, plan: Plan, number: int) -> Workflows:
    """One run in topics and with a worker of its own, after a warm-up."""
    app, topics = App.load("sdr"), Topics(f"workflows-{number}")
    cluster = Cluster(there.target.kafka)
    prepare_topics(cluster, app, topics.namespace, lambda line: None)
    there.stack.add_app("sdr", topics.namespace, {"SDR_DAY_SECONDS": "0.01"})
    try:
        with there.model_server(number, 0.0, sigma=0.0), job(there, topics.namespace, app=APPS / "sdr"):
            _send(cluster, app, topics, "warm", plan.warm_up)
            before, asked = _cpu(there, topics), len(there.calls())
            began = time.monotonic()
            steps = _send(cluster, app, topics, "lead", plan.leads)
            seconds = time.monotonic() - began
            spent = {name: (at - before[name]) / plan.leads for name, at in _cpu(there, topics).items()}
            return Workflows(
                workflows_per_s=plan.leads / seconds,
                cpu_s=sum(spent.values()),
                kafka_cpu_s=spent["kafka"],
                jobmanager_cpu_s=spent["flink-jobmanager"],
                taskmanager_cpu_s=spent["flink-taskmanager"],
                worker_cpu_s=spent["worker"],
                decisions=steps / plan.leads,
                model_calls=(len(there.calls()) - asked) / plan.leads,
            )
    finally:
        there.stack.remove_app(topics.namespace)


def _send(cluster: Cluster, app: App, topics: Topics, name: str, count: int) -> int:
    """Send leads, and wait until all workflows have ended; answers how many steps they took together."""
    (intake,) = app.registry.file.inputs
    good = list(_leads(app, intake.type))
    leads = [{**good[n % len(good)], "lead_id": f"{name}-{n}"} for n in range(count)]
    follower = cluster.follow([topics.workflow_status])
    try:
        cluster.send(topics.named(intake.topic), [(None, strictjson.dumps(lead).encode()) for lead in leads])
        missing, steps, moved = {str(lead["lead_id"]) for lead in leads}, 0, time.monotonic()
        while missing:
            for message in follower.poll(0.1):
                told = Event.parse(message.value)
                if told.workflow_id in missing and told.data["ended_at"] is not None:
                    missing.discard(told.workflow_id)
                    steps += told.data["steps"]
                    moved = time.monotonic()
            if time.monotonic() - moved > PATIENCE_S:
                raise SwitchyardError(f"{len(missing)} of {count} workflows did not end, among them {min(missing)}")
        return steps
    finally:
        follower.close()


def _leads(app: App, type: str) -> Iterable[dict[str, Any]]:
    """The demo's leads that meet their contract."""
    for line in Path(app.folder / "leads.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            lead = strictjson.loads(line)
            app.registry.contracts[type].check(lead)
        except (ValueError, Rejected):
            continue
        yield lead


def _cpu(there: Stage, topics: Topics) -> dict[str, float]:
    """Seconds of CPU time so far, by program; what a process that has ended spent is not in it."""
    info = there.stack.info()
    assert info is not None
    found = {}
    for name in PROGRAMS:
        program = f"worker-{topics.namespace}" if name == "worker" else name
        times = [item.cpu_times() for item in process_cleanup.members(info.stack_id, program)]
        found[name] = sum(item.user + item.system for item in times)
    return found
