"""What supervision adds to a trace: time-outs, further attempts, approvals, cancels, late answers."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from switchyard.cli.rendering import render_trace
from switchyard.core.ids import dispatch_id
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.workflow import Workflow
from tests.core.toy import opened


def record(subject: str, action: str, decided_by: str, *agents: str, at: int, **more: Any) -> Decision:
    value = {
        "subject": Subject.parse(subject),
        "workflow_id": "w1",
        "event": opened(1).json(),
        "topic": "test.agent-messages",
        "partition": 0,
        "offset": 0,
        "action": action,
        "decided_by": decided_by,
        "reason": "as it is",
        "at": at,
        "agents": agents,
        **more,
    }
    return Decision(**value)


def trace(*records: Decision, **status: Any) -> list[str]:
    """The lines of a trace, each without the branches before it."""
    summary = {**Workflow("w1", 0).summary("toy"), **status}
    screen = Console(file=StringIO(), width=200)
    screen.print(render_trace(records, summary))
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue().splitlines()


def bare(lines: list[str]) -> list[str]:
    return [line.strip("│├└─ \n") for line in lines]


FIRST = record("event/1", "dispatch", "rule", "triage", at=0)
GIVEN = dispatch_id("event/1", "triage", 0)


def test_a_time_out_and_the_attempts_after_it() -> None:
    second = record(f"timeout/{GIVEN}", "dispatch", "retry", "triage", at=5_000, failed=("triage",), delay_ms=1_000)
    given = second.dispatch_id("triage")
    third = record(f"timeout/{given}", "dispatch", "retry", "triage", at=9_000, failed=("triage",), delay_ms=2_000)
    late = record(f"dispatch/{GIVEN}/0", "late", "guard", at=9_500)
    lines = trace(FIRST, second, third, late)
    text = bare(lines)
    assert "+5.00 s  triage did not answer ticket.opened after 5.00 s" in text
    assert "→ triage  by retry, attempt 2 after 1.00 s" in text
    assert "→ triage  by retry, attempt 3 after 2.00 s" in text
    assert text.count("triage has not answered") == 1
    assert "→ too late, counts no more  by guard" in text
    depth = {line.strip("│├└─ "): len(line) - len(line.lstrip("│├└─ ")) for line in lines}
    at = [next(depth[line] for line in depth if line.startswith(f"+{moment}")) for moment in ("5.00", "9.00", "9.50")]
    assert at[0] == at[2] < at[1]


def test_an_approval_before_and_after_it_is_given() -> None:
    waits = {"id": GIVEN, "agent": "triage", "type": "ticket.opened", "since": 0, "until": None}
    text = bare(trace(FIRST, approvals=[waits]))
    assert f"triage waits for approval: switchyard approvals approve {GIVEN[:8]}" in text
    assert not any("has not answered" in line for line in text)
    approved = record(f"approval/{GIVEN}", "dispatch", "operator", "triage", at=3_000)
    text = bare(trace(FIRST, approved))
    assert "+3.00 s  approval of triage for ticket.opened after 3.00 s" in text
    assert "→ approved  by operator" in text
    assert text.count("triage has not answered") == 1
    answer = record(f"dispatch/{GIVEN}/0", "complete", "rule", at=4_000)
    assert not any("has not answered" in line for line in trace(FIRST, approved, answer))


def test_a_retry_of_a_dead_letter_begins_a_branch() -> None:
    again = opened(1).again("test.agent-messages/0/0", {})
    text = bare(trace(FIRST, record("event/2", "complete", "rule", at=7_000, event=again.json())))
    assert "+7.00 s  ticket.opened from tests, retry 1" in text


def test_what_ends_a_workflow_is_told_with_its_figures() -> None:
    rejected = record(f"approval/{GIVEN}", "stop", "operator", at=1_000, code="rejected")
    figures = {"hops": 2, "dispatches": 3, "model_calls": 1, "tokens": 40, "cost": 0.01, "ended_at": 1_000}
    text = bare(trace(FIRST, rejected, status="stopped", code="rejected", reason="too dear", **figures))
    assert "→ workflow stopped  by operator" in text
    assert "stopped (rejected) after 1.00 s: too dear" in text
    assert text[-1] == "2 hops, 3 dispatches, 1 model call, 40 tokens, cost 0.0100"
    cancelled = record("workflow/cancel", "cancel", "operator", at=2_000)
    text = bare(trace(FIRST, cancelled, status="cancelled"))
    assert "+2.00 s  asked to cancel" in text
    assert "→ workflow cancelled  by operator" in text
    overdue = record("workflow/deadline", "stop", "guard", at=2_000, code="deadline")
    assert "+2.00 s  out of time" in bare(trace(FIRST, overdue, status="stopped"))
