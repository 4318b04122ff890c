"""How many events a second, and how late, when a rule in SQL decides about each: see README.md."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.apps import ECHO
from benchmarks.figures import Rate, medians
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.traffic import Traffic
from benchmarks.ways import RULE_WAYS
from switchyard.core.app import App
from switchyard.core.topics import Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster

RULED, AGENT, CEILING = "bench.ruled", "echo", "keyed_function"


@dataclass(frozen=True)
class Plan:
    """Events at once, then `per_second` for `seconds`; all of it `runs` times."""

    burst: int = 8000
    seconds: int = 60
    runs: int = 3
    per_second: int = 20
    warm_up: int = 2000


PLANS = {
    "whole": Plan(),
    "quick": Plan(burst=2000, seconds=15, runs=1, warm_up=1000),
    "smallest": Plan(burst=10, seconds=1, runs=1, warm_up=1),
}


def run(there: Stage, plan: Plan, report: Report) -> dict[str, Rate]:
    """Median figures by way; in each run every way has its turn."""
    measured: dict[str, list[Rate]] = {way: [] for way in RULE_WAYS}
    for number in range(1, plan.runs + 1):
        rates = {}
        for way in RULE_WAYS:
            rates[way] = rate = measure(there, way, plan, number)
            report(
                f"Run {number} of {plan.runs}, {way}: {rate.throughput_per_s:.0f} events/s, "
                f"p50 {rate.p50_ms:.0f} ms, p99 {rate.p99_ms:.0f} ms{calibrated()}"
            )
        for way, rate in rates.items():
            measured[way].append(rate.beside(rates[CEILING]))
    return {way: medians(runs) for way, runs in measured.items()}


def measure(there: Stage, way: str, plan: Plan, number: int) -> Rate:
    """One run of one way, in topics of its own, after a warm-up."""
    topics = Topics(f"rules-{way.replace('_', '-')}-{number}")
    prepare_topics(Cluster(there.target.kafka), App.load(str(ECHO)), topics.namespace, lambda line: None)
    with (
        RULE_WAYS[way](there, topics.namespace),
        Traffic(there.target.kafka, topics, topics.inbox(AGENT), lambda message: True) as traffic,
    ):
        traffic.burst("warm", plan.warm_up, RULED)
        burst = traffic.burst("burst", plan.burst, RULED)
        paced = traffic.paced("paced", plan.seconds * plan.per_second, plan.per_second, RULED)
        return Rate.of(burst, paced)
