"""How `status` shows the Switchyard jobs on the cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from switchyard import terminal
from switchyard.cli.formatting import clock, lasted, table

if TYPE_CHECKING:
    from switchyard.flink.job_status import JobStatus


def show_jobs(flink: str, as_json: bool) -> None:
    """The jobs of a cluster below the processes; where it does not answer, that is said on standard error."""
    from switchyard.flink.job_status import job_statuses
    from switchyard.flink.rest import Flink, FlinkError

    try:
        jobs = job_statuses(Flink(flink))
    except FlinkError as error:
        terminal.complain(f"The jobs are not known: {error}")
        return
    if as_json:
        terminal.say_json(map(_line, jobs))
    elif jobs:
        terminal.say()
        _table(jobs)


def unproved(where: str, namespace: str) -> str:
    """What follows where there is no key for dispatches, as a sentence."""
    return (
        f"SWITCHYARD_DISPATCH_KEY is not set for {where}, so whoever may write {namespace}.agent-messages can answer "
        "for an agent; see docs/security.md"
    )


def _line(item: JobStatus) -> dict[str, object]:
    """An object with everything that the line of a process has, and what only a job has."""
    running = item.running_since
    return {
        "process": item.name.replace("switchyard", "job", 1),
        "pid": None,
        "port": None,
        "health": "healthy" if item.state == "RUNNING" else item.state.lower(),
        "restarts": item.restarts,
        "uptime": None if running is None else round(time.time() - running / 1000, 3),
        "log": None,
        **asdict(item),
        "model_circuit": item.circuit,
    }


def _table(jobs: Sequence[JobStatus]) -> None:
    rows = [
        (
            item.namespace,
            item.state,
            clock(item.running_since),
            item.waiting_asks,
            None if item.oldest_waiting_ask_ms is None else lasted(item.oldest_waiting_ask_ms),
            item.asks_in_flight,
            item.circuit,
        )
        for item in jobs
    ]
    for item in jobs:
        if item.answers_proved is False:
            terminal.complain(f"{item.namespace}: {unproved('its TaskManagers', item.namespace)}")
    table(("job", "state", "running since", "waiting asks>", "oldest>", "in flight>", "model circuit"), rows)
