"""The pure parts of the benchmark of fan-outs: from records in Kafka to figures. No test asserts a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.apps import FANOUT
from benchmarks.fanout import QUICK_ASKED, SINGLE_ASKED, SLOW_ASKED
from benchmarks.figures import medians, rounded
from benchmarks.passages import FanOut, Passage, is_gathered, passages
from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.event import Event
from switchyard.core.ledger.record import Action, Decision, Fence
from switchyard.kafka.admin import KafkaRecord
from switchyard.local.model_server.templates import Templates
from switchyard.testing.memory import InMemory


@dataclass
class Topics:
    """What a run leaves in Kafka."""

    events: list[KafkaRecord] = field(default_factory=list)
    ledger: list[KafkaRecord] = field(default_factory=list)
    inboxes: list[KafkaRecord] = field(default_factory=list)

    def event(self, time: int, type: str, cause: str | None = None, complete: bool = True) -> None:
        data = {"complete": complete} if type.endswith(".gathered") else {}
        self.events.append(message(time, event(type, data, causationid=cause)))

    def record(self, time: int, action: Action, subject: str) -> None:
        text = event("any", {}).json()
        record = Decision(subject, "w", text, "t", 0, 0, action, "rule", "a rule", time)
        self.ledger.append(KafkaRecord("ledger", 0, len(self.ledger), time, b"0", record.json().encode()))

    def dispatch(self, time: int, identity: str) -> None:
        self.inboxes.append(message(time, event("quick.asked", {}, dispatchid=identity)))

    def passages(self) -> list[Passage]:
        return passages(self.events, self.ledger, self.inboxes, ["w"])


def event(type: str, data: dict[str, Any], **attributes: Any) -> Event:
    return Event.new(id="e", source="test", type=type, workflow_id="w", data=data, **attributes)


def message(time: int, event: Event) -> KafkaRecord:
    return KafkaRecord("topic", 0, 0, time, b"w", event.json().encode())


def asked() -> Topics:
    """A question to three agents: `b`'s answer is written before `c`'s, and is taken into the gather after it."""
    run = Topics()
    run.event(1000, "quick.asked")
    run.ledger.append(KafkaRecord("ledger", 0, 0, 1, b"0", Fence(0, "nonce", 1).json().encode()))
    run.record(1010, "dispatch", "event/key")
    for time, name in ((1020, "a"), (1021, "b"), (1022, "c")):
        run.dispatch(time, name)
    for time, name in ((1030, "a"), (1040, "b"), (1041, "c")):
        run.event(time, "stance.taken", name)
    for time, name in ((1050, "a"), (1051, "c"), (1052, "b")):
        run.record(time, "gather", f"dispatch/{name}/0")
    return run


def test_a_passage_goes_through_the_answer_that_was_taken_last() -> None:
    run = asked()
    run.event(1060, "quick.asked.gathered", "gather")
    assert run.passages() == [Passage(1000, 1010, 1021, 1040, 1052, 1060)]


def test_what_is_written_again_does_not_count() -> None:
    run = asked()
    run.event(1060, "quick.asked.gathered", "gather")
    run.record(2000, "dispatch", "event/key")
    run.dispatch(2001, "b")
    run.event(2002, "stance.taken", "b")
    run.record(2003, "gather", "dispatch/b/0")
    run.event(2004, "quick.asked.gathered", "gather")
    assert run.passages() == [Passage(1000, 1010, 1021, 1040, 1052, 1060)]


@pytest.mark.parametrize("late", [[], [False]])
def test_a_question_without_all_its_answers_is_an_error(late: list[bool]) -> None:
    run = asked()
    for complete in late:
        run.event(1060, "quick.asked.gathered", "gather", complete)
    with pytest.raises(ValueError, match=r"^1 questions .* w$"):
        run.passages()


def test_figures_split_the_time_by_step_and_by_who_has_it() -> None:
    quick = [Passage(0, 10, 30, 60, 100, 150)] * 19 + [Passage(0, 10, 30, 60, 100, 950)]
    figures = FanOut.of(quick, [Passage(0, 0, 0, 0, 0, 660)], [Passage(0, 0, 0, 0, 0, 600)], [2.0])
    assert (figures.p50_ms, figures.p95_ms) == (150, 150)
    assert (figures.three_agents_ms, figures.one_agent_ms, figures.parallel_ratio) == (660, 600, 1.1)
    assert (figures.kafka_ms, figures.flink_ms, figures.agents_ms) == (10, 112, 28)
    steps = (figures.decide_ms, figures.dispatch_ms, figures.answer_ms, figures.take_ms, figures.gather_ms)
    assert steps == (10, 20, 30, 40, 50)
    assert set(astuple(medians([figures, figures]))) == set(astuple(figures))


def test_the_result_has_the_figures_that_are_asked_for() -> None:
    one = [Passage(0, 10, 30, 60, 100, 150)]
    assert rounded(FanOut.of(one, one, one, [1.26]))["parallel_ratio"] == 1.0
    assert rounded(FanOut.of(one, one, one, [1.26]))["kafka_ms"] == 6.3


def test_only_the_result_of_a_gather_ends_a_question() -> None:
    assert is_gathered(message(0, event("quick.asked.gathered", {})))
    assert not is_gathered(message(0, event("stance.taken", {})))


def test_the_app_gathers_what_it_is_asked(tmp_path: Path) -> None:
    app = App.load(str(FANOUT))
    assert set(app.registry.gathers) == set(app.registry.file.starts) == {QUICK_ASKED, SLOW_ASKED, SINGLE_ASKED}
    assert [len(app.registry.accepting(name)) for name in (QUICK_ASKED, SLOW_ASKED, SINGLE_ASKED)] == [3, 3, 1]
    code = AppCode(app.folder)
    apps_file = tmp_path / "apps.json"
    apps_file.write_text(json.dumps({"fanout-1": str(app.folder)}))
    templates = Templates(apps_file)
    for agent in app.registry.agents.values():
        assert code.function(agent.function)
        said = templates.answer("fanout-1", agent.name, "", {})
        app.registry.contracts["stance.taken"].check(json.loads(said))


@pytest.mark.parametrize(("type", "agents"), [(QUICK_ASKED, ["hawk", "dove", "owl"]), (SINGLE_ASKED, ["hawk"])])
def test_a_passage_is_found_in_what_the_orchestrator_writes(
    in_memory: Callable[..., InMemory], type: str, agents: list[str]
) -> None:
    def rule(event: Event) -> list[str] | None:
        return agents if event.type == type else None

    def answer(event: Event) -> list[tuple[str, object]]:
        return [("stance.taken", {"stance": "yes"})]

    run = in_memory(str(FANOUT), rule=rule, handlers=dict.fromkeys(agents, answer))
    run.publish(event(type, {"id": "w", "text": "Shall we?"}))
    run.settle()
    assert not run.dead_letters
    assert run.status("w") == "completed"
    topics = ([*run.events], [line.encode() for line in run.ledger], [i.event.json().encode() for i in run.dispatches])
    events, ledger, inboxes = ([KafkaRecord("t", 0, i, i, b"", raw) for i, raw in enumerate(topic)] for topic in topics)
    (found,) = passages(events, ledger, inboxes, ["w"])
    last = len(agents)
    assert (found.asked, found.dispatched, found.answered, found.gathered) == (0, last - 1, last, last + 1)
    assert found.decided < found.taken
