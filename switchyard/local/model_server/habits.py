"""What servers and models that people have do to an answer: acted out around the offline model's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from switchyard.local.model_server.behaviour import OFFLINE, Action, Behaviour, Call

REFUSES = "refuses-response-format"


def with_habit(name: str, then: Behaviour | None = None) -> Behaviour:
    """A server with one of `HABITS`."""

    def behave(call: Call) -> Action:
        if name == REFUSES and "response_format" in call.body:
            return Action(status=400, message="response_format is not supported")
        action = then(call) if then else OFFLINE
        return action if name == REFUSES else replace(action, habit=name)

    return behave


def _ignores(call: Call, text: str) -> str:
    """The schema never reaches the model; what it is told in the prompt does."""
    told = "JSON schema" in str(call.body["messages"][0].get("content", ""))
    return _fence(call, text) if told else "I have thought about it, and would go on as one usually does."


def _fence(call: Call, text: str) -> str:
    return f"Sure, here it is:\n\n```json\n{text}\n```\nLet me know if you need anything else!"


def _thinks(call: Call, text: str) -> str:
    return f"<think>\nIt could be {_other(text)}, or {{that}}. No.\n</think>\n\n{text}"


def _thinks_untagged(call: Call, text: str) -> str:
    """The template of the chat, and not the model, has opened the block."""
    return _thinks(call, text).removeprefix("<think>")


def _several(call: Call, text: str) -> str:
    """Two answers, until it is told that one is wanted."""
    corrected = call.body["messages"][-2].get("role") == "assistant"
    return text if corrected else f"Either {_other(text)}\nor {text}"


def _other(text: str) -> str:
    """An answer of the same form that says something else."""
    value: dict[str, Any] = json.loads(text)
    for name, item in value.items():
        if isinstance(item, str):
            return json.dumps({**value, name: f"{item} Or not."})
        if type(item) is int:
            return json.dumps({**value, name: item // 2})
        if isinstance(item, list) and item and not isinstance(item[0], str):
            return json.dumps({**value, name: [*item, item[0]]})
    return text


WRAPPERS: dict[str, Callable[[Call, str], str]] = {
    "ignores-response-format": _ignores,
    "fence": _fence,
    "think": _thinks,
    "think-untagged": _thinks_untagged,
    "several": _several,
}

HABITS = (REFUSES, *WRAPPERS)
