"""What one call in a hundred that the model never answers costs all the others: see README.md."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.apps import ECHO
from benchmarks.figures import Hang, medians, percentile
from benchmarks.inference import AGENT, ASKED
from benchmarks.stage import Report, Stage, calibrated
from benchmarks.traffic import Traffic
from benchmarks.ways import job
from switchyard.core.app import App
from switchyard.core.topics import Topics
from switchyard.deployment.submit import prepare_topics
from switchyard.kafka.admin import Cluster

MODEL_S = 0.5
HANGS = '00","text"'
"""What a question has in it that is never answered: its event's number ends in 00."""


@dataclass(frozen=True)
class Plan:
    """`per_second` questions for `seconds`, once without and once with calls that hang; all of it `runs` times."""

    seconds: int = 60
    runs: int = 3
    per_second: int = 20
    warm_up: int = 200


PLANS = {
    "whole": Plan(),
    "quick": Plan(seconds=20, runs=1),
    "smallest": Plan(seconds=1, runs=1, warm_up=1),
}


def run(there: Stage, plan: Plan, report: Report) -> Hang:
    """Median figures of the runs."""
    measured = []
    for number in range(1, plan.runs + 1):
        figures = Hang.of(_p99(there, plan, f"smooth-{number}", ""), _p99(there, plan, f"hanging-{number}", HANGS))
        measured.append(figures)
        report(
            f"Run {number} of {plan.runs}: p99 {figures.p99_ms:.0f} ms, beside calls that hang "
            f"{figures.p99_beside_hanging_ms:.0f} ms{calibrated()}"
        )
    return medians(measured)


def _p99(there: Stage, plan: Plan, namespace: str, hangs: str) -> float:
    topics = Topics(namespace)
    prepare_topics(Cluster(there.target.kafka), App.load(str(ECHO)), namespace, lambda line: None)
    with (
        there.model_server(1, MODEL_S, sigma=0.0, hang_on=hangs),
        job(there, namespace),
        Traffic(there.target.kafka, topics, topics.inbox(AGENT), lambda message: True) as traffic,
    ):
        traffic.burst("warm", plan.warm_up, ASKED, _is_answered)
        paced = traffic.paced("paced", plan.seconds * plan.per_second, plan.per_second, ASKED, _is_answered)
        return percentile([paced.arrived[name] - at for name, at in paced.sent.items()], 0.99)


def _is_answered(identity: str) -> bool:
    """In either run: so the same events are compared."""
    return not identity.endswith("00")
