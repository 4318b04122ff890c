"""How to reach Kafka: what the settings say where something is missing, and what Flink's tables are told."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from switchyard.core.app import App
from switchyard.core.errors import SettingsError
from switchyard.environment import read_settings
from switchyard.flink import sql_file
from switchyard.flink.tables import TABLES, kafka_values
from switchyard.kafka.connection import VARIABLES, KafkaConnection
from switchyard.local.jars import jars
from switchyard.local.options import StackOptions

SECRET = "of-this-test-alone"
SCRAM = KafkaConnection("k:1", "SASL_SSL", "SCRAM-SHA-512", "o'me", SecretStr(SECRET))


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SWITCHYARD_KAFKA", *VARIABLES):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"security": "SASL_SSL"}, "set SWITCHYARD_KAFKA_USERNAME and SWITCHYARD_KAFKA_PASSWORD, too"),
        ({"security": "SASL"}, "SWITCHYARD_KAFKA_SECURITY: Input should be 'PLAINTEXT', 'SSL'"),
        ({"security": "SSL", "username": "me"}, "USERNAME is set, but SWITCHYARD_KAFKA_SECURITY is SSL"),
        ({"ca": "/ca.pem"}, "SWITCHYARD_KAFKA_CA is set, but SWITCHYARD_KAFKA_SECURITY is PLAINTEXT"),
        ({"security": "SSL", "ca": "ca.pem"}, "SWITCHYARD_KAFKA_CA is ca.pem; write the whole path"),
        ({"security": "SASL_SSL", "username": "a\\b"}, "SWITCHYARD_KAFKA_USERNAME holds a double quote"),
        ({"security": "SASL_SSL", "username": "me", "password": f'{SECRET}"'}, "SWITCHYARD_KAFKA_PASSWORD holds a"),
    ],
)
def test_what_is_missing_is_said(given: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SWITCHYARD_KAFKA_{name.upper()}", value)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert sentence in str(error.value)
    assert SECRET not in str(error.value)


def test_the_password_is_asked_for_where_kafka_is_connected_to() -> None:
    access = KafkaConnection.of(read_settings(kafka_security="SASL_SSL", kafka_username="me"), "k:1")
    assert access.connector()["properties.security.protocol"] == "SASL_SSL"
    with pytest.raises(SettingsError, match="SWITCHYARD_KAFKA_PASSWORD is not set"):
        access.client()


def test_the_local_stacks_own_broker_has_no_secured_listener() -> None:
    settings = read_settings(kafka_security="SSL")
    with pytest.raises(SettingsError, match="name your Kafka with --kafka HOST:PORT"):
        StackOptions.of(settings)


def test_flinks_tables_name_the_passwords_variable_only(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(b"# It's ours\n" + trustme.CA().cert_pem.bytes())
    access = replace(SCRAM, ca=authority)
    values = kafka_values(App.load("sdr"), "sdr", access, 1 << 20)
    statements = sql_file.read(TABLES / "kafka.sql", values)
    assert all("${env:SWITCHYARD_KAFKA_PASSWORD}" in statement.text for statement in statements)
    assert all("username=\"o''me\"" in statement.text for statement in statements)
    assert all("-----BEGIN CERTIFICATE-----" in statement.text for statement in statements)
    assert "It's ours" not in str(values)
    assert SECRET not in str(values) + repr(access)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_the_connector_holds_the_classes_it_is_told(mechanism: str) -> None:
    options = replace(SCRAM, mechanism=mechanism).connector()  # type: ignore[arg-type]
    named = [options["properties.config.providers.env.class"], options["properties.sasl.jaas.config"].split()[0]]
    (connector,) = jars("flink")
    with zipfile.ZipFile(connector) as jar:
        assert {f"{name.replace('.', '/')}.class" for name in named} <= set(jar.namelist())


def test_a_ca_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    for content, sentence in (
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "holds no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a broken certificate"),
    ):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=f"SWITCHYARD_KAFKA_CA: {file} {sentence}"):
            replace(SCRAM, ca=file).client()
