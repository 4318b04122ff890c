"""Work that never ends, and strict order, on Flink: an app of two agents that hand work to each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from switchyard.cli.main import app as switchyard
from switchyard.core.bundled import ROOT

pytestmark = pytest.mark.flink

PING, PONG = ({"name": name, "description": f"{name}s", "accepts": [f"{taken}.sent"], "emits": [f"{name}.sent"]}
              for name, taken in (("ping", "pong"), ("pong", "ping")))  # fmt: skip
APP = {
    "app": "relay",
    "starts": ["pong.sent"],
    "complete": "It is never complete.",
    "limits": {"hops": 5},
    "agents": [PING, PONG],
}
CONTRACT = {"type": "record", "fields": [{"name": "turn", "type": "int"}]}
NO_RULES = """
CREATE TEMPORARY VIEW routing_requests AS SELECT *, CAST(NULL AS ARRAY<STRING>) AS rule_agents FROM events;
"""
DECISIONS = [{"agents": [agent], "by": "model"} for agent in ("ping", "pong", "ping", "pong", "ping")]
CASES = [
    {
        "name": "a runaway",
        "workflow": "w1",
        "events": [{"type": "pong.sent", "data": {"turn": 0}}],
        "agents": {
            "ping": [{"data": {"turn": turn}} for turn in (1, 3, 5)],
            "pong": [{"data": {"turn": turn}} for turn in (2, 4)],
        },
        "model": {"pong.sent": "ping", "ping.sent": "pong"},
        "expect": {
            "status": "stopped",
            "decisions": [*DECISIONS, {"action": "stop", "code": "hop-limit", "reason": "hop limit of 5 reached"}],
            "dispatches": ["ping", "pong", "ping", "pong", "ping"],
            "model_calls": 5,
        },
    },
    {
        "name": "a loop",
        "workflow": "w2",
        "events": [{"type": "pong.sent", "data": {"turn": 7}}],
        "agents": {name: {"data": {"turn": 7}} for name in ("ping", "pong")},
        "model": {"pong.sent": "ping", "ping.sent": "pong"},
        "expect": {
            "status": "stopped",
            "decisions": [*DECISIONS[:2], {"action": "stop", "code": "loop"}],
            "model_calls": 3,
        },
    },
]


def test_agents_that_hand_work_to_each_other_for_ever_are_stopped(tmp_path: Path) -> None:
    for name in ("contracts", "sql", "sql/tests"):
        tmp_path.joinpath(name).mkdir()
    tmp_path.joinpath("agents.yaml").write_text(yaml.safe_dump(APP))
    tmp_path.joinpath("handlers.py").write_text("def ping(task): ...\n\n\ndef pong(task): ...\n")
    for name in ("ping", "pong"):
        contract = {**CONTRACT, "name": f"{name}_sent"}
        tmp_path.joinpath("contracts", f"{name}.sent.avsc").write_text(json.dumps(contract))
    tmp_path.joinpath("sql", "requests.sql").write_text(NO_RULES)
    dispatch = ROOT.joinpath("sql", "sdr", "dispatch.sql").read_text(encoding="utf-8")
    tmp_path.joinpath("sql", "dispatch.sql").write_text(dispatch)
    tmp_path.joinpath("sql", "tests", "relay.yaml").write_text(yaml.safe_dump(CASES))

    result = CliRunner().invoke(switchyard, ["test", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert "2 of 2 cases passed" in result.output
