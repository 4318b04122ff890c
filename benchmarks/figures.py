"""From what was seen to what is reported. Nothing here waits, reads or writes.

An event's overhead is its time from the producer to the inbox, less what the model server says its own call took.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CAPACITY_PER_S = 110.0
"""100 calls at once of 0.907 s each: the mean of a lognormal with median 0.8 s and sigma 0.5."""

Measured = TypeVar("Measured", bound="DataclassInstance")
"""A dataclass of figures, every one a number."""

_ASKED_ABOUT = re.compile(r'"data":\{"id":"([^"]+)"')


@dataclass(frozen=True)
class Trips:
    """When events were sent and when they were first seen in the inbox, by id; in milliseconds since 1970."""

    sent: Mapping[str, float]
    arrived: Mapping[str, float]

    @property
    def missing(self) -> set[str]:
        return self.sent.keys() - self.arrived.keys()

    @property
    def per_second(self) -> float:
        """From the first one sent to the last one seen, the tail included."""
        return len(self.sent) * 1000 / (max(self.arrived.values()) - min(self.sent.values()))


@dataclass(frozen=True)
class Figures:
    """`throughput_ratio` is the part of what the model server could answer at most."""

    throughput_per_s: float
    throughput_ratio: float
    p50_overhead_ms: float
    p99_overhead_ms: float

    @classmethod
    def of(cls, burst: Trips, paced: Trips, log: Iterable[Mapping[str, Any]]) -> Figures:
        """Throughput from one phase, overhead from the other."""
        milliseconds = overheads(paced, call_latencies(log))
        per_second = burst.per_second
        return cls(
            per_second, per_second / CAPACITY_PER_S, percentile(milliseconds, 0.5), percentile(milliseconds, 0.99)
        )


@dataclass(frozen=True)
class Rate:
    """Throughput of a burst, its tail included; milliseconds from sending to inbox at a steady rate.

    `ceiling_ratio` is the throughput ÷ that of the way that is the ceiling, in the same run.
    """

    throughput_per_s: float
    ceiling_ratio: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, burst: Trips, paced: Trips) -> Rate:
        times = [paced.arrived[name] - at for name, at in paced.sent.items()]
        return cls(burst.per_second, 1.0, percentile(times, 0.5), percentile(times, 0.99))

    def beside(self, ceiling: Rate) -> Rate:
        return replace(self, ceiling_ratio=self.throughput_per_s / ceiling.throughput_per_s)


@dataclass(frozen=True)
class Hang:
    """99th percentiles from sending to inbox, of events whose own call is answered; `p99_ratio` is the second ÷ the
    first."""

    p99_ms: float
    p99_beside_hanging_ms: float
    p99_ratio: float

    @classmethod
    def of(cls, smooth_ms: float, hanging_ms: float) -> Hang:
        return cls(smooth_ms, hanging_ms, hanging_ms / smooth_ms)


@dataclass(frozen=True)
class Workflows:
    """`cpu_s` and its parts are seconds of CPU time for one workflow, `decisions` and `model_calls` numbers of one."""

    workflows_per_s: float
    cpu_s: float
    kafka_cpu_s: float
    jobmanager_cpu_s: float
    taskmanager_cpu_s: float
    worker_cpu_s: float
    decisions: float
    model_calls: float


@dataclass(frozen=True)
class State:
    """Bytes are those of a savepoint and of resident memory, ÷ workflows, what an idle job has left out.

    `restore_ms` is the longest time that a task restores; `checkpoint_ms` a median while no model is asked,
    `checkpoint_beside_asks_ms` one while asks are in flight.
    """

    bytes_per_workflow: float
    memory_bytes_per_workflow: float
    restore_ms: float
    bytes_left_per_workflow: float
    checkpoint_ms: float
    checkpoint_beside_asks_ms: float
    checkpoint_ratio: float


def call_latencies(log: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Milliseconds of the call about each event, from the rows of `GET /log?messages=true`.

    The log holds only the beginning of a message, so the id is searched for, not parsed. The last answered call counts.
    """
    latencies = {}
    for row in log:
        match = _ASKED_ABOUT.search(row["user"])
        if match and row["status"] == 200:
            latencies[match.group(1)] = float(row["latency_ms"])
    return latencies


def overheads(trips: Trips, latencies: Mapping[str, float]) -> list[float]:
    """One for each event. Raises ValueError where one has not arrived, or was routed without a call."""
    unknown = trips.missing | (trips.sent.keys() - latencies.keys())
    if unknown:
        raise ValueError(f"{len(unknown)} events without an arrival or a call, among them {min(unknown)}")
    return [trips.arrived[name] - at - latencies[name] for name, at in trips.sent.items()]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def medians(runs: Sequence[Measured]) -> Measured:
    """Each figure's median over the runs."""
    kind = type(runs[0])
    return kind(*(median(getattr(run, item.name) for run in runs) for item in fields(kind)))


def rounded(figures: Measured) -> dict[str, float]:
    """By name; ratios and seconds of CPU time with three digits, everything else with one."""
    values: dict[str, float] = asdict(figures)
    return {name: round(value, 3 if name.endswith(("_ratio", "cpu_s")) else 1) for name, value in values.items()}


def as_json(results: Mapping[str, Figures] | Mapping[str, Rate]) -> str:
    """One line: by way, its figures."""
    return json.dumps({way: rounded(figures) for way, figures in results.items()})
