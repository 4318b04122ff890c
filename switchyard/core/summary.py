"""How a workflow stands: the data of its status event, as everybody but the orchestrator reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from switchyard.core import strictjson
from switchyard.core.fields import Amount, Count, Id, Millis, Name, Text

_Word = Annotated[Text, Field(pattern=r"^[a-z][a-z-]{0,40}$")]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Last(_Open):
    """What was decided last."""

    event: Name
    action: _Word
    agents: list[Name]
    decided_by: _Word


class Waiting(_Open):
    """A dispatch that waits for a person."""

    id: Name
    agent: Name
    type: Name
    content: Name
    since: Millis | None
    until: Millis | None


class Summary(_Open):
    """As `Workflow.summary` makes it; fields of later releases are kept. Times are milliseconds since 1970."""

    workflow_id: Id
    app: Name
    status: _Word
    hops: Count
    steps: Count
    dispatches: Count
    model_calls: Count
    tokens: Annotated[int, Field(strict=True, ge=0)]
    cost: Amount | None
    duplicates: Count
    dead_letters: Count
    started_at: Millis
    ended_at: Millis | None
    code: Name | None
    reason: Text | None
    last: Last | None
    approvals: list[Waiting]


def parse_summary(raw: bytes | str) -> dict[str, Any]:
    """The summary that a status event holds. Raises ValueError where it holds none."""
    event = strictjson.loads_foreign(raw)
    if not isinstance(event, dict):
        raise ValueError("a status is a JSON object")
    try:
        return Summary.model_validate(event.get("data")).model_dump()
    except ValidationError as error:
        raise ValueError(f"not a status: {error.error_count()} of its fields are wrong") from None
