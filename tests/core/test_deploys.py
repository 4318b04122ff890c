"""What a deploy changes under work that is open or done: nothing is told twice, nothing restarts for ever."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from switchyard.core.agents_file import AgentsFile
from switchyard.core.event import Event
from switchyard.core.orchestrator.messages import Log, Tick
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import DEFAULT_ROUTER_PROMPT
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import test_gathering as gathering
from tests.core import toy
from tests.core.test_supervision import asked_for, failing, handlers, runner, until, with_agent
from tests.core.test_trust import seconds

HOUR_MS = 3_600_000


def renamed(old: str, new: str) -> list[dict[str, Any]]:
    return [{**agent, "name": new} if agent["name"] == old else agent for agent in with_agent("")]


def stricter() -> Registry:
    """The toy, where a sorted ticket must have one field more."""
    kind = {"type": "enum", "name": "kind", "symbols": ["bug", "question"]}
    contracts = {**toy.CONTRACTS, "ticket.sorted": toy.record("ticket_sorted", kind=kind, urgent="boolean")}
    value = toy.registry().file.model_dump(mode="json", exclude_defaults=True)
    return Registry(AgentsFile.model_validate(value), contracts, DEFAULT_ROUTER_PROMPT)


@pytest.mark.parametrize(
    "changed",
    [
        toy.registry(agents=renamed("fixing", "mending")),
        toy.registry(sequence=["triage", "answering"]),
        toy.registry(limits={"dispatches": 1}),
        stricter(),
    ],
    ids=["an agent is renamed", "a sequence is added", "a limit is lowered", "a contract is stricter"],
)
def test_what_was_done_is_not_done_again_after_a_restart_without_state(changed: Registry) -> None:
    run = runner()
    for number in range(10):
        run.publish(toy.opened(number))
    run.settle()
    asked, sent = len(run.asked), len(run.dispatches)
    ends = {name: event.data["status"] for name, event in run.statuses.items()}
    run.registry = changed
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    assert (len(run.asked), len(run.dispatches)) == (asked, sent)
    assert {name: event.data["status"] for name, event in run.statuses.items()} == ends


@pytest.mark.parametrize("with_state", [True, False])
def test_a_dispatch_to_an_agent_that_is_gone_is_settled_by_a_record(with_state: bool) -> None:
    run = runner(handlers=handlers(answering=lambda event: [("ticket.done", {"note": "instead"})]))
    run.publish(toy.opened(1))
    until(run, "triage")
    run.step("agent")
    run.step("event")
    run.step("model")
    run.request(asked_for("pause"))
    run.step("control")
    run.step("ledger")
    run.registry = toy.registry(agents=[agent for agent in with_agent("") if agent["name"] != "fixing"])
    run.start(run.checkpoint() if with_state else Checkpoint(ShardState(), 0, 0))
    run.request(asked_for("resume"))
    run.settle()
    assert [item.agent for item in run.dispatches] == ["triage", "answering"]
    assert run.status("w1") == "completed"
    [settled] = [record for record in run.decisions() if record.subject.kind == "timeout"]
    assert settled.failed == ("fixing",)


def test_a_further_attempt_of_an_agent_that_is_gone_is_settled_by_a_record() -> None:
    agents = with_agent("fixing", backoff=60)
    run = runner(2, handlers=handlers(fixing=failing("fixing")), agents=agents)
    run.publish(toy.opened(1))
    while run.choices():
        run.step(run.choices()[0])
    run.registry = toy.registry(agents=[agent for agent in agents if agent["name"] != "fixing"])
    run.start(run.checkpoint())
    run.settle()
    assert "fixing" not in [item.agent for item in run.dispatches[2:]]
    assert run.status("w1") == "completed"


def test_an_event_whose_type_is_gone_becomes_a_dead_letter() -> None:
    run = runner()
    run.publish(toy.opened(1))
    while "model" not in run.choices():
        run.step(run.choices()[0])
    value = toy.registry().file.model_dump(mode="json", exclude_defaults=True)
    value["starts"], value["agents"][0]["accepts"] = ["ticket.created"], ["ticket.created"]
    contracts = {**toy.CONTRACTS, "ticket.created": toy.CONTRACTS["ticket.opened"]}
    del contracts["ticket.opened"]
    run.registry = Registry(AgentsFile.model_validate(value), contracts, DEFAULT_ROUTER_PROMPT)
    run.start(run.checkpoint())
    run.settle()
    assert [letter.reason for letter in run.dead_letters] == ["unknown-type"]
    assert run.status("w1") == "failed"


# Gathers that come to nothing


def gathered(run: InMemory) -> int:
    return sum(b".gathered" in event for event in run.events)


def test_a_gather_whose_result_is_too_large_becomes_a_dead_letter() -> None:
    long = "x" * 100_000
    run = gathering.runner({name: gathering.says(long) for name in gathering.ANALYSTS}, vote=None)
    run.publish(gathering.requested())
    seconds(run, 25 * 3600)
    assert gathered(run) == 0
    assert [letter.reason for letter in run.dead_letters] == ["too-large"]
    assert run.status("w1") == "failed"


def test_a_gather_that_was_taken_out_becomes_a_dead_letter() -> None:
    run = gathering.runner({"market": gathering.says("buy"), "risk": gathering.says("buy")})
    run.publish(gathering.requested())
    while run.choices():
        run.step(run.choices()[0])
    value = gathering.registry().file.model_dump(mode="json", exclude_defaults=True)
    value["gathers"] = [item for item in value["gathers"] if item["on"] != "trade.requested"]
    value["agents"] = [item for item in value["agents"] if item["name"] != "plan"]
    run.registry = Registry(AgentsFile.model_validate(value), gathering.CONTRACTS, DEFAULT_ROUTER_PROMPT)
    run.start(run.checkpoint())
    seconds(run, 25 * 3600)
    assert gathered(run) == 0
    assert [letter.reason for letter in run.dead_letters] == ["gather-removed"]
    assert run.status("w1") == "failed"


def test_what_is_not_read_back_is_written_again_ever_more_seldom() -> None:
    run = runner()
    while run.choices():
        run.step(run.choices()[0])
    run.publish(toy.opened(1))
    run.step("event")
    run.step("model")
    written: Counter[str] = Counter()
    end = run.now + 24 * HOUR_MS
    while (due := run.shard.next_due()) is not None and due < end:
        run.now = due
        for effect in run.shard.advance(Tick(), run.now):
            if isinstance(effect, Log):
                written[effect.record.json()] += 1
    assert max(written.values(), default=0) < 200


def test_a_workflow_that_is_older_than_the_ledger_is_not_told_as_completed() -> None:
    run = gathering.runner({"market": gathering.says("buy"), "risk": gathering.says("buy")})  # the third still works
    run.publish(gathering.requested())
    while run.choices():
        run.step(run.choices()[0])
    first = next(number for number, line in enumerate(run.ledger) if '"kind":"decision"' in line)
    del run.ledger[: first + 1]
    run.events.clear()
    run._event = 0
    run.start(Checkpoint(ShardState(), 0, 0))
    run.settle()
    told = run.statuses["w1"].data
    assert (told["status"], told["code"]) == ("failed", "ledger-incomplete")


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_agents_are_renamed_in_the_middle_of_fifty_workflows(seed: int, with_state: bool) -> None:
    """The agent that is renamed answers what it was given; nobody does it a second time under the new name."""
    chance, done = random.Random(seed), Counter[str]()

    def mend(event: Event) -> list[tuple[str, object]]:
        done[event.workflow_id] += 1
        return [("ticket.done", {"note": "mended"})]

    def new_model(event: Event, question: Question) -> ModelDecision:
        agent = {"ticket.opened": "triage", "ticket.sorted": "mending"}.get(event.type, "complete")
        return ModelDecision((agent,), "chosen", 0.9, "scripted")

    run = runner(1, handlers=handlers(fixing=mend))
    for number in range(50):
        run.publish(toy.opened(number))
    kept = run.checkpoint()
    for step in range(chance.randint(50, 700)):
        if not run.choices():
            break
        run.step(chance.choice(run.choices()))
        if step % 40 == 0:
            kept = run.checkpoint()
    run.handlers["mending"] = mend
    run.registry, run.model = toy.registry(agents=renamed("fixing", "mending")), new_model
    run.start(kept if with_state else Checkpoint(ShardState(), 0, 0))
    run.settle(100_000)
    assert Counter(run.status(name) for name in run.statuses) == {"completed": 50}
    assert set(done.values()) == {1}
    assert run.dead_letters == []
