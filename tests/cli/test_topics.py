"""The commands that read and write topics: send, workflows, trace."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from switchyard.cli.inboxes import show_unread
from switchyard.cli.rendering import render_trace
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator.shard import Question
from switchyard.core.routing.verdict import ModelDecision
from switchyard.core.settings import Settings
from switchyard.testing.memory import InMemory
from tests.agents.support import SDR
from tests.cli.conftest import FakeCluster, Run
from tests.core import test_gathering
from tests.core.toy import opened, registry


def choose(event: Event, question: Question) -> ModelDecision:
    agent = {"ticket.opened": "triage", "ticket.sorted": "fixing", "ticket.part": "fixing"}[event.type]
    return ModelDecision((agent,), f"{event.type} is for {agent}", 0.75, "scripted", 1, 30, 4, 0.002, 12.0)


def split(event: Event) -> list[tuple[str, object]]:
    if event.type == "ticket.part":
        return [("ticket.done", {"note": "mended"})]
    return [("ticket.part", {"part": 1}), ("ticket.part", {"part": 2})]


@pytest.fixture
def ran() -> InMemory:
    """Two tickets through triage and fixing, which splits each; the second ticket comes twice."""
    handlers = {"triage": lambda event: [("ticket.sorted", {"kind": "bug"})], "fixing": split}
    memory = InMemory(registry(), choose, handlers)  # type: ignore[arg-type]
    for number in (1, 2, 2):
        memory.publish(opened(number))
        memory.settle()
    return memory


@pytest.fixture
def written(ran: InMemory, kafka: type[FakeCluster]) -> type[FakeCluster]:
    """The same, in the topics of the app sdr."""
    for line in ran.ledger:
        kafka.add("sdr.routing-decisions", b"0", line.encode())
    for name, event in ran.statuses.items():
        kafka.add("sdr.workflow-status", name.encode(), event.json().encode())
    kafka.content["sdr.dead-letters"] = []
    return kafka


def records(memory: InMemory, workflow_id: str) -> list[Decision]:
    parsed = [parse_record(line) for line in memory.ledger]
    return [item for item in parsed if isinstance(item, Decision) and item.workflow_id == workflow_id]


def text(rendered: object) -> str:
    screen = Console(file=StringIO(), width=200)
    screen.print(rendered)
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue()


def test_a_trace_follows_causation(ran: InMemory) -> None:
    shown = text(render_trace(records(ran, "w2"), ran.statuses["w2"].data))
    lines = [line.strip("│├└─ \n") for line in shown.splitlines()]
    assert any(line.endswith("ticket.opened from tests") for line in lines)
    assert "→ triage  by model, confidence 0.75" in lines
    assert "ticket.opened is for triage" in lines
    assert "scripted (1 call, 12 ms), 30 + 4 tokens, cost 0.0020" in lines
    assert sum("fixing answered ticket.part after" in line for line in lines) == 2
    assert sum("fixing answered ticket.done after" in line for line in lines) == 2
    assert "→ branch complete  by rule" in lines
    assert any(line.startswith("completed after") for line in lines)
    assert lines[-1] == "ignored: 1 repeated event, 0 repeated records"
    depth = [line.index("fixing answered") for line in shown.splitlines() if "fixing answered" in line]
    assert len(set(depth)) == 2


def test_a_trace_counts_repeated_records_and_shows_who_has_not_answered(ran: InMemory) -> None:
    first = records(ran, "w1")[:1]
    shown = text(render_trace(first * 2, None))
    assert "triage has not answered" in shown
    assert "no status was written" in shown
    assert "1 repeated record" in shown


def test_a_trace_shows_a_failure_and_a_dead_letter() -> None:
    failed = {"agent": "triage", "reason": "handler-error", "message": "no"}
    memory = InMemory(registry(), choose, {"triage": lambda event: [("agent.failed", failed)]})  # type: ignore[arg-type]
    memory.publish(opened(1))
    memory.settle()
    shown = text(render_trace(records(memory, "w1"), memory.statuses["w1"].data, memory.dead_letters))
    assert "triage failed on ticket.opened" in shown
    assert "→ dead letter" in shown
    assert "failed after" in shown


def test_workflows_as_lines_and_as_a_table(run: Run, written: type[FakeCluster]) -> None:
    found = [json.loads(line) for line in run("workflows", "--json").stdout.splitlines()]
    assert [item["workflow_id"] for item in found] == ["w1", "w2"]
    assert {"app", "status", "hops", "model_calls", "started_at", "ended_at", "reason"} <= found[0].keys()
    assert found[1]["duplicates"] == 1
    assert found[0]["started_at"].startswith("1970-01-01T00:00:01")
    assert "2 workflows, 0 running" in run("workflows").stdout
    assert "None of the 2 workflows" in run("workflows", "--status", "failed").stdout


def test_workflows_without_status_events_come_from_the_ledger(run: Run, written: type[FakeCluster]) -> None:
    told = [json.loads(line) for line in run("workflows", "--json").stdout.splitlines()]
    written.content["sdr.workflow-status"] = []
    derived = [json.loads(line) for line in run("workflows", "--json").stdout.splitlines()]
    same = ("workflow_id", "status", "hops", "model_calls", "dispatches", "tokens")
    assert [[item[name] for name in same] for item in derived] == [[item[name] for name in same] for item in told]


def test_trace_finds_one_workflow(run: Run, written: type[FakeCluster]) -> None:
    assert "w1" in run("trace", "w1").stdout
    lines = run("trace", "w1", "--json").stdout.splitlines()
    assert {json.loads(line)["workflow_id"] for line in lines} == {"w1"}
    unknown = run("trace", "w9")
    assert unknown.exit_code == 1
    assert "nothing is known of workflow 'w9' in sdr" in unknown.stderr


def test_trace_and_status_tell_that_nobody_reads_an_inbox(
    run: Run, written: type[FakeCluster], ran: InMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    written.content |= {f"sdr.agent.{name}": [] for name in ("lead-scoring", "send-email")}
    waiting = replace(records(ran, "w1")[0], workflow_id="w3", agents=("lead-scoring",))
    written.add("sdr.routing-decisions", b"0", waiting.json().encode())
    problem = "nobody reads this inbox"
    assert [line for line in run("trace", "w3").stdout.splitlines() if problem in line] == []
    running = ran.statuses["w1"].data | {"workflow_id": "w3", "status": "running"}
    status = Event.new(id="s", source="test", type="workflow.status", workflow_id="w3", data=running)
    written.add("sdr.workflow-status", b"w3", status.json().encode())
    [line] = [line for line in run("trace", "w3").stdout.splitlines() if problem in line]
    assert line == f"{problem}: sdr.agent.lead-scoring; is its worker up? switchyard status"

    info: Any = SimpleNamespace(kafka="kafka.test:9092", apps={"sdr": str(SDR.folder)})
    show_unread(info, Settings(), as_json=False)
    show_unread(info, Settings(), as_json=True)
    *lines, scoring, sending = capsys.readouterr().out.splitlines()
    assert lines == [f"sdr.agent.{name}: {problem}" for name in ("lead-scoring", "send-email")]
    assert [json.loads(line)["process"] for line in (scoring, sending)] == [
        "sdr.agent.lead-scoring",
        "sdr.agent.send-email",
    ]


def test_missing_topics_say_what_to_do(run: Run, kafka: type[FakeCluster]) -> None:
    for command in (["workflows"], ["trace", "w1"], ["dead-letters", "list"], ["dead-letters", "show", "1"]):
        result = run(*command)
        assert result.exit_code == 1
        assert "does not exist on kafka.test:9092; `switchyard submit sdr` creates it" in result.stderr


def test_no_workflows_yet_is_said(run: Run, kafka: type[FakeCluster]) -> None:
    kafka.content.update({"sdr.workflow-status": [], "sdr.routing-decisions": []})
    assert "There are no workflows in sdr yet. Start one: switchyard send" in run("workflows").stdout


def test_send_keeps_the_bytes_of_every_line(run: Run, kafka: type[FakeCluster]) -> None:
    kafka.content["sdr.incoming-leads"] = []
    result = run("send", "-", input=b'{"a": 1}\r\n\n   \n\xff\xfe\nlast')
    assert result.stdout == "Sent 3 messages to sdr.incoming-leads on kafka.test:9092.\n"
    assert [item.value for item in kafka.content["sdr.incoming-leads"]] == [b'{"a": 1}\r', b"\xff\xfe", b"last"]


def test_send_keys_events_by_workflow(run: Run, kafka: type[FakeCluster]) -> None:
    kafka.content["sdr.agent-messages"] = []
    run("send", "-", "--topic", "agent-messages", input=opened(7).json().encode() + b"\nno event\n")
    assert [item.key for item in kafka.content["sdr.agent-messages"]] == [b"w7", b""]


def test_a_trace_shows_the_fan_out_and_the_consensus_with_its_votes() -> None:
    memory = test_gathering.runner({"market": test_gathering.says("buy"), "risk": test_gathering.says("sell")})
    memory.publish(test_gathering.requested())
    memory.settle()
    shown = text(render_trace(records(memory, "w1"), memory.statuses["w1"].data))
    lines = [line.strip("│├└─ ") for line in shown.splitlines()]
    assert "→ market, risk, sentiment  by rule" in lines
    assert "✗ market: buy  confidence 1.00" in lines
    assert "✓ risk: sell  confidence 1.00" in lines
    assert "- sentiment: no answer within 10 s" in lines
    assert "all: partial; sell, confidence 0.50" in lines
    assert any(line.startswith("+") and "gathered trade.requested.gathered" in line for line in lines)
