"""Answers for the offline model, which has no language model behind it: one function for each agent that thinks."""

from __future__ import annotations

from typing import Any


def triage(facts: dict[str, Any]) -> dict[str, Any]:
    text = facts["text"].casefold()
    if "casino" in text or "click here" in text:
        return {"kind": "spam"}
    return {"kind": "question" if "?" in text else "problem"}


def reply(facts: dict[str, Any]) -> dict[str, Any]:
    return {"reply": f"Thank you for your {facts['kind']}. A colleague looks at it today."}
