"""What a demo of this app waits for, and how it counts what came of trades, questions and news."""

from __future__ import annotations

from switchyard import BackgroundContext

OUTCOMES = ("rebalanced", "researched", "hedged", "answered")


def waiting(context: BackgroundContext) -> int:
    """Nothing goes on beside the workflows."""
    return 0


def outcome(agents: set[str]) -> str:
    """What became of an event, by the agents that had it: the one that went furthest counts."""
    if "options-strategist" in agents:
        return "hedged"
    if "research-agent" in agents:
        return "researched"
    return "rebalanced" if "portfolio-optimizer" in agents else "answered"
