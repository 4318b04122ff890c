"""Which namespace of an app a command is about, where none is named: by the topics that are on Kafka."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from switchyard import terminal
from switchyard.cli.app_choice import known_apps
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.settings import Settings
from switchyard.core.topics import Topics

if TYPE_CHECKING:
    from switchyard.kafka.admin import Cluster

OF_A_DEMO = "-[0-9a-f]{6}"
"""What the namespace of a demo has after the app's name."""


def shown_namespace(app: App, cluster: Cluster, settings: Settings) -> str:
    """The namespace that a command shows: the only one of the app, or the newest, which standard error then tells.

    The app's own name where there is none.
    """
    namespaces = namespaces_of(app, cluster, settings)
    if len(namespaces) < 2:
        return next(iter(namespaces), app.name)
    newest = _newest(app, cluster, namespaces)
    terminal.complain(
        f"Several namespaces of {app.name} are there ({', '.join(namespaces)}); showing {newest}, the newest. "
        "Choose with --namespace."
    )
    return newest


def changed_namespace(app: App, cluster: Cluster, settings: Settings) -> str:
    """The namespace that a command changes: the app's own name where that is there, else the only one of the app.

    Raises SwitchyardError where there are several others: nothing is changed by a guess.
    """
    namespaces = namespaces_of(app, cluster, settings)
    if app.name in namespaces or not namespaces:
        return app.name
    if len(namespaces) > 1:
        raise SwitchyardError(
            f"several namespaces of {app.name} are there ({', '.join(namespaces)}); choose with --namespace"
        )
    return namespaces[0]


def namespaces_of(app: App, cluster: Cluster, settings: Settings) -> list[str]:
    """The namespaces whose ledger is on Kafka: under the app's name, of its demos, and what the stack's record has."""
    recorded = {known.namespace for known in known_apps(settings) if known.folder == app.folder}
    suffix = Topics(app.name).routing_decisions.removeprefix(app.name)
    ledgers = [topic.removesuffix(suffix) for topic in cluster.topics() if topic.endswith(suffix)]
    of_the_app = re.compile(f"{re.escape(app.name)}({OF_A_DEMO})?")
    return sorted(name for name in ledgers if of_the_app.fullmatch(name) or name in recorded)


def _newest(app: App, cluster: Cluster, namespaces: list[str]) -> str:
    """The one that something was written to last."""
    written: dict[str, int] = {}
    existing = cluster.topics()
    for name in namespaces:
        topics = Topics(name)
        inputs = [topics.named(item.topic) for item in app.registry.file.inputs]
        every = [*inputs, topics.agent_messages, topics.routing_decisions, topics.control]
        written[name] = cluster.last_written([topic for topic in every if topic in existing])
    return max(namespaces, key=lambda name: (written[name], name))
