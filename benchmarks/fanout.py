"""How long it takes until the answers of three agents are gathered: see README.md."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.apps import FANOUT
from benchmarks.figures import medians
from benchmarks.passages import FanOut, Passage, is_gathered, passages
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.traffic import Traffic
from benchmarks.ways import job
from switchyard.core.app import App
from switchyard.core.topics import Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster

MODEL_S = 0.5
QUICK_ASKED, SLOW_ASKED, SINGLE_ASKED = "quick.asked", "slow.asked", "single.asked"


@dataclass(frozen=True)
class Plan:
    """`per_second` questions for `seconds` without a model, then `pairs` of questions to three agents and to one with
    a model; all of it `runs` times."""

    seconds: int = 60
    pairs: int = 20
    runs: int = 3
    per_second: int = 20
    warm_up: int = 800


PLANS = {
    "whole": Plan(),
    "quick": Plan(seconds=15, pairs=8, runs=1),
    "smallest": Plan(seconds=1, pairs=1, runs=1, warm_up=1),
}


def run(there: Stage, plan: Plan, report: Report) -> FanOut:
    """Median figures of the runs."""
    measured = []
    for number in range(1, plan.runs + 1):
        figures = measure(there, plan, number)
        measured.append(figures)
        report(
            f"Run {number} of {plan.runs}: p50 {figures.p50_ms:.0f} ms, p95 {figures.p95_ms:.0f} ms "
            f"(Kafka {figures.kafka_ms:.0f}, Flink {figures.flink_ms:.0f}, agents {figures.agents_ms:.0f}); with a "
            f"model three agents {figures.three_agents_ms:.0f} ms, one {figures.one_agent_ms:.0f} ms{calibrated()}"
        )
    return medians(measured)


def measure(there: Stage, plan: Plan, number: int) -> FanOut:
    """One run in topics and with a worker of its own, after a warm-up."""
    app, topics = App.load(str(FANOUT)), Topics(f"fanout-{number}")
    kafka = Cluster(there.target.kafka)
    prepare_topics(kafka, app, topics.namespace, lambda line: None)
    there.stack.add_app(FANOUT, topics.namespace)
    try:
        with (
            there.model_server(number, MODEL_S, sigma=0.0),
            job(there, topics.namespace, app=FANOUT),
            Traffic(there.target.kafka, topics, topics.agent_messages, is_gathered) as traffic,
        ):
            traffic.burst("first", 1, QUICK_ASKED)
            traffic.paced("warm", plan.warm_up, plan.per_second, QUICK_ASKED)
            traffic.hops_ms.clear()
            quick = traffic.paced("quick", plan.seconds * plan.per_second, plan.per_second, QUICK_ASKED)
            hops_ms = list(traffic.hops_ms)
            three: dict[str, float] = {}
            one: dict[str, float] = {}
            for pair in range(plan.pairs):
                three.update(traffic.burst(f"three-{pair:03d}", 1, SLOW_ASKED).sent)
                one.update(traffic.burst(f"one-{pair:03d}", 1, SINGLE_ASKED).sent)
    finally:
        there.stack.remove_app(topics.namespace)
    events, ledger = list(kafka.read(topics.agent_messages)), list(kafka.read(topics.routing_decisions))
    inboxes = [message for name in app.registry.agents for message in kafka.read(topics.inbox(name))]

    def way(sent: dict[str, float]) -> list[Passage]:
        return passages(events, ledger, inboxes, sent)

    return FanOut.of(way(dict(quick.sent)), way(three), way(one), hops_ms)
