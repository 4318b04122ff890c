"""Who needs which right on which topic, and the commands that give it: Kafka's ACLs are the lock on every topic."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from switchyard.core.app import App
from switchyard.core.topics import Topics

ROLES: Mapping[str, str] = {
    "orchestrator": "the Flink job, and `submit`, which hands its user on to it",
    "agent": "a worker that serves this one agent: `python -m switchyard.worker APP --agent NAME`",
    "intake": "what sends input: `send`, or producers of your own",
    "operator": "people who step in: `cancel`, `pause`, `resume`, `approvals`, `dead-letters`, `send`",
    "viewer": "people who look: `workflows`, `trace`, `audit`, lists of approvals and dead letters",
    "eraser": "who answers a person that asks to be forgotten: `forget`",
}
"""Whom a right is given to."""

JOB_GROUPS = ("orchestrator", "stateless")
"""The consumer groups of the job, with and without state."""

_MAKES = ("Create", "DescribeConfigs")
_FINDS = ("DescribeConfigs", "Read")
MATRIX: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "inputs": {
        "orchestrator": (*_MAKES, "Read"),
        "intake": ("Write",),
        "operator": ("Read", "Write"),
        "eraser": (*_FINDS, "Delete"),
    },
    "agent-messages": {
        "orchestrator": (*_MAKES, "Read", "Write"),
        "agent": ("Write",),
        "operator": ("Read", "Write"),
        "eraser": (*_FINDS, "Delete"),
    },
    "routing-decisions": {
        "orchestrator": (*_MAKES, "Read", "Write"),
        "operator": ("Read",),
        "viewer": ("Read",),
        "eraser": _FINDS,
    },
    "inboxes": {
        "orchestrator": (*_MAKES, "Write"),
        "agent": ("Read",),
        "operator": ("Read",),
        "eraser": (*_FINDS, "Delete"),
    },
    "control": {
        "orchestrator": (*_MAKES, "Read", "Write"),
        "operator": ("Read", "Write"),
        "viewer": ("Read",),
        "eraser": (*_FINDS, "Write"),
    },
    "audit": {
        "orchestrator": (*_MAKES, "Write"),
        "operator": ("Read",),
        "viewer": ("Read",),
        "eraser": (*_FINDS, "Write"),
    },
    "workflow-status": {
        "orchestrator": (*_MAKES, "Write"),
        "operator": ("Read",),
        "viewer": ("Read",),
        "eraser": _FINDS,
    },
    "memory": {
        "orchestrator": (*_MAKES, "Describe"),
        "agent": ("Read", "Write"),
        "eraser": (*_FINDS, "Write"),
    },
    "dead-letters": {
        "orchestrator": (*_MAKES, "Write"),
        "agent": ("Write",),
        "operator": ("Read", "Write"),
        "viewer": ("Read",),
        "eraser": (*_FINDS, "Delete"),
    },
}
"""Kafka's operations by kind of topic and role. Of the inboxes an agent has its own; Read and Write imply Describe."""


@dataclass(frozen=True)
class Grant:
    """What one user may do with one topic or consumer group; `operations` are sorted."""

    user: str
    resource: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]

    def command(self, bootstrap: str) -> str:
        """The line for a shell that gives it, by Kafka's own tool."""
        command = ["kafka-acls", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
        command += ["--allow-principal", f"User:{self.user}"]
        for operation in self.operations:
            command += ["--operation", operation]
        return shlex.join([*command, f"--{self.resource}", self.name])


def user_of(namespace: str, role: str, agent: str | None = None) -> str:
    """The name of a role's user in Kafka; an agent has one of its own."""
    return f"{namespace}.{role}" if agent is None else f"{namespace}.{role}.{agent}"


def grants(app: App, namespace: str) -> list[Grant]:
    """Every right that the app's users need under a namespace, none twice. Raises ValueError for no namespace."""
    operations: dict[tuple[str, Literal["topic", "group"], str], set[str]] = {}
    for kind, rights in MATRIX.items():
        for topic, agents in _topics(kind, app, Topics(namespace)):
            for role, allowed in rights.items():
                for agent in agents if role == "agent" else (None,):
                    operations.setdefault((user_of(namespace, role, agent), "topic", topic), set()).update(allowed)
    for group in JOB_GROUPS:
        operations[user_of(namespace, "orchestrator"), "group", f"{namespace}.{group}"] = {"Read"}
        operations[user_of(namespace, "eraser"), "group", f"{namespace}.{group}"] = {"Describe"}
    for agent in app.registry.agents:
        group = Topics(namespace).group(agent)
        operations[user_of(namespace, "agent", agent), "group", group] = {"Read"}
        for role in ("operator", "viewer", "eraser"):
            operations[user_of(namespace, role), "group", group] = {"Describe"}
    found = (Grant(*key, tuple(sorted(allowed))) for key, allowed in operations.items())
    return sorted(found, key=lambda grant: (grant.user, grant.resource, grant.name))


def _topics(kind: str, app: App, topics: Topics) -> Iterator[tuple[str, Sequence[str]]]:
    """The topics of a kind, each with the agents that the role `agent` stands for there.

    Where an app has no input topic, what comes in goes to agent-messages.
    """
    agents = tuple(app.registry.agents)
    if kind == "inboxes":
        yield from ((topics.inbox(name), (name,)) for name in agents)
    elif kind == "inputs":
        names = [topics.named(item.topic) for item in app.registry.file.inputs] or [topics.agent_messages]
        yield from ((name, agents) for name in names)
    else:
        yield topics.named(kind), agents


def matrix_table() -> list[str]:
    """The matrix as a table in Markdown, for the page that explains it."""
    lines = [f"| topic | {' | '.join(ROLES)} |", f"| --- {'| --- ' * len(ROLES)}|"]
    for kind, rights in MATRIX.items():
        cells = [", ".join(rights.get(role, ())) or "-" for role in ROLES]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines
