"""`route`: what would be decided, by what; nothing is written anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agents.support import SCORED, leads
from tests.cli.conftest import Run

LEAD = next(leads())
EVENT = {"specversion": "1.0", "id": "e1", "source": "test", "type": "lead.created", "workflowid": "w1", "data": LEAD}


def routed(run: Run, *arguments: str, **given: Any) -> dict[str, Any]:
    result = run("route", *arguments, "--json", **given)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_model_is_asked_for_real(run: Run) -> None:
    found = routed(run, json.dumps(EVENT), "--no-rules")
    assert (found["agents"], found["decided_by"], found["model_calls"]) == (["lead-ingestion"], "model", 1)
    assert found["prompt_tokens"] > 0
    assert found["candidates"] == ["lead-ingestion"]


def test_an_event_by_type_and_data(run: Run) -> None:
    names = ("lead_id", "name", "email", "company", "title", "source", "interest", "message")
    data = {**{name: LEAD[name] for name in names}, "summary": "s", **SCORED}
    found = routed(run, "--type", "lead.scored", "--data", json.dumps(data), "--no-rules")
    assert found["agents"] == ["nurture-campaign"]
    assert found["candidates"] == ["active-outreach", "nurture-campaign"]
    assert 0 < found["confidence"] <= 1


def test_a_type_that_ends_needs_no_model(run: Run) -> None:
    data = {"lead_id": "l", "campaign": "c", "recipient": "a@b.example", "mails": []}
    found = routed(run, "--type", "campaign.scheduled", "--data", json.dumps(data), "--no-rules")
    assert (found["action"], found["decided_by"], found["model_calls"]) == ("complete", "rule", 0)


def test_the_screen_says_the_same(run: Run) -> None:
    shown = run("route", "-", "--no-rules", input=json.dumps(EVENT)).stdout
    assert "goes to     lead-ingestion" in shown
    assert "decided by  model, confidence" in shown


def test_data_that_breaks_its_contract_would_be_a_dead_letter(run: Run) -> None:
    result = run("route", "--type", "lead.created", "--data", "{}", "--no-rules")
    assert result.exit_code == 1
    assert "it would become a dead letter, contract-violation: data.lead_id" in result.stderr


@pytest.mark.flink
def test_the_rules_are_run_in_this_process(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    run("new", "app", str(folder))
    line = (folder / "requests.jsonl").read_text().splitlines()[0]
    made = routed(run, "-", "--topic", "incoming-requests", "--app", str(folder), input=line)
    assert (made["workflow_id"], made["agents"], made["decided_by"]) == ("request-1", ["triage"], "rule")
    data = json.dumps({**json.loads(line), "kind": "question"})
    left = routed(run, "--type", "request.sorted", "--data", data, "--app", str(folder))
    assert (left["agents"], left["decided_by"]) == (["reply"], "model")
    (folder / "udfs.py").write_text(
        "from pyflink.table.udf import udf\n\nasks = udf(lambda kind: kind == 'question', result_type='BOOLEAN')\n"
    )
    (folder / "sql" / "tables.sql").write_text("CREATE TEMPORARY VIEW open_events AS SELECT * FROM events;")
    rules = folder / "sql" / "requests.sql"
    own = "WHEN type = 'request.sorted' AND asks(JSON_VALUE(data, '$.kind')) THEN ARRAY['reply']\n    ELSE"
    rules.write_text(rules.read_text().replace("ELSE", own, 1).replace("FROM events;", "FROM open_events;"))
    by_rule = routed(run, "--type", "request.sorted", "--data", data, "--app", str(folder))
    assert (by_rule["agents"], by_rule["decided_by"]) == (["reply"], "rule")
    rules.write_text(rules.read_text().replace("FROM open_events;", "FROM events WHERE type <> 'request.sorted';"))
    result = run("route", "--type", "request.sorted", "--data", data, "--app", str(folder))
    assert "leaves this event out of routing_requests" in result.stderr
