"""Settings: one frozen object, read from the environment once, at the edge, and passed down."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from switchyard.core.errors import SettingsError

OPENAI_URL = "https://api.openai.com/v1"


class Settings(BaseSettings):
    """Every setting, its environment variable being `SWITCHYARD_` and its name, unless it says another."""

    model_config = SettingsConfigDict(env_prefix="SWITCHYARD_", frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(Path(".switchyard"), description="folder of the local stack: data, logs, mails")
    kafka: str | None = Field(None, description="bootstrap servers of an existing Kafka")
    flink: str | None = Field(None, description="REST address of an existing Flink, http://host:port")
    flink_python: str | None = Field(None, description="Python on the TaskManagers of an existing Flink")
    database: str | None = Field(None, description="database URL that an app's workers share")
    smtp: str | None = Field(None, description="mail server of the agents, host:port")

    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY", repr=False)
    model: str | None = Field(None, description="name of the model")
    model_deadline_s: float = Field(60.0, gt=0, description="longest time for one answer, retries included")
    model_concurrency: int = Field(100, ge=1, description="most calls in flight in one subtask")
    embedded_model_delay_s: float = Field(0.0, ge=0, description="median latency of the embedded model")
    price_prompt: float | None = Field(None, ge=0, description="price of a million prompt tokens")
    price_completion: float | None = Field(None, ge=0, description="price of a million completion tokens")

    shards: int = Field(16, ge=1, le=128, description="units an app's workflows are spread over; fixed for life")
    parallelism: int = Field(1, ge=1, description="parallelism of the Flink job, at most the shards")
    day_seconds: float = Field(86_400.0, gt=0, description="what counts as a day between a campaign's mails")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.openai_base_url is not None and self.model is None:
            raise ValueError("OPENAI_BASE_URL is set; set SWITCHYARD_MODEL to the model's name, too")
        if self.parallelism > self.shards:
            raise ValueError("SWITCHYARD_PARALLELISM must not exceed SWITCHYARD_SHARDS")
        return self

    @property
    def embedded_model(self) -> bool:
        """Whether the local stack's own model answers: no other endpoint is set."""
        return self.openai_base_url is None

    @classmethod
    def read(cls, **overrides: object) -> Settings:
        """The environment's settings, `overrides` (None means not given) before them.

        Raises SettingsError with one sentence for each thing that is wrong.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            sentences = []
            for item in error.errors():
                place = ".".join(str(part) for part in item["loc"])
                variable = place if place.isupper() or not place else f"SWITCHYARD_{place.upper()}"
                message = item["msg"].removeprefix("Value error, ")
                sentences.append(f"{variable}: {message}" if variable else message)
            raise SettingsError("; ".join(sentences)) from None
