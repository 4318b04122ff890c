"""Copies of an app whose SQL is edited, and answers of its agents."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.ids import answer_id
from switchyard.core.topics import Topics


def copy_of(name: str, folder: Path) -> App:
    """The app as a user would have it: one folder, with its SQL and cases inside."""
    app = App.load(name)
    shutil.copytree(app.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(app.sql, folder / "sql")
    return App.load(str(folder))


def edited(app: App, file: str, *changes: tuple[str, str]) -> App:
    """The same app with some texts of one SQL file replaced; each must be there."""
    path = app.sql / file
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{file} does not hold {old!r}"
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return App.load(str(app.folder))


def lead(number: int) -> dict[str, str]:
    return {
        "lead_id": f"lead-{number}",
        "name": "Ada",
        "email": "ada@orbis.example",
        "company": "Orbis",
        "title": "CTO",
        "source": "referral",
        "interest": "events",
        "message": "call me",
        "created_at": "2026-03-02T08:00:00Z",
    }


def created(number: int) -> bytes:
    """A lead.created event."""
    event = Event.new(
        id=f"lead-{number}", source="tests", type="lead.created", workflow_id=f"lead-{number}", data=lead(number)
    )
    return event.json().encode()


def answer(agent: str, event: Event) -> Iterable[Event]:
    """lead-ingestion profiles, lead-scoring disqualifies."""
    data = {name: value for name, value in event.data.items() if name not in ("created_at", "research")}
    if agent == "lead-ingestion":
        kind = "lead.profiled"
        data |= {"summary": "s", "research": {"source": "s", "industry": "", "employees": None, "facts": []}}
    else:
        kind = "lead.scored"
        data |= {"score": 1, "next_step": "disqualify", "reasons": [], "talking_points": []}
    yield Event.new(
        id=answer_id(str(event.attributes["effectkey"]), 0),
        source=Topics("sdr").source(agent),
        type=kind,
        workflow_id=event.workflow_id,
        data=data,
        causationid=event.attributes["dispatchid"],
        hops=event.hops + 1,
    )
