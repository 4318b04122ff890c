"""A record of the ledger, from a verdict."""

from __future__ import annotations

from typing import Any

from switchyard.core.deadletter import Position
from switchyard.core.fields import LARGEST_INT, LONGEST_NAME
from switchyard.core.ledger.record import LONGEST_REASON, Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import Registry
from switchyard.core.routing.verdict import Verdict

_TOKENS = ("prompt_tokens", "completion_tokens")


def decision(
    subject: Subject, workflow_id: str, text: str, position: Position, verdict: Verdict, now: int, **fields: Any
) -> Decision:
    """The record that a verdict is; `text` is the event's, as it was read at `position`, `fields` are all others.

    What a model's server says of itself is cut to what a record may hold.
    """
    said = {name: max(0, min(fields[name], LARGEST_INT)) for name in _TOKENS if name in fields}
    if fields.get("model"):
        said["model"] = fields["model"][:LONGEST_NAME]
    return Decision(
        subject=subject,
        workflow_id=workflow_id,
        event=text,
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        action=verdict.action,
        decided_by=verdict.decided_by,
        reason=verdict.reason[:LONGEST_REASON],
        agents=verdict.agents,
        code=verdict.code,
        confidence=verdict.confidence,
        delay_ms=verdict.delay_ms,
        at=now,
        **(fields | said),
    )


def versions(registry: Registry, sql_version: str) -> dict[str, Any]:
    """By what a decision was made, as fields of its record."""
    return {
        "registry_version": registry.version,
        "prompt_version": registry.prompt_version,
        "sql_version": sql_version,
    }
