"""Where commands find Kafka, Flink and the model: a setting before the stack that is up."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from switchyard.core.errors import SettingsError
from switchyard.core.settings import OPENAI_URL, Settings
from switchyard.kafka.connection import PASSWORD, KafkaConnection
from switchyard.local.flink_cluster import client_command, remote_client
from switchyard.local.info import StackInfo
from switchyard.local.jars import jars
from switchyard.local.layout import Layout

SECRETS = frozenset(
    (
        *("OPENAI_API_KEY", PASSWORD, "SWITCHYARD_DISPATCH_KEY"),
        *("SWITCHYARD_DATABASE_PASSWORD", "SWITCHYARD_SMTP_PASSWORD"),
    )
)
"""Variables that only those have who call the model, connect to Kafka, keep the agents' state and send mails."""


@dataclass(frozen=True)
class Target:
    """`python` is the interpreter on the TaskManagers; `stack` is None where Flink is not the local stack's."""

    kafka: KafkaConnection
    flink: str
    model_base_url: str
    model: str
    embedded_model: bool
    python: str
    stack: StackInfo | None
    layout: Layout

    @classmethod
    def find(cls, settings: Settings, stack: StackInfo | None) -> Target:
        """Raises SettingsError naming what is not known, and how to say it."""
        kafka = settings.kafka or (stack.kafka if stack else None)
        flink = settings.flink or (stack.flink if stack else None)
        for name, value, form in (("Kafka", kafka, "HOST:PORT"), ("Flink", flink, "http://HOST:PORT")):
            if value is None:
                raise SettingsError(
                    f"there is no {name} to talk to: start the local stack with `switchyard up`, "
                    f"or give --{name.lower()} {form}"
                )
        local = stack if stack is not None and flink == stack.flink and "flink-jobmanager" in stack.programs else None
        embedded = settings.embedded_model and stack is not None and stack.model_embedded
        if not embedded and settings.model is None:
            raise SettingsError(
                "there is no model to ask: start the local stack with `switchyard up`, which has an offline one, "
                "or set OPENAI_BASE_URL, OPENAI_API_KEY and SWITCHYARD_MODEL"
            )
        assert kafka is not None
        assert flink is not None
        return cls(
            kafka=KafkaConnection.of(settings, kafka),
            flink=flink,
            model_base_url=stack.model_base_url if embedded and stack else settings.openai_base_url or OPENAI_URL,
            model="switchyard-offline" if embedded else settings.model or "",
            embedded_model=embedded,
            python=settings.flink_python or (sys.executable if local else "python3"),
            stack=local,
            layout=Layout.of(settings),
        )

    def client(self) -> tuple[list[str], dict[str, str]]:
        """Flink's command line, and the environment to run it in: without secrets, for the client logs it whole."""
        env = {name: value for name, value in os.environ.items() if name not in SECRETS}
        if self.stack is not None:
            return client_command(self.layout), {**env, **self.stack.flink_env}
        command, folders = remote_client()
        return command, {**env, **folders}

    def connectors(self) -> list[Path]:
        """Jars to send along: none where the cluster has them on its class path."""
        return [] if self.stack is not None else list(jars("flink"))
