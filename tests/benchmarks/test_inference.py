"""The pure parts of the benchmark: matching calls with events, and what is reported. No test asserts a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.apps import ECHO
from benchmarks.figures import Figures, Trips, as_json, call_latencies, medians, overheads, percentile
from benchmarks.inference import AGENT
from benchmarks.ways import WAYS
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.routing.question import question
from switchyard.local.model_server.calls import CallRecord, Calls, beginning


def call(identity: str, latency_ms: float, status: int = 200, text: str = "why?") -> CallRecord:
    """A call as the model server logs it, about an event of the benchmark's app."""
    event = Event.new(
        id="elsewhere",
        source="test",
        type="bench.asked",
        workflow_id="w",
        data={"id": identity, "text": text},
    )
    asked = question(App.load(str(ECHO)).registry, event)
    return CallRecord(1.0, latency_ms, "routing", "", status, beginning(asked.messages[1]["content"]))


def log(*calls: CallRecord) -> list[dict[str, Any]]:
    kept = Calls()
    for record in calls:
        kept.add(record)
    return kept.log(with_messages=True)


def test_calls_are_matched_with_events_by_the_id_in_the_data() -> None:
    assert call_latencies(log(call("a-1", 700.0), call("a-2", 900.0))) == {"a-1": 700.0, "a-2": 900.0}


def test_a_message_that_the_log_cut_off_is_matched_too() -> None:
    assert call_latencies(log(call("a-1", 700.0, text="x" * 10_000))) == {"a-1": 700.0}


def test_the_last_answered_call_about_an_event_counts() -> None:
    rows = log(call("a", 1.0), call("a", 2.0), call("a", 3.0, status=500))
    assert call_latencies(rows) == {"a": 2.0}


def test_overhead_is_what_the_model_did_not_take() -> None:
    trips = Trips({"a": 1000.0, "b": 2000.0}, {"a": 1850.0, "b": 2930.0})
    assert overheads(trips, {"a": 800.0, "b": 900.0, "other": 1.0}) == [50.0, 30.0]


@pytest.mark.parametrize(("arrived", "latencies"), [({}, {"a": 1.0}), ({"a": 2.0}, {})])
def test_an_event_that_cannot_be_accounted_for_is_an_error(
    arrived: dict[str, float], latencies: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match=r"1 events .* a$"):
        overheads(Trips({"a": 1.0}, arrived), latencies)


def test_throughput_includes_the_tail() -> None:
    assert Trips({"a": 1000.0, "b": 1001.0}, {"a": 1500.0, "b": 5000.0}).per_second == 0.5


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


def test_each_figure_is_a_median_of_its_own() -> None:
    runs = [Figures(80.0, 0.7, 30.0, 300.0), Figures(90.0, 0.8, 10.0, 100.0), Figures(70.0, 0.6, 20.0, 900.0)]
    assert medians(runs) == Figures(80.0, 0.7, 20.0, 300.0)


def test_the_result_is_one_line_with_the_same_figures_for_every_way() -> None:
    line = as_json({way: Figures(84.26, 0.76601, 41.55, 96.2) for way in WAYS})
    assert "\n" not in line
    assert json.loads(line) == {
        way: {"throughput_per_s": 84.3, "throughput_ratio": 0.766, "p50_overhead_ms": 41.5, "p99_overhead_ms": 96.2}
        for way in ("orchestrator", "route_message", "plain_loop")
    }


def test_a_model_is_asked_about_every_event_of_the_app() -> None:
    app = App.load(str(ECHO))
    assert [agent.name for agent in app.registry.accepting("bench.asked")] == [AGENT]
    assert "bench.asked" in app.registry.file.starts
    assert not app.registry.ends("bench.asked")
