"""What a case says about the decisions and the dispatches that came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.testing.cases import Case, CaseFile
from switchyard.testing.collecting import Collected
from switchyard.testing.memory import InMemory
from switchyard.testing.minicluster import Output
from switchyard.testing.outcome import Outcome
from switchyard.testing.script import ModelScript
from tests.cli.test_topics import choose
from tests.core.toy import opened, registry


def case(**expect: Any) -> Case:
    text = yaml.safe_dump({"name": "a ticket", "workflow": "w1", "events": [{}], "expect": expect}, sort_keys=False)
    return Case(Path("cases.yaml"), CaseFile.model_validate(yaml.safe_load(text)), yaml.compose(text))


def records() -> list[Decision]:
    """A ticket that is sorted, mended, done: three decisions."""
    handlers = {
        "triage": lambda event: [("ticket.sorted", {"kind": "bug"})],
        "fixing": lambda event: [("ticket.done", {"note": "mended"})],
    }
    memory = InMemory(registry(), choose, handlers)  # type: ignore[arg-type]
    memory.publish(opened(1))
    memory.settle()
    return [record for line in memory.ledger if isinstance(record := parse_record(line), Decision)]


def differences(**expect: Any) -> list[str]:
    return Outcome(case(**expect), records()).differences()


def test_decisions_are_all_there_are() -> None:
    every = [{"event": f"ticket.{name}"} for name in ("opened", "sorted", "done")]
    assert differences(decisions=every) == []
    (difference,) = differences(decisions=every[:2])
    assert "one decision more than the 2 under `decisions`: ticket.done" in difference
    assert "write `decisions_include`" in difference


def test_some_decisions_may_be_asked_for_alone() -> None:
    assert differences(decisions_include=[{"event": "ticket.sorted", "agents": ["fixing"]}]) == []
    assert differences(decisions_include=[{"by": "rule"}]) == []
    (difference,) = differences(decisions_include=[{"event": "ticket.sorted", "agents": ["triage"]}])
    assert difference.startswith("cases.yaml:")
    assert "a ticket: decision 1: expected agents [triage], found [fixing]" in difference
    assert "expected event ticket.lost, found none" in differences(decisions_include=[{"event": "ticket.lost"}])[0]


def test_a_further_attempt_is_no_dispatch_of_its_own() -> None:
    collected = Collected([case(dispatches=["triage"])], ModelScript(), Agents())  # type: ignore[arg-type]
    for attempt in (1, 2):
        given = {"dispatchid": f"d{attempt}", "effectkey": opened(1).effect_key("triage"), "attempt": attempt}
        event = Event({**opened(1).attributes, **given}, opened(1).data)
        collected.take(Output("agent-inboxes", event.json().encode(), None, "toy.agent.triage"))
    outcome = collected.outcomes["w1"]
    assert outcome.dispatches == ["triage"]
    assert outcome.differences() == []


class Agents:
    """Agents that never answer."""

    def answer(self, *_: object) -> list[Event]:
        return []
