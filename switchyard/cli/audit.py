"""The command `audit`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppName, Json, Kafka, Namespace

if TYPE_CHECKING:
    from switchyard.core.audit import AuditEntry


def audit(app: AppName = None, namespace: Namespace = None, kafka: Kafka = None, as_json: Json = False) -> None:
    """List what operators asked for, who and when, and what came of it; the oldest first.

    A name that is marked (unverified) is what the machine said; nobody had to prove it to Kafka.
    """
    from switchyard.cli import reading
    from switchyard.cli.options import AppOnKafka

    target = AppOnKafka.find(app, namespace, kafka)
    entries = reading.audit(target)
    if as_json:
        terminal.say_json(_line(item) for item in entries)
    elif entries:
        rows = [
            [formatting.clock(item.at), item.by, item.action, item.workflow_id, item.about, _outcome(item), item.reason]
            for item in entries
        ]
        formatting.table(["time", "by", "action", "workflow", "about", "outcome", "reason"], rows)
    else:
        terminal.say(f"Nobody has asked for anything in {target.topics.namespace} yet.")


def _outcome(item: AuditEntry) -> str:
    return item.outcome if item.message is None else f"{item.outcome}: {item.message}"


def _line(item: AuditEntry) -> dict[str, Any]:
    return {**asdict(item), "at": formatting.iso(item.at)}
