"""What a person may choose about the local stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from switchyard.core.settings import Settings


@dataclass(frozen=True)
class StackOptions:
    """Addresses of existing servers (nothing embedded is started in their place) and wished-for ports.

    `kafka` is a bootstrap address, `flink` a REST address, `model_base_url` an OpenAI-compatible
    endpoint. Names of ports are those of `deploy.stack.ports.NAMES`.
    """

    kafka: str | None = None
    flink: str | None = None
    model_base_url: str | None = None
    embedded_model_delay_s: float = 0.0
    ports: Mapping[str, int] = field(default_factory=dict)
    timeout_s: float = 120.0

    @classmethod
    def of(cls, settings: Settings, ports: Mapping[str, int] | None = None) -> StackOptions:
        return cls(
            settings.kafka,
            settings.flink,
            settings.openai_base_url,
            settings.embedded_model_delay_s,
            ports or {},
        )
