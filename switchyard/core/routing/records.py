"""A record of the ledger, from a verdict."""

from __future__ import annotations

from typing import Any

from switchyard.core.deadletter import Position
from switchyard.core.ledger.record import LONGEST_REASON, Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import Registry
from switchyard.core.routing.verdict import Verdict


def decision(
    subject: Subject, workflow_id: str, text: str, position: Position, verdict: Verdict, now: int, **fields: Any
) -> Decision:
    """The record that a verdict is; `text` is the event's, as it was read at `position`, `fields` are all others."""
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
        **fields,
    )


def versions(registry: Registry, sql_version: str) -> dict[str, Any]:
    """By what a decision was made, as fields of its record."""
    return {
        "registry_version": registry.version,
        "prompt_version": registry.prompt_version,
        "sql_version": sql_version,
    }
