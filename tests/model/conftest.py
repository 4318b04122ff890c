import pytest


@pytest.fixture(autouse=True)
def no_remote_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_ALLOW_REMOTE_MODEL", "0")
