"""Answers for the offline model: one deterministic function per agent, from facts to what the agent asks for.

No language model stands behind these texts. This module imports nothing of the app: the model server loads it alone.
"""

from __future__ import annotations

from typing import Any

Facts = dict[str, Any]

LONGEST = 120


def research_agent(facts: Facts) -> Facts:
    question, trade = " ".join(str(facts["question"]).split()), facts["trade"]
    asked = f"To the question “{_short(question)}”: " if question else ""
    if trade:
        asked = f"On the wish to {trade['side']} {trade['quantity']:g} {trade['ticker']}: "
    return {"summary": asked + " ".join(facts["findings"][:6])}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rsplit(" ", 1)[0] + "…"
