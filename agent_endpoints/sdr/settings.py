"""What this app alone is told, by variables of its own: SDR_SMTP, SDR_DAY_SECONDS, SDR_RESEARCH_URL."""

from __future__ import annotations

from pydantic import AliasChoices, Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, when a worker loads the app. The local stack names its mail server in MAIL_SERVER."""

    model_config = SettingsConfigDict(env_prefix="SDR_", frozen=True, extra="ignore", populate_by_name=True)

    smtp: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SDR_SMTP", "MAIL_SERVER"),
        pattern=r":\d+$",
        description="mail server, host:port; without one no mail is sent",
    )
    day_seconds: float = Field(default=86_400.0, gt=0, description="what counts as a day between a campaign's mails")
    research_url: HttpUrl | None = Field(default=None, description="HTTP service that is asked about companies")


SETTINGS = Settings()
