"""Stable ids: the same in every process, at every replay."""

from __future__ import annotations

import hashlib


def stable_hash(*parts: str) -> str:
    """32 hex digits of SHA-256 over the parts, each with its length before it."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()[:32]


def event_key(source: str, event_id: str, retry: int = 0) -> str:
    """Identity of an event: CloudEvents makes (source, id) unique; `retry` tells the retries of one from each other."""
    return stable_hash("event", source, event_id, *([str(retry)] if retry else []))


def content_hash(event_type: str, data: str) -> str:
    """16 hex digits that stand for what an event says; `data` is canonical JSON."""
    return stable_hash("content", event_type, data)[:16]


def effect_key(workflow_id: str, source: str, event_id: str, agent: str, content: str) -> str:
    """The same for every attempt at giving this event, with this content, to this agent."""
    return stable_hash("effect", workflow_id, source, event_id, agent, content)


def dispatch_id(subject: str, agent: str, attempt: int) -> str:
    """One delivery of what is settled to one agent, one attempt."""
    return stable_hash("dispatch", subject, agent, str(attempt))


def gather_id(subject: str, attempt: int) -> str:
    """The gather that a decision opens."""
    return stable_hash("gather", subject, str(attempt))


def answer_id(effect: str, position: int) -> str:
    """The event id of the answer at `position` (from 0) among those of one effect."""
    return stable_hash("answer", effect, str(position))
