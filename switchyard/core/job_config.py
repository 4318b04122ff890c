"""What a Flink job must know of its app: passed as one global job parameter, without any secret."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from switchyard.core import strictjson
from switchyard.core.orchestrator.limits import check_shares
from switchyard.core.orchestrator.state import STATE_VERSION
from switchyard.core.registry import Registry
from switchyard.core.settings import Settings

PARAMETER = "switchyard.config"


def job_name(namespace: str, stateless: bool = False) -> str:
    """The name by which a namespace's job is found again."""
    return f"switchyard {namespace}{' (stateless)' if stateless else ''}"


def namespace_of(name: str) -> str | None:
    """The namespace of a job by its name; None for a job that is not ours."""
    namespace = name.removeprefix("switchyard ").removesuffix(" (stateless)")
    return namespace if name in (job_name(namespace), job_name(namespace, stateless=True)) else None


@dataclass(frozen=True)
class JobConfig:
    """`registry` is the registry's JSON; `model_base_url` None stands for the local stack's embedded model.

    `state_version` is the form of the state that the job writes.
    """

    namespace: str
    registry: str
    sql_version: str
    shards: int
    model_base_url: str
    model: str
    embedded_model: bool
    model_deadline_s: float
    model_concurrency: int
    price_prompt: float | None = None
    price_completion: float | None = None
    state_version: int = STATE_VERSION

    @classmethod
    def of(
        cls,
        registry: Registry,
        namespace: str,
        settings: Settings,
        *,
        sql_version: str,
        model_base_url: str,
        model: str,
        embedded: bool,
    ) -> JobConfig:
        """Raises SettingsError where a limit of the app cannot be shared out between the shards."""
        check_shares(registry, settings.shards)
        return cls(
            namespace=namespace,
            registry=registry.json(),
            sql_version=sql_version,
            shards=settings.shards,
            model_base_url=model_base_url,
            model=model,
            embedded_model=embedded,
            model_deadline_s=settings.model_deadline_s,
            model_concurrency=settings.model_concurrency,
            price_prompt=settings.price_prompt,
            price_completion=settings.price_completion,
        )

    def encode(self) -> str:
        """Base64, for Flink writes a map of parameters as `name:value,…` text."""
        return base64.urlsafe_b64encode(strictjson.dumps(self).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> JobConfig:
        """Raises ValueError where the job was not started by Switchyard."""
        return cls(**cls.fields(text))

    @staticmethod
    def fields(text: str) -> dict[str, Any]:
        """Its fields by name, those of another release's job, too. Raises ValueError as `decode` does."""
        if not text:
            raise ValueError(f"the job parameter {PARAMETER} is not set; start the job with `switchyard submit`")
        values: dict[str, Any] = strictjson.loads(base64.urlsafe_b64decode(text))
        return values
