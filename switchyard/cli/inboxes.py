"""How `status` shows inboxes that nobody reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from switchyard import terminal
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
        terminal.complain(f"Who reads the inboxes is not known: {error}")
        return
    for topic in unread:
        line = ProgramStatus(topic, pid=None, port=None, health=PROBLEM, restarts=0, uptime=None, log="")
        if as_json:
            terminal.say_json([asdict(line)])
        else:
            terminal.say(f"{topic}: {PROBLEM}")
