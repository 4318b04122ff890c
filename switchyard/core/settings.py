"""Settings: one frozen object, made at the entry of each process (`switchyard.environment`) and handed down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from switchyard.core.errors import SettingsError
from switchyard.core.smtp import MailServer
from switchyard.core.urls import holds_login, holds_password

OPENAI_URL = "https://api.openai.com/v1"
OFFLINE_MODEL = "offline"
SHORTEST_KEY = 32

PythonMode = Literal["thread", "process"]
Security = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]
_NOT_IN_JAAS = re.compile(r'["\\\x00-\x1f\x7f]')


class Settings(BaseModel):
    """Every setting, its environment variable being `SWITCHYARD_` and its name, unless it says another."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    home: Path = Field(Path(".switchyard"), description="folder of the local stack: data, logs, mails")
    app: str | None = Field(None, description="app that commands mean when none is named: a name or a folder")
    kafka: str | None = Field(None, description="bootstrap servers of an existing Kafka")
    kafka_security: Security = Field("PLAINTEXT", description="how Kafka is spoken to")
    kafka_mechanism: Mechanism = Field("SCRAM-SHA-512", description="how Kafka checks the password")
    kafka_username: str | None = Field(None, description="user of Kafka, with SASL_PLAINTEXT and SASL_SSL")
    kafka_password: SecretStr | None = Field(None, repr=False, description="that user's password")
    kafka_ca: Path | None = Field(None, description="PEM file of the CA, with SSL and SASL_SSL; else the system's")
    flink: str | None = Field(None, description="REST address of an existing Flink, http://host:port")
    flink_python: str | None = Field(None, description="Python on the TaskManagers of an existing Flink")
    python_mode: PythonMode = Field(
        "process",
        description="where Flink runs Python: beside the TaskManager, or in it",
    )
    dispatch_key: SecretStr | None = Field(
        None,
        min_length=SHORTEST_KEY,
        repr=False,
        description="TaskManagers' key that answers are proved by; at least 32 characters",
    )
    database: str | None = Field(None, description="database URL that an app's workers share, without a password")
    database_password: SecretStr | None = Field(None, repr=False, description="password of its user")
    smtp: str | None = Field(
        None, description="mail server: `smtps://`, `smtp+starttls://` (`USER@HOST`), `smtp://`; else the stack's"
    )
    smtp_password: SecretStr | None = Field(None, repr=False, description="password of its user")
    local_smtp: str | None = Field(None, description="the local stack's mail server, host:port; the stack sets it")
    memory: str = Field(
        "sqlite",
        pattern=r"^[\w.-]+(:\w+)?$",
        description="where agents' memories are kept: sqlite, mem0, a backend's name, module:object",
    )
    mem0_config: Path | None = Field(None, description="mem0's own settings, a YAML or JSON file; with mem0")

    openai_base_url: str | None = Field(
        None,
        validation_alias="OPENAI_BASE_URL",
        description="OpenAI-compatible endpoint; else the local stack's offline model",
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", repr=False, description="key of that endpoint"
    )
    allow_remote_model: bool = Field(True, description="0 refuses a model that is not on this machine")
    model: str | None = Field(None, description="name of the model")
    model_deadline_s: float = Field(60.0, gt=0, description="longest time for one answer, retries included")
    model_concurrency: int = Field(100, ge=1, description="most calls in flight in one subtask")
    embedded_model_delay_s: float = Field(0.0, ge=0, description="median latency of the embedded model")
    price_prompt: float | None = Field(None, ge=0, description="price of a million prompt tokens")
    price_completion: float | None = Field(None, ge=0, description="price of a million completion tokens")

    shards: int = Field(16, ge=1, le=128, description="units an app's workflows are spread over; fixed for life")
    parallelism: int = Field(1, ge=1, description="parallelism of the Flink job, at most the shards")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.openai_base_url is not None and self.model is None:
            raise ValueError("OPENAI_BASE_URL is set; set SWITCHYARD_MODEL to the model's name, too")
        if self.memory == "mem0" and self.mem0_config is None:
            raise ValueError(
                "SWITCHYARD_MEMORY is mem0; set SWITCHYARD_MEM0_CONFIG to the file of mem0's settings, too"
            )
        if self.mem0_config is not None and not self.mem0_config.is_absolute():
            raise ValueError(
                f"SWITCHYARD_MEM0_CONFIG is {self.mem0_config}; write the whole path, for workers run elsewhere"
            )
        if self.parallelism > self.shards:
            raise ValueError("SWITCHYARD_PARALLELISM must not exceed SWITCHYARD_SHARDS")
        return self

    @model_validator(mode="after")
    def _kafka(self) -> Settings:
        """The password may be missing: it is asked for where Kafka is connected to, which a job's client is not."""
        sasl = self.kafka_security.startswith("SASL_")
        if sasl and not self.kafka_username:
            raise ValueError(
                f"SWITCHYARD_KAFKA_SECURITY is {self.kafka_security}; "
                "set SWITCHYARD_KAFKA_USERNAME and SWITCHYARD_KAFKA_PASSWORD, too"
            )
        if self.kafka_username and not sasl:
            raise ValueError(
                f"SWITCHYARD_KAFKA_USERNAME is set, but SWITCHYARD_KAFKA_SECURITY is {self.kafka_security}; "
                "set it to SASL_SSL (or SASL_PLAINTEXT)"
            )
        if self.kafka_ca is not None and not self.kafka_security.endswith("SSL"):
            raise ValueError(
                f"SWITCHYARD_KAFKA_CA is set, but SWITCHYARD_KAFKA_SECURITY is {self.kafka_security}; "
                "set it to SSL or SASL_SSL"
            )
        if self.kafka_ca is not None and not self.kafka_ca.is_absolute():
            raise ValueError(f"SWITCHYARD_KAFKA_CA is {self.kafka_ca}; write the whole path, for workers run elsewhere")
        password = self.kafka_password.get_secret_value() if self.kafka_password else ""
        for name, value in (("USERNAME", self.kafka_username or ""), ("PASSWORD", password)):
            if _NOT_IN_JAAS.search(value):
                raise ValueError(
                    f"SWITCHYARD_KAFKA_{name} holds a double quote, a backslash or a control character, "
                    "which Kafka's login configuration cannot carry; choose another"
                )
        return self

    @model_validator(mode="after")
    def _no_credentials(self) -> Settings:
        """What is in an address ends up in logs, job graphs and lists of processes; a password has its own variable."""
        for name, (field, instead) in {
            "OPENAI_BASE_URL": ("openai_base_url", "set OPENAI_API_KEY instead"),
            "SWITCHYARD_FLINK": ("flink", "leave it out; let a proxy on this machine log in to Flink"),
            "SWITCHYARD_KAFKA": ("kafka", "set SWITCHYARD_KAFKA_USERNAME and SWITCHYARD_KAFKA_PASSWORD instead"),
        }.items():
            if holds_login(getattr(self, field) or ""):
                raise ValueError(f"{name} holds a login or a key; {instead}")
        if holds_password(self.database or ""):
            raise ValueError("SWITCHYARD_DATABASE holds a password; set SWITCHYARD_DATABASE_PASSWORD instead")
        if self.smtp is not None:
            try:
                MailServer.of(self.smtp)
            except ValueError as error:
                raise ValueError(f"SWITCHYARD_SMTP: {error}") from None
        return self

    def mail_server(self) -> MailServer | None:
        """The mail server that is set, else the local stack's. Raises SettingsError where its password is missing."""
        if self.smtp is None:
            host, _, port = (self.local_smtp or "").rpartition(":")
            return MailServer(host, int(port), knows_repeats=True) if host else None
        server = MailServer.of(self.smtp, self.smtp_password)
        if server.username is not None and server.password is None:
            raise SettingsError("SWITCHYARD_SMTP names a user; set SWITCHYARD_SMTP_PASSWORD, too")
        return server

    @property
    def embedded_model(self) -> bool:
        """Whether the local stack's own model answers: no other endpoint is set."""
        return self.openai_base_url is None

    @property
    def language_model(self) -> bool:
        """Whether a language model is set. The local stack's own, which its processes see by this name, is none."""
        return self.openai_base_url is not None and self.model != OFFLINE_MODEL
