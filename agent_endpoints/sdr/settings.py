"""What this app alone is told, by variables of its own: SDR_DAY_SECONDS, SDR_RESEARCH_URL."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, when a worker loads the app."""

    model_config = SettingsConfigDict(env_prefix="SDR_", frozen=True, extra="ignore", hide_input_in_errors=True)

    day_seconds: float = Field(default=86_400.0, gt=0, description="what counts as a day between a campaign's mails")
    research_url: HttpUrl | None = Field(default=None, description="HTTP service that is asked about companies")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        known = {f"SDR_{name.upper()}" for name in cls.model_fields}
        unknown = [name for name in sorted(os.environ) if name.upper().startswith("SDR_") and name not in known]
        if unknown:
            raise ValueError(f"{unknown[0]}: there is no such setting; there are {', '.join(sorted(known))}")
        return values

    @field_validator("research_url")
    @classmethod
    def _no_login(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and (url.username or url.password):
            raise ValueError("SDR_RESEARCH_URL holds a login; leave it out")
        return url


SETTINGS = Settings()
