"""The demo's own trades, questions and events, in memory: what `switchyard demo finance` must come to."""

from __future__ import annotations

from collections import Counter

from agent_endpoints.finance import demo
from switchyard.core import strictjson
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.testing.memory import InMemory
from tests.agents.support import ScriptedModel
from tests.finance.support import FINANCE, answers


def trades() -> list[Event]:
    """The events that requests.sql makes of the lines that keep their contract."""
    found = []
    for line in (FINANCE.folder / "trades.jsonl").read_bytes().splitlines():
        try:
            data = strictjson.loads(line)
            FINANCE.registry.contracts["trade.requested"].check(data)
        except (ValueError, Rejected):
            continue
        id = data["request_id"]
        found.append(Event.new(id=id, source="trades", type="trade.requested", workflow_id=id, data=data))
    return found


def test_everything_ends_and_nothing_is_lost(run: InMemory, model: ScriptedModel) -> None:
    lines = (FINANCE.folder / "trades.jsonl").read_bytes().splitlines()
    good = trades()
    assert (len(lines), len(good), len({item.id for item in good})) == (28, 25, 24)
    events = (FINANCE.folder / "events.jsonl").read_bytes().splitlines()
    for item in [*good, *events]:
        run.publish(item)
    run.settle()
    assert not run.dead_letters
    assert Counter(status.data["status"] for status in run.statuses.values()) == {"completed": 35}
    agents: dict[str, set[str]] = {name: set() for name in run.statuses}
    for decision in run.decisions():
        agents[decision.workflow_id].update(decision.agents)
    outcomes = Counter(demo.outcome(names) for names in agents.values())
    assert outcomes == {"rebalanced": 21, "researched": 3, "hedged": 4, "answered": 7}
    assert set(outcomes) == set(demo.OUTCOMES)
    gathered = answers(run, "trade.requested.gathered")
    assert {item["vote"] for item in gathered} == {"for", "against", None}
    assert any(item["dissent"] for item in gathered) and any(item["missing"] for item in gathered)
    assert len(run.asked) == 6
    assert len(model.asked) == 4
