"""What an agent remembers of a user's tickers: what it said, and of which day that was."""

from __future__ import annotations

from switchyard import Task

from .briefs import Brief

RECALLED, SHOWN = 20, 3
LONGEST = 120


def earlier(task: Task, brief: Brief, ticker: str) -> list[str]:
    """What it said about days before the brief's, the newest first; nothing where no user is named."""
    if not brief.user:
        return []
    texts = [item.text for item in task.memory.recall(_subject(brief, ticker), RECALLED)]
    return [text for text in texts if text[:10] < brief.as_of.isoformat()][:SHOWN]


def keep(task: Task, brief: Brief, ticker: str, opinion: str) -> None:
    """Remember what it says now."""
    if brief.user:
        task.memory.remember(_subject(brief, ticker), f"{brief.as_of.isoformat()}: {opinion}")


def _subject(brief: Brief, ticker: str) -> str:
    return f"{brief.user[:LONGEST]}/{ticker[:LONGEST]}"
