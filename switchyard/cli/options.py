"""Options that many commands share, and what they stand for: an app, its topics, a Kafka cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.core.app import App
    from switchyard.core.settings import Settings
    from switchyard.core.topics import Topics
    from switchyard.kafka.admin import Cluster
    from switchyard.kafka.connection import KafkaConnection

    Choose = Callable[[App, Cluster, Settings], str]

_WHICH_APP = "Name or folder of the app; else the folder you stand in, SWITCHYARD_APP, or the only one on the stack."
AppName = Annotated[str | None, typer.Option("--app", help=_WHICH_APP)]
AppNeverGuessed = Annotated[
    str | None,
    typer.Option("--app", help="Name or folder of the app; else the folder you stand in, or SWITCHYARD_APP."),
]
AppArgument = Annotated[str | None, typer.Argument(metavar="APP", help=_WHICH_APP)]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", help="Prefix of the topics; the only or the newest one of the app if not given."),
]
OwnNamespace = Annotated[
    str | None, typer.Option("--namespace", help="Prefix of the topics; the app's name if not given.")
]
Kafka = Annotated[
    str | None,
    typer.Option("--kafka", metavar="HOST:PORT", help="Kafka; else SWITCHYARD_KAFKA, else the local stack's."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on each line.")]


def kafka_connection(settings: Settings) -> KafkaConnection:
    """The option, else SWITCHYARD_KAFKA, else the running stack's. Raises SwitchyardError where there is none."""
    from switchyard.kafka.connection import KafkaConnection
    from switchyard.local.stack import Stack

    address = settings.kafka
    if address is None and (info := Stack.of(settings).info()) is not None:
        address = info.kafka
    if address is None:
        raise SwitchyardError("no Kafka address: start the stack with `switchyard up`, or give --kafka HOST:PORT")
    return KafkaConnection.of(settings, address)


def namespaced(namespace: str) -> Topics:
    """The topics of a namespace that a person typed. Raises SwitchyardError where it cannot be one."""
    from switchyard.core.topics import Topics

    try:
        return Topics(namespace)
    except ValueError as error:
        raise SwitchyardError(str(error)) from None


@dataclass(frozen=True)
class AppOnKafka:
    """An app in a namespace on a Kafka cluster. `argument` is the app as it was named, `shards` the setting."""

    argument: str
    app: App
    topics: Topics
    cluster: Cluster
    shards: int

    @classmethod
    def find(
        cls, named: str | None, namespace: str | None, kafka: str | None, choose: Choose | None = None
    ) -> AppOnKafka:
        """The app that is meant (`app_choice`), as `of`. Raises SwitchyardError."""
        from switchyard.cli.app_choice import app_argument
        from switchyard.environment import read_settings

        settings = read_settings(kafka=kafka)
        return cls.of(app_argument(named, settings), namespace, settings, choose)

    @classmethod
    def of(cls, argument: str, namespace: str | None, settings: Settings, choose: Choose | None = None) -> AppOnKafka:
        """An app in the namespace that is given.

        Where none is given, `choose` says which: the one to be shown unless another is passed. Raises SwitchyardError.
        """
        from switchyard.cli.namespace_choice import shown_namespace
        from switchyard.core.app import App
        from switchyard.kafka.admin import Cluster

        app = App.load(argument)
        topics = None if namespace is None else namespaced(namespace)
        cluster = Cluster(kafka_connection(settings))
        topics = topics or namespaced((choose or shown_namespace)(app, cluster, settings))
        return cls(argument, app, topics, cluster, settings.shards)

    def require(self, *names: str) -> None:
        """Raises SwitchyardError where a topic is missing."""
        there = self.cluster.topics()
        for name in names:
            if name not in there:
                raise SwitchyardError(
                    f"topic {name} does not exist on {self.cluster.bootstrap}; "
                    f"`switchyard submit {self.again}` creates it and starts the job"
                )

    @property
    def operator(self) -> str:
        """Who asks for something here: the user of Kafka's login, else that of this machine, which proves nothing."""
        from switchyard.cli import formatting

        return self.cluster.user or f"{formatting.login()} (unverified)"

    @property
    def options(self) -> str:
        """The options that name the same app and namespace again."""
        return f"--app {self.again}"

    @property
    def again(self) -> str:
        """The app as it was named, and the option that a namespace of its own needs."""
        same = self.topics.namespace == self.app.name
        return self.argument if same else f"{self.argument} --namespace {self.topics.namespace}"
