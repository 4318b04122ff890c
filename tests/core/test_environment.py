"""The process's environment, read once: what is wrong is a sentence, and a misspelt variable names the nearest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from switchyard import environment
from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.environment import read_own_access, read_settings

MODLE = "SWITCHYARD_ALLOW_REMOTE_MODLE: there is no such setting; did you mean SWITCHYARD_ALLOW_REMOTE_MODEL?"


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("SWITCHYARD_KAFAK", "SWITCHYARD_KAFAK: there is no such setting; did you mean SWITCHYARD_KAFKA?"),
        ("SWITCHYARD_PORTS", "SWITCHYARD_PORTS: there is no such setting; unset it"),
        ("switchyard_kafak", "switchyard_kafak: there is no such setting; did you mean SWITCHYARD_KAFKA?"),
        ("SWITCHYARD_ALLOW_REMOTE_MODLE", MODLE),
        ("SWITCHYARD_DAYSECONDS_OLD", "SWITCHYARD_DAYSECONDS_OLD: there is no such setting; unset it"),
    ],
)
def test_a_misspelt_variable_is_an_error(variable: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "x")
    for read in (read_settings, read_own_access):
        with pytest.raises(SettingsError) as raised:
            read()
        assert str(raised.value) == sentence


@pytest.mark.parametrize("value", ["flase", "", "none", "2", "0 1"])
@pytest.mark.parametrize("read", [read_settings, read_own_access])
def test_a_switch_that_is_neither_on_nor_off_is_an_error(
    value: str, read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_ALLOW_REMOTE_MODEL", value)
    with pytest.raises(SettingsError, match="SWITCHYARD_ALLOW_REMOTE_MODEL: Input should be a valid boolean"):
        read()


@pytest.mark.parametrize("value", ["threads", "Thread", ""])
def test_a_mode_of_python_that_does_not_exist_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_PYTHON_MODE", value)
    with pytest.raises(SettingsError, match="SWITCHYARD_PYTHON_MODE: Input should be 'thread' or 'process'"):
        read_settings()


@pytest.mark.parametrize(
    "variable",
    [
        *sorted(environment.INTERNAL),
        "SWITCHYARD_PORT",
        "SWITCHYARD_KAFKA_SERVICE_HOST",
        "SWITCHYARD_KAFKA_SERVICE_PORT_CLIENTS",
        "SWITCHYARD_KAFKA_PORT_9092_TCP_ADDR",
    ],
)
def test_what_our_processes_and_kubernetes_set_is_no_misspelt_setting(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    read_settings()


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_SHARD", "1")
    monkeypatch.setenv("SWITCHYARD_PARALLELISM", "many")
    with pytest.raises(SettingsError, match=r"did you mean SWITCHYARD_SHARDS\?; SWITCHYARD_PARALLELISM: Input should"):
        read_settings()


def test_settings_are_plain_and_know_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_SHARDS", "3")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    settings = read_settings(kafka="k:1", flink=None)
    assert type(settings) is Settings
    assert (settings.shards, settings.kafka, settings.flink) == (3, "k:1", None)
    assert Settings().shards == 16
    assert "sk-1" not in repr(settings)


@pytest.mark.parametrize(("value", "allowed"), [(None, True), ("1", True), ("0", False)])
def test_a_task_manager_reads_the_key_and_the_switch_alone(
    value: str | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")  # alone it would be no usable setting
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.delenv("SWITCHYARD_ALLOW_REMOTE_MODEL")
    if value is not None:
        monkeypatch.setenv("SWITCHYARD_ALLOW_REMOTE_MODEL", value)
    access = read_own_access()
    assert access.allow_remote_model is allowed
    assert access.openai_api_key is not None
    assert access.openai_api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(access)
