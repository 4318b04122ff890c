"""How `status` shows inboxes that nobody reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.core.settings import Settings
    from switchyard.local.info import StackInfo

PROBLEM = "nobody reads this inbox"


def show_unread(info: StackInfo, settings: Settings, as_json: bool) -> None:
    """A line for each inbox of the stack's apps; where Kafka does not answer, that is said on standard error."""
    from switchyard.core.app import App
    from switchyard.core.topics import Topics
    from switchyard.kafka.admin import Cluster
    from switchyard.kafka.connection import KafkaConnection
    from switchyard.local.status import ProgramStatus

    cluster = Cluster(KafkaConnection.of(settings, info.kafka))
    try:
        inboxes = {
            topic: group
            for namespace, folder in info.apps.items()
            for topic, group in Topics(namespace).inboxes(App.load(folder).registry.agents).items()
        }
        unread = cluster.unread(inboxes) if inboxes else []
    except SwitchyardError as error:
        typer.echo(f"Who reads the inboxes is not known: {error}", err=True)
        return
    for topic in unread:
        line = ProgramStatus(topic, pid=None, port=None, health=PROBLEM, restarts=0, uptime=None, log="")
        typer.echo(json.dumps(asdict(line)) if as_json else f"{topic}: {PROBLEM}")
