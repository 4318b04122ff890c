"""How many messages a second, and how much later, when a model decides about each: see README.md."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.apps import ECHO
from benchmarks.figures import Figures, medians
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.traffic import Traffic
from benchmarks.ways import WAYS
from switchyard.core.app import App
from switchyard.core.topics import Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster

ASKED, AGENT = "bench.asked", "echo"


@dataclass(frozen=True)
class Plan:
    """Events at once, then `per_second` for `seconds`; all of it `runs` times."""

    burst: int = 1000
    seconds: int = 60
    runs: int = 3
    per_second: int = 20
    warm_up: int = 200


PLANS = {
    "whole": Plan(),
    "quick": Plan(burst=400, seconds=20, runs=1),
    "smallest": Plan(burst=10, seconds=1, runs=1, warm_up=1),
}


def run(there: Stage, plan: Plan, report: Report) -> dict[str, Figures]:
    """Median figures by way. In each run every way has its turn, so that none has the quieter machine."""
    measured: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for number in range(1, plan.runs + 1):
        for way in WAYS:
            figures = measure(there, way, plan, number)
            measured[way].append(figures)
            report(
                f"Run {number} of {plan.runs}, {way}: {figures.throughput_per_s:.1f} messages/s, "
                f"overhead p50 {figures.p50_overhead_ms:.0f} ms, p99 {figures.p99_overhead_ms:.0f} ms{calibrated()}"
            )
    return {way: medians(runs) for way, runs in measured.items()}


def measure(there: Stage, way: str, plan: Plan, number: int) -> Figures:
    """One run of one way, in topics of its own, after a warm-up. All ways of a run meet the same latencies."""
    topics = Topics(f"{way.replace('_', '-')}-{number}")
    prepare_topics(Cluster(there.target.kafka), App.load(str(ECHO)), topics.namespace, lambda line: None)
    with (
        there.model_server(seed=number),
        WAYS[way](there, topics.namespace),
        Traffic(there.target.kafka, topics, topics.inbox(AGENT), lambda message: True) as traffic,
    ):
        traffic.burst("warm", plan.warm_up, ASKED)
        burst = traffic.burst("burst", plan.burst, ASKED)
        paced = traffic.paced("paced", plan.seconds * plan.per_second, plan.per_second, ASKED)
        return Figures.of(burst, paced, there.calls())
