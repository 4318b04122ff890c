"""What a person may choose about the local stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.kafka.connection import KafkaConnection


@dataclass(frozen=True)
class StackOptions:
    """Addresses of existing servers (nothing embedded is started in their place) and wished-for ports.

    `kafka` is how to reach the brokers, `flink` a REST address, `model_base_url` an OpenAI-compatible
    endpoint. Names of ports are those of `switchyard.local.ports.NAMES`.
    """

    kafka: KafkaConnection | None = None
    flink: str | None = None
    model_base_url: str | None = None
    embedded_model_delay_s: float = 0.0
    ports: Mapping[str, int] = field(default_factory=dict)
    timeout_s: float = 120.0

    @classmethod
    def of(cls, settings: Settings, ports: Mapping[str, int] | None = None) -> StackOptions:
        """Raises SettingsError where access is set for a Kafka that is not named."""
        if settings.kafka is None and settings.kafka_security != "PLAINTEXT":
            raise SettingsError(
                f"SWITCHYARD_KAFKA_SECURITY is {settings.kafka_security}, which the local stack's own broker does not "
                "speak: name your Kafka with --kafka HOST:PORT, or unset it"
            )
        return cls(
            KafkaConnection.of(settings, settings.kafka) if settings.kafka is not None else None,
            settings.flink,
            settings.openai_base_url,
            settings.embedded_model_delay_s,
            ports or {},
        )
