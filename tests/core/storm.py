"""Everything that can go wrong at once: crashes, deploys, operators, models that fail, answers late and double.

One `Storm` is one run of the orchestrator in memory with seeded chance; the same seed is the same run.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from switchyard.core.agents_file import AgentsFile
from switchyard.core.control import Control
from switchyard.core.event import Event
from switchyard.core.orchestrator.messages import Effect, StatusChanged
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import DEFAULT_ROUTER_PROMPT
from switchyard.core.routing.question import Question
from switchyard.core.routing.verdict import ModelDecision, ModelUnavailable
from switchyard.testing.memory import Checkpoint, InMemory
from tests.core import toy

Answers = list[tuple[str, object]]

CONTRACTS = {
    **toy.CONTRACTS,
    "view.requested": toy.record("view_requested", ticker="string"),
    "view.given": toy.record("view_given", stance="string"),
    "dig.requested": toy.record("dig_requested", topic="string"),
}
KEPT_TYPES = ("ticket.opened", "ticket.done", "view.requested", "view.given")
ENDED = {"completed", "failed", "stopped", "cancelled"}


def agent(name: str, accepts: list[str], emits: list[str], **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"{name} works.", "accepts": accepts, "emits": emits, "attempts": 2, **more}


def agents() -> list[dict[str, Any]]:
    return [
        agent("triage", ["ticket.opened"], ["ticket.sorted"], deadline=40.0),
        agent(
            "fixing", ["ticket.sorted", "ticket.part"], ["ticket.part", "ticket.done", "view.requested"], deadline=30.0
        ),
        agent("answering", ["ticket.sorted"], ["ticket.done"], approval="required", approval_timeout=90.0),
        agent("market", ["view.requested"], ["view.given"]),
        agent("risk", ["view.requested"], ["view.given", "dig.requested"], deadline=15.0),
        agent("digger", ["dig.requested"], ["view.given"]),
        agent("reader", ["dig.requested"], ["view.given"], attempts=1),
        agent("plan", ["view.requested.gathered", "dig.requested.gathered"], ["ticket.done"]),
    ]


def deployed(chance: random.Random) -> Registry:
    """The app as some release of it has it: agents, types, gathers gone or renamed, other limits."""
    team, contracts = agents(), dict(CONTRACTS)
    gathers = [
        {"on": on, "vote": "stance", "deadline": chance.choice((5, 60)), **chance.choice(POLICIES)}
        for on in ("view.requested", "dig.requested")
    ]
    for change in chance.sample(CHANGES, chance.choice((0, 1, 1, 2, 3))):
        someone = chance.choice(team)
        if change == "remove an agent" and someone["name"] != "triage":
            team.remove(someone)
        elif change == "rename an agent":
            someone["name"] += "-anew"
        elif change == "add an agent":
            team.append({**someone, "name": f"{someone['name']}-too"})
        elif change == "remove a gather":
            gathers.pop()
        elif change == "remove a type":
            gone = chance.choice([name for name in contracts if name not in KEPT_TYPES])
            del contracts[gone]
            gathers = [item for item in gathers if item["on"] != gone]
        elif change == "other attempts":
            someone["attempts"] = chance.choice((1, 3))
        elif change == "approval":
            someone["approval"] = chance.choice(("required", "never"))
    known = {*contracts, *(f"{item['on']}.gathered" for item in gathers)}
    for item in team:
        item["accepts"] = [name for name in item["accepts"] if name in known]
        item["emits"] = [name for name in item["emits"] if name in known]
    value = {
        "app": "storm",
        "starts": ["ticket.opened"],
        "ends": ["ticket.done"],
        "agents": [item for item in team if item["accepts"] and item["emits"]],
        "gathers": [item for item in gathers if any(item["on"] in other["accepts"] for other in team)],
        "limits": {
            "hops": chance.choice((4, 12)),
            "dispatches": chance.choice((6, 30)),
            "open_workflows": chance.choice((2, 50)),
            "open_dispatches": chance.choice((2, 50)),
            "tokens": chance.choice((20, 10_000)),
            "deadline": chance.choice((200.0, 2_000.0)),
            "workflow_bytes": chance.choice((64 * 1024, 1024 * 1024)),
        },
    }
    return Registry(AgentsFile.model_validate(value), contracts, DEFAULT_ROUTER_PROMPT)


CHANGES = (
    *("remove an agent", "rename an agent", "add an agent", "remove a gather", "remove a type", "other attempts"),
    *("approval", "limits alone"),
)
POLICIES: tuple[dict[str, Any], ...] = (
    {"policy": "all"},
    {"policy": "all", "on_missing": "fail"},
    {"policy": "quorum", "quorum": 2},
    {"policy": "first"},
)


class Recorded(InMemory):
    """Keeps every status that is told, not only the newest of each workflow."""

    def __post_init__(self) -> None:
        self.told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        super().__post_init__()

    def _apply(self, effect: Effect) -> None:
        if isinstance(effect, StatusChanged):
            self.told[effect.workflow_id].append(effect.event.data)
        super()._apply(effect)


class Storm:
    """One run; `script` is what was done, in order."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.script: list[str] = []
        self.calm, self.restored = False, False
        self.opened = 0
        self.run = Recorded(self._deployed(), self._model, rule=self._rule)
        self.stored: set[str] = set()
        self.run.handlers = {
            f"{item['name']}{more}": partial(self._answer, item)
            for item in agents()
            for more in ("", "-anew", "-too", "-anew-too", "-too-anew", "-anew-anew", "-too-too")
        }
        self.kept = [Checkpoint(ShardState(), 0, 0)]
        self._open()

    def blow(self) -> None:
        """Let anything happen, in any order."""
        for _ in range(self.chance.randint(40, 300)):
            going_on = self.run.choices() if self.chance.random() < 0.85 else []
            odd = self.chance.choices(list(OPERATIONS), list(OPERATIONS.values()))
            self.do(self.chance.choice(going_on or odd))

    def abate(self) -> None:
        """Nobody does anything odd any more; what is open comes to its end, by its deadline where nothing else does."""
        self.calm = True
        self.run.request(Control.new("resume", "tests", "", "ada"))
        self.run.settle(40_000)

    def do(self, what: str) -> None:
        self.script.append(what)
        operation: Callable[[], None] | None = getattr(self, f"_{what.replace(' ', '_')}", None)
        if what in OPERATIONS:
            assert operation is not None, what
            operation()
        else:
            self.run.step(what)

    def _deployed(self) -> Registry:
        return deployed(self.chance)

    def _open(self) -> None:
        """An event from outside: of a new workflow, or one more of an old one."""
        number = self.opened if self.chance.random() < 0.7 else self.chance.randrange(self.opened + 1)
        self.run.publish(toy.opened(self.opened, f"w{number}"))
        self.opened += 1

    def _tick(self) -> None:
        self.run.step("tick")

    def _later(self) -> None:
        self.run.now += self.chance.choice((1_000, 10_000, 10_000, 60_000, 700_000))
        self.run.step("tick")

    def _checkpoint(self) -> None:
        self.kept.append(self.run.checkpoint())

    def _crash(self) -> None:
        self.restored = True
        newest = len(self.kept)
        place = self.chance.choice((newest, newest, self.chance.randint(1, newest)))
        del self.kept[place:]  # what goes on from an older checkpoint makes its own newer ones
        self.run.start(self.kept[-1])

    def _crash_without_state(self) -> None:
        self.run.start(Checkpoint(ShardState(), 0, 0))
        self.kept = [Checkpoint(ShardState(), 0, 0)]

    def _deploy(self) -> None:
        self.run.registry = self._deployed()
        self.kept.append(self.run.checkpoint())
        self._crash()

    def _pause(self) -> None:
        self._request("pause")

    def _resume(self) -> None:
        self._request("resume")

    def _cancel(self) -> None:
        self._request("cancel", workflow_id=f"w{self.chance.randrange(self.opened + 1)}")

    def _approve(self) -> None:
        self._judge("approve")

    def _reject(self) -> None:
        self._judge("reject")

    def _judge(self, kind: str) -> None:
        waiting = [(name, item) for name, told in self.run.statuses.items() for item in told.data["approvals"]]
        for name, item in waiting:
            content = item["content"] if self.chance.random() < 0.9 else "another"
            self._request(kind, workflow_id=name, approval=item["id"], content=content)

    def _retry(self) -> None:
        """Of a type that every release has: what is refused for its type is taken by a release that knows it."""
        letters = [(letter, Event.parse(letter.raw)) for letter in self.run.dead_letters if letter.workflow_id]
        able = [(letter, event) for letter, event in letters if event.type in KEPT_TYPES]
        if able:
            letter, event = self.chance.choice(able)
            again = event.again(f"{letter.topic}/{letter.partition}/{letter.offset}", event.data)
            self._request("retry", workflow_id=event.workflow_id, event=again.object())

    def _discard(self) -> None:
        self._request("discard", deadletter="agent-messages/0/1")

    def _request(self, kind: Any, **more: Any) -> None:
        self.run.request(Control.new(kind, "tests", "", "ada", **more))

    def _answer_again(self) -> None:
        """A dispatch that an agent has had before is answered late, or once more."""
        done = self.run.dispatches[: self.run._inbox]
        if done:
            self.run._handle(self.chance.choice(done))

    def _read_again(self) -> None:
        self.run.publish(self.chance.choice(self.run.events))

    def _forge(self) -> None:
        """An answer with something changed that makes it another's."""
        answers = [Event.parse(raw) for raw in self.run.events if b'"causationid"' in raw]
        if answers:
            what = self.chance.choice(("source", "causationid", "id", "workflowid"))
            self.run.publish(self.chance.choice(answers).with_attributes(**{what: "forged"}))

    def _answer(self, worker: dict[str, Any], event: Event) -> Answers:
        """A worker: what it has done once it answers in the same way ever after."""
        effect = str(event.attributes["effectkey"])
        if effect not in self.stored and not self.calm and self.chance.random() < 0.15:
            failure = {"agent": worker["name"], "reason": "handler-error", "message": "no luck"}
            return [] if self.chance.random() < 0.5 else [("agent.failed", failure)]
        self.stored.add(effect)
        fixed = random.Random(f"{self.seed}/{effect}")
        kind = fixed.choice(worker["emits"])
        many = fixed.choice((1, 1, 1, 2, 5)) if kind == "ticket.part" else 1
        return [(kind, DATA[kind](fixed)) for _ in range(many)]

    def _model(self, event: Event, question: Question) -> ModelDecision | ModelUnavailable:
        names = question.schema["properties"]["agents"]["items"]["enum"]
        if self.calm:
            return ModelDecision((names[0],), "the first", 0.5, "m", prompt_tokens=1)
        luck = self.chance.random()
        if luck < 0.1:
            return ModelUnavailable("unreachable", "scripted", retry=True)
        if luck < 0.15:
            return ModelUnavailable("deadline", "scripted", calls=1, prompt_tokens=1, retry=True, bounded=True)
        if luck < 0.2:
            return ModelUnavailable("useless", "scripted", calls=2, prompt_tokens=2)
        name = self.chance.choice(names if luck < 0.35 else (names[:-2] or names))
        return ModelDecision((name,), "drawn", 0.5, "m", prompt_tokens=1)

    def _rule(self, event: Event) -> tuple[str, ...] | None:
        """Gathers are a rule's work; so is what `requests.sql` of some releases says of other events."""
        registry = self.run.registry
        if event.type in registry.gathers:
            return tuple(item.name for item in registry.accepting(event.type)) or None
        return None


DATA: dict[str, Callable[[random.Random], object]] = {
    "ticket.sorted": lambda chance: {"kind": chance.choice(("bug", "question"))},
    "ticket.part": lambda chance: {"part": chance.randrange(3)},
    "ticket.done": lambda chance: {"note": "x"},
    "view.requested": lambda chance: {"ticker": chance.choice("AB")},
    "view.given": lambda chance: {"stance": chance.choice(("buy", "sell"))},
    "dig.requested": lambda chance: {"topic": "debt"},
}

_OFTEN = ("open", "checkpoint", "resume", "approve", "answer again")
_SELDOM = ("crash", "crash without state", "deploy", "pause", "cancel", "reject", "discard")
OPERATIONS = {
    **dict.fromkeys(_OFTEN, 3),
    **dict.fromkeys(("tick", "later", "retry", "read again", "forge"), 2),
    **dict.fromkeys(_SELDOM, 1),
}
"""How often each is done, beside the others."""
