"""Passwords have variables of their own: an address ends up in logs, job graphs and lists of processes."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import SecretStr

from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.deployment.target import SECRETS
from switchyard.environment import read_settings, variable
from switchyard.local.program import may_be_secret
from switchyard.worker.database import database_url
from tests.cli.conftest import Run

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("variable", "address", "instead"),
    [
        ("OPENAI_BASE_URL", f"https://me:{SECRET}@models.example/v1", "set OPENAI_API_KEY instead"),
        ("OPENAI_BASE_URL", f"https://{SECRET}@models.example/v1", "set OPENAI_API_KEY instead"),
        ("OPENAI_BASE_URL", f"https://models.example/v1?api-key={SECRET}", "set OPENAI_API_KEY instead"),
        ("SWITCHYARD_FLINK", f"http://me:{SECRET}@flink.example:8081", "leave it out"),
        ("SWITCHYARD_FLINK", f"me:{SECRET}@flink.example:8081", "leave it out"),
        ("SWITCHYARD_KAFKA", f"me:{SECRET}@kafka.example:9092", "set SWITCHYARD_KAFKA_USERNAME and"),
        ("SWITCHYARD_DATABASE", f"postgresql://me:{SECRET}@db.example/x", "set SWITCHYARD_DATABASE_PASSWORD instead"),
        ("SWITCHYARD_DATABASE", f"postgresql://me:a/{SECRET}@db.example/x", "set SWITCHYARD_DATABASE_PASSWORD instead"),
        ("SWITCHYARD_DATABASE", f"postgresql://db.example/x?password={SECRET}", "set SWITCHYARD_DATABASE_PASSWORD"),
        ("SWITCHYARD_SMTP", f"smtps://me:{SECRET}@mail.example", "set SWITCHYARD_SMTP_PASSWORD instead"),
    ],
)
def test_credentials_in_an_address_are_refused(
    variable: str, address: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL", "m")
    monkeypatch.setenv(variable, address)
    with pytest.raises(SettingsError, match=variable) as raised:
        read_settings()
    assert instead in str(raised.value)
    assert SECRET not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("OPENAI_BASE_URL", "https://models.example/v1/@me"),
        ("SWITCHYARD_FLINK", "flink.example:8081"),
        ("SWITCHYARD_KAFKA", "a:9092,b:9092"),
        ("SWITCHYARD_DATABASE", "postgresql+psycopg://me@db.example:5432/x?sslmode=require&sslkey=/srv/me.key"),
        ("SWITCHYARD_DATABASE", "sqlite:////srv/a:b@c/x.sqlite"),
    ],
)
def test_addresses_without_them_are_taken(variable: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_MODEL", "m")
    monkeypatch.setenv(variable, address)
    read_settings()


def test_options_of_the_command_line_are_held_to_it_too(run: Run) -> None:
    result = run("workflows", "--kafka", f"me:{SECRET}@kafka.example:9092")
    assert result.exit_code == 1
    assert "SWITCHYARD_KAFKA holds a login" in result.stderr
    assert SECRET not in result.output


def test_the_password_of_the_database_joins_its_address_where_it_is_opened() -> None:
    settings = Settings(database="postgresql://me@db.example/x", database_password="a/b@c")  # type: ignore[arg-type]
    assert database_url(settings, "sdr") == "postgresql://me:a%2Fb%40c@db.example/x"


def test_every_secret_setting_is_kept_from_flinks_client_and_from_files() -> None:
    secrets = {
        variable(name) for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)
    }
    assert secrets == SECRETS
    assert all(map(may_be_secret, secrets))
