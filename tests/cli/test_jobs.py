"""What `status` says of jobs, with a Flink of the test's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from switchyard.cli.jobs import show_jobs
from switchyard.core.job_config import job_name, namespace_of
from switchyard.flink.job_status import job_statuses
from switchyard.flink.rest import Flink, FlinkError
from switchyard.local.ports import free_port


@dataclass
class FakeFlink:
    """Answers of Flink's REST API: jobs by (name, state), gauges by job name, per subtask."""

    jobs: list[tuple[str, str]]
    gauges: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    address: str = ""

    def answer(self, path: str) -> Any:
        if path == "/jobs/overview":
            return {"jobs": [{"jid": f"id{n}", "name": name, "state": state} for n, (name, state) in self._numbered()]}
        name, state = self.jobs[int(re.findall(r"/jobs/id(\d+)", path)[0])]
        if "numRestarts" in path:
            return [{"id": "numRestarts", "value": "2"}]
        if "/metrics" in path:
            found = self.gauges.get(name, {})
            return [
                {"id": f"orchestrator.{key}", "min": float(min(each)), "max": float(max(each)), "sum": float(sum(each))}
                for key, each in found.items()
                if f"orchestrator.{key}" in path
            ]
        return {"state": state, "vertices": [{"id": "v1", "status": state}], "timestamps": {"RUNNING": 1_000_000}}

    def _numbered(self) -> Iterator[tuple[int, tuple[str, str]]]:
        return iter(enumerate(self.jobs))


@pytest.fixture
def flink() -> Iterator[FakeFlink]:
    fake = FakeFlink([])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(fake.answer(self.path)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    fake.address = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def gauges(waiting: list[int], opened: list[int]) -> dict[str, list[int]]:
    return {
        "waiting_asks": waiting,
        "oldest_waiting_ask_ms": [n * 1000 for n in waiting],
        "asks_in_flight": [1 for _ in waiting],
        "model_circuit_open": opened,
    }


def test_the_names_of_our_jobs() -> None:
    for stateless in (False, True):
        assert namespace_of(job_name("sdr-4f2a91", stateless)) == "sdr-4f2a91"
    assert namespace_of("insert-into_somewhere") is None


def test_figures_are_those_of_all_subtasks(flink: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    flink.jobs = [
        ("switchyard sdr", "RUNNING"),
        ("of somebody else", "RUNNING"),
        ("switchyard old", "FAILED"),
        ("switchyard finance", "RESTARTING"),
        ("switchyard sdr (stateless)", "RUNNING"),
    ]
    flink.gauges["switchyard sdr"] = gauges([3, 4], [0, 1])
    found = {item.name: item for item in job_statuses(Flink(flink.address))}
    assert list(found) == ["switchyard finance", "switchyard sdr", "switchyard sdr (stateless)"]
    sdr = found["switchyard sdr"]
    assert (sdr.waiting_asks, sdr.oldest_waiting_ask_ms, sdr.asks_in_flight) == (7, 4000, 2)
    assert sdr.circuit == "open: the model endpoint does not answer; 7 decisions wait"
    assert (sdr.running_since, sdr.restarts) == (1_000_000, 2)
    assert found["switchyard sdr (stateless)"].circuit is None
    assert found["switchyard finance"].running_since is None

    show_jobs(flink.address, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["process"] for line in lines] == ["job finance", "job sdr", "job sdr (stateless)"]
    assert [line["health"] for line in lines] == ["restarting", "healthy", "healthy"]
    assert all({"process", "pid", "port", "health", "restarts", "uptime", "log"} <= set(line) for line in lines)
    show_jobs(flink.address, as_json=False)
    assert "7 decisions wait" in capsys.readouterr().out


@pytest.mark.parametrize(("waiting", "opened", "said"), [(1, 1, "1 decision waits"), (5, 0, "closed")])
def test_the_circuit_in_words(flink: FakeFlink, waiting: int, opened: int, said: str) -> None:
    flink.jobs = [("switchyard sdr", "RUNNING")]
    flink.gauges["switchyard sdr"] = gauges([waiting], [opened])
    (job,) = job_statuses(Flink(flink.address))
    assert job.circuit is not None
    assert job.circuit.endswith(said)


def test_a_flink_that_does_not_answer_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(FlinkError):
        job_statuses(Flink(address))
    show_jobs(address, as_json=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"The jobs are not known: no Flink answers at {address}" in shown.err


@pytest.mark.parametrize(("proved", "said"), [([1, 0], True), ([1, 1], False)])
def test_a_job_whose_answers_are_not_proved_is_named(
    flink: FakeFlink, capsys: pytest.CaptureFixture[str], proved: list[int], said: bool
) -> None:
    flink.jobs = [("switchyard sdr", "RUNNING")]
    flink.gauges["switchyard sdr"] = {**gauges([0, 0], [0, 0]), "answers_proved": proved}
    show_jobs(flink.address, as_json=False)
    told = "whoever may write sdr.agent-messages can answer for an agent" in capsys.readouterr().err
    assert told == said
