"""Names of topics and consumer groups: one namespace prefixes them all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LARGEST_RECORD = 1 << 20
"""Bytes of the largest record that a topic takes unless its settings say more: Kafka's default, a little rounded up."""

MARGIN = 64 * 1024
"""Bytes of a record that are left for what stands beside the event in it."""

LARGEST_EVENT = (LARGEST_RECORD - MARGIN) // 2
"""Bytes that `limits: {event_bytes: ...}` may say: a record of the ledger holds the event as a JSON string, in which
each quote and each backslash is two bytes."""

OWN = ("agent-messages", "routing-decisions", "control", "audit", "workflow-status", "memory", "dead-letters")
"""Topics that every app has, beside its agents' inboxes, without the namespace."""

NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True)
class Topics:
    """The topics of one namespace. Raises ValueError where the namespace is no lower-case DNS label."""

    namespace: str

    def __post_init__(self) -> None:
        if not NAMESPACE.fullmatch(self.namespace):
            raise ValueError(f"a namespace is lower-case letters, digits and dashes (1 to 64), not {self.namespace!r}")

    @property
    def agent_messages(self) -> str:
        return self.named("agent-messages")

    @property
    def routing_decisions(self) -> str:
        return self.named("routing-decisions")

    @property
    def workflow_status(self) -> str:
        return self.named("workflow-status")

    @property
    def dead_letters(self) -> str:
        return self.named("dead-letters")

    @property
    def control(self) -> str:
        return self.named("control")

    @property
    def memory(self) -> str:
        return self.named("memory")

    def inbox(self, agent: str) -> str:
        return self.named(f"agent.{agent}")

    @property
    def audit(self) -> str:
        return self.named("audit")

    def source(self, agent: str) -> str:
        """The CloudEvents source of an agent's answers."""
        return f"switchyard/{self.namespace}/{agent}"

    def named(self, name: str) -> str:
        """Any other topic of the namespace, such as `incoming-leads`."""
        return f"{self.namespace}.{name}"

    def group(self, agent: str) -> str:
        """The consumer group of an agent's workers."""
        return f"{self.namespace}.{agent}"

    def inboxes(self, agents: Iterable[str]) -> dict[str, str]:
        """The group of each agent's workers, by the topic that they read."""
        return {self.inbox(name): self.group(name) for name in agents}


def table_name(topic: str) -> str:
    """The SQL table of a topic, which is named without its namespace: `incoming-leads` is `incoming_leads`."""
    return topic.replace("-", "_").replace(".", "_")
