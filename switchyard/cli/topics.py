"""The command `topics`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppArgument, Kafka, OwnNamespace


def topics(
    app: AppArgument = None,
    acls: Annotated[bool, typer.Option("--acls", help="Print the commands that give each user its rights.")] = False,
    namespace: OwnNamespace = None,
    kafka: Kafka = None,
) -> None:
    """List an app's topics. With --acls, print Kafka's commands, for a shell, that give each user the rights it needs.

    Nothing is asked of Kafka, and nothing is changed there. The commands expect an administrator's settings in the file
    admin.properties.
    """
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.options import kafka_connection, namespaced
    from switchyard.core.app import App
    from switchyard.core.topics import LARGEST_RECORD
    from switchyard.environment import read_settings
    from switchyard.kafka.acls import grants
    from switchyard.kafka.admin import topic_settings

    settings = read_settings(kafka=kafka)
    chosen = App.load(app_argument(app, settings))
    name = namespaced(namespace or chosen.name).namespace
    if not acls:
        for topic in topic_settings(chosen, name, LARGEST_RECORD):
            terminal.say(topic)
        return
    address = kafka_connection(settings).address
    for grant in grants(chosen, name):
        terminal.say(grant.command(address))
