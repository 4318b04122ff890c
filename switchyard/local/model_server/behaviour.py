"""What a server does with a call: answer as the offline model, or act out a script."""

import json
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One chat completion as it arrived."""

    purpose: str
    namespace: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def user(self) -> str:
        """The first user message: the question, whatever corrections follow it."""
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return next((str(message.get("content", "")) for message in messages if message.get("role") == "user"), "")

    @property
    def schema_name(self) -> str:
        """The name of the JSON schema that the answer is to meet, or ''."""
        shape = (self.body.get("response_format") or {}).get("json_schema") or {}
        return str(shape.get("name", ""))


@dataclass(frozen=True)
class Action:
    """What happens to a call. With none of `answer`, `raw`, `status` the offline model answers.

    `answer`: the message's text (anything but a string is sent as JSON); `raw`: the whole body of the HTTP
    response; `status`: an error with `message`; `delay_s` before any of them; `hang`: never an answer.
    `purpose` limits a scripted action to calls of that purpose. `habit` is what the offline model does to its answer:
    `fence`, `think`, `think-untagged`, `several` or `ignores-response-format`.
    """

    answer: Any = None
    raw: str | None = None
    status: int = 200
    message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang: bool = False
    purpose: str | None = None
    habit: str | None = None


Behaviour = Callable[[Call], Action]

OFFLINE = Action()


def in_turn(actions: Iterable[Action], then: Action = OFFLINE) -> Behaviour:
    """Each action once, in order, for the next call of its purpose; afterwards always `then`."""
    left = list(actions)
    lock = threading.Lock()

    def behave(call: Call) -> Action:
        with lock:
            for index, action in enumerate(left):
                if action.purpose in (None, call.purpose):
                    return left.pop(index)
        return then

    return behave


def failing(share: float, seed: int = 0, then: Behaviour | None = None) -> Behaviour:
    """A share of the calls gets status 500; the same ones for the same seed and order."""
    chance = random.Random(seed)

    def behave(call: Call) -> Action:
        if chance.random() < share:
            return Action(status=500)
        return then(call) if then else OFFLINE

    return behave


def hanging(text: str, then: Behaviour) -> Behaviour:
    """No answer to a question that has `text` in it."""
    return lambda call: Action(hang=True) if text in call.user else then(call)


def slow(median_s: float, sigma: float = 0.0, seed: int = 0, then: Behaviour | None = None) -> Behaviour:
    """Adds a lognormal delay; with sigma 0 always the median."""
    chance = random.Random(seed)

    def behave(call: Call) -> Action:
        action = then(call) if then else OFFLINE
        return replace(action, delay_s=action.delay_s + median_s * chance.lognormvariate(0.0, sigma))

    return behave


def from_file(path: Path) -> Behaviour:
    """A script: a JSON list of objects with the fields of Action, taken in turn.

    Raises ValueError, TypeError for a file that is none.
    """
    return in_turn([Action(**step) for step in json.loads(path.read_text(encoding="utf-8"))])
