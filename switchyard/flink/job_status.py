"""What `status` shows of each Switchyard job on a cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass

from switchyard.core.job_config import namespace_of
from switchyard.flink.rest import Flink, FlinkJob

RUNNING = "RUNNING"
GATHERING_S = 0.5
"""How long Flink may take to gather metrics from its TaskManagers."""

_NAMES = ("waiting_asks", "oldest_waiting_ask_ms", "asks_in_flight", "model_circuit_open", "answers_proved")
_GAUGES = {name: f"orchestrator.{name}" for name in _NAMES}


@dataclass(frozen=True)
class JobStatus:
    """One job. `state` is Flink's; `running_since` is in milliseconds since 1970, None while it does not run.

    The figures are None where there are none: the job has had no input yet, or is a stateless one. `answers_proved`
    tells whether all of its TaskManagers have a key for that (ADR 8).
    """

    namespace: str
    name: str
    job_id: str
    state: str
    running_since: int | None
    restarts: int
    waiting_asks: int | None
    oldest_waiting_ask_ms: int | None
    asks_in_flight: int | None
    model_circuit_open: bool | None
    answers_proved: bool | None

    @property
    def circuit(self) -> str | None:
        """The model's circuit breaker in words; None where nothing is known of it."""
        if not self.model_circuit_open:
            return None if self.model_circuit_open is None else "closed"
        waiting = self.waiting_asks or 0
        decisions = f"{waiting} decision{' waits' if waiting == 1 else 's wait'}"
        return f"open: the model endpoint does not answer; {decisions}"


def job_statuses(flink: Flink) -> list[JobStatus]:
    """Every Switchyard job that has not ended, by namespace. Raises FlinkError."""
    jobs = [(namespace, job) for job in flink.jobs() if (namespace := namespace_of(job.name)) is not None]
    for _, job in jobs:
        _gauges(flink, job)
    time.sleep(GATHERING_S if jobs else 0)
    return [_status(flink, namespace, job) for namespace, job in sorted(jobs, key=lambda item: item[1].name)]


def _status(flink: Flink, namespace: str, job: FlinkJob) -> JobStatus:
    gauges = _gauges(flink, job)

    def figure(name: str, kind: str) -> int | None:
        return gauges[_GAUGES[name]][kind] if _GAUGES[name] in gauges else None

    opened, proved = figure("model_circuit_open", "max"), figure("answers_proved", "min")
    return JobStatus(
        namespace=namespace,
        name=job.name,
        job_id=job.id,
        state=job.state,
        running_since=flink.running_since(job.id) if job.state == RUNNING else None,
        restarts=flink.restarts(job.id),
        waiting_asks=figure("waiting_asks", "sum"),
        oldest_waiting_ask_ms=figure("oldest_waiting_ask_ms", "max"),
        asks_in_flight=figure("asks_in_flight", "sum"),
        model_circuit_open=None if opened is None else bool(opened),
        answers_proved=None if proved is None else bool(proved),
    )


def _gauges(flink: Flink, job: FlinkJob) -> dict[str, dict[str, int]]:
    return flink.gauges(job.id, list(_GAUGES.values())) if job.state == RUNNING else {}
