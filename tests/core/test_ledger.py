"""Workflows derived from the ledger alone are those that the orchestrator itself tells of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.orchestrator.ledger_view import derive
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.testing.memory import Checkpoint, InMemory, ShardState
from tests.core import toy
from tests.core.test_crashes import HANDLERS


def records(run: InMemory) -> list[Decision]:
    return [record for record in map(parse_record, run.ledger) if isinstance(record, Decision)]


def drawn_model(data: st.DataObject) -> Any:
    """Where it names several agents at once, none of them gets the event of one that failed."""
    several = data.draw(st.booleans(), label="several")

    def model(event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        names = question.schema["properties"]["agents"]["items"]["enum"]
        picks = [(name,) for name in names]
        if several and '"failed":[]' in question.messages[1]["content"]:
            picks.append(tuple(names[:-2]))
        elif several:
            picks = picks[-2:]
        pick = data.draw(st.sampled_from([*picks, ("useless",)]), label="pick")
        if pick == ("useless",):
            return ModelUnavailable("unusable-answer", "scripted", "m", calls=2, prompt_tokens=5)
        return ModelDecision(pick, "drawn", 0.5, "m", prompt_tokens=10, cost=0.25 if "fixing" in pick else None)

    return model


def run_of(data: st.DataObject) -> InMemory:
    changes = data.draw(
        st.sampled_from([{}, {"limits": {"hops": 1}}, {"limits": {"hops": 2}}, {"fallback": "answering"}])
    )
    run = InMemory(toy.registry(**changes), drawn_model(data), dict(HANDLERS))
    for number in range(4):
        run.publish(toy.opened(number, f"w{number % 3}"))
    return run


def compare(run: InMemory, *without: str) -> None:
    derived = derive(records(run), "toy")
    told = {name: event.data for name, event in run.statuses.items() if event.data["steps"] or name in derived}
    assert derived.keys() == told.keys()
    for name, summary in told.items():
        ended, mine = summary.pop("ended_at"), derived[name].pop("ended_at")
        assert (mine is None) == (ended is None)
        assert mine is None or mine <= ended
        for field in without:
            del summary[field], derived[name][field]
        assert derived[name] == summary


@settings(max_examples=80)
@given(st.data())
def test_the_ledger_tells_what_the_orchestrator_told(data: st.DataObject) -> None:
    run = run_of(data)
    while choices := run.choices():
        run.step(data.draw(st.sampled_from(choices), label="step"))
    run.settle()
    compare(run)


@settings(max_examples=50)
@given(st.data())
def test_also_where_it_crashed_and_decided_differently(data: st.DataObject) -> None:
    """Repeats that the orchestrator counts after a crash are not in the ledger."""
    run = run_of(data)
    checkpoints = [Checkpoint(ShardState(), 0, 0)]
    for _ in range(data.draw(st.integers(0, 40), label="steps")):
        what = data.draw(st.sampled_from([*run.choices(), "checkpoint", "crash"]), label="step")
        if what == "checkpoint":
            checkpoints.append(run.checkpoint())
        elif what == "crash":
            del checkpoints[data.draw(st.integers(1, len(checkpoints)), label="kept") :]
            run.start(checkpoints[-1])
        else:
            run.step(what)
    run.settle()
    compare(run, "duplicates", "started_at")


def test_a_workflow_runs_while_a_dispatch_owes_an_answer() -> None:
    run = InMemory(toy.registry(), lambda e, q: ModelDecision(("triage",), "", 1.0, "m"), {})
    run.publish(toy.opened(1))
    run.settle()
    (summary,) = derive(records(run), "toy").values()
    assert (summary["status"], summary["hops"], summary["ended_at"]) == ("running", 1, None)


def test_a_second_record_about_the_same_event_changes_nothing_and_counts_where_it_was_read_elsewhere() -> None:
    run = InMemory(toy.registry(), lambda e, q: ModelDecision(("complete",), "", 1.0, "m"), {})
    run.publish(toy.opened(1))
    run.settle()
    (first,) = records(run)
    again = replace(first, action="stop", model_calls=7)
    elsewhere = replace(again, offset=first.offset + 9)
    (alone,) = derive([first]).values()
    (repeated,) = derive([first, again]).values()
    (duplicated,) = derive([first, again, elsewhere]).values()
    assert repeated == alone
    assert duplicated == {**alone, "duplicates": 1}
