"""Which case a model's call belongs to, and what the case lets the model answer."""

from __future__ import annotations

import threading
from typing import Any

from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.routing.prompt import COMPLETE, NONE
from switchyard.local.model_server.behaviour import OFFLINE, Action, Call
from switchyard.testing.cases import Case

FIELDS = ("answer", "raw", "status", "message", "headers", "delay_s", "hang")


class ModelScript:
    """A behaviour for `ScriptedServer`: cases share one server, told apart by the event in the request.

    A request carries type and data but no workflow id, so an event waits to be published while another case has one
    alike that is not yet decided.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[bytes, Case] = {}
        self._turns: dict[tuple[str, str], int] = {}

    def claim(self, case: Case, event: Event) -> bool:
        """The next calls about an event like this are the case's; False while they are another's."""
        with self._lock:
            return self._owners.setdefault(_key(event.type, event.data), case) is case

    def release(self, event: Event) -> None:
        """A decision about this event is logged."""
        with self._lock:
            self._owners.pop(_key(event.type, event.data), None)

    def __call__(self, call: Call) -> Action:
        if call.purpose != "routing":
            return OFFLINE
        event = strictjson.loads(call.user)["event"]
        with self._lock:
            case = self._owners.get(_key(event["type"], event["data"]))
            script = None if case is None else case.content.model.get(event["type"])
            if case is None or script is None:
                return OFFLINE
            if not isinstance(script, list):
                return _action(script)
            turn = (case.content.workflow, event["type"])
            index = self._turns.get(turn, 0)
            self._turns[turn] = index + 1
            return _action(script[index]) if index < len(script) else OFFLINE


def _action(script: Any) -> Action:
    """A name, an answer as a model gives it, or the fields of an `Action`."""
    if isinstance(script, str):
        script = {"agents": [script]}
    if "agents" not in script:
        return Action(**{name: value for name, value in script.items() if name in FIELDS})
    default = "as scripted" if script["agents"] not in ([COMPLETE], [NONE]) else f"scripted: {script['agents'][0]}"
    return Action(answer={"reason": default, "confidence": 1.0, **script})


def _key(event_type: str, data: Any) -> bytes:
    return strictjson.canonical([event_type, data])
