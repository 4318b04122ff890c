"""A broker may not know the settings of a topic that was just made."""

from __future__ import annotations

import pytest

from switchyard.core.errors import SwitchyardError
from switchyard.kafka import admin as kafka_admin
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection

KNOWN = {"ledger": {"retention.ms": "1"}}


class Slow(Cluster):
    """A cluster that tells the settings at the given question."""

    def __init__(self, tells_at: int) -> None:
        super().__init__(KafkaConnection("127.0.0.1:1"))
        self.asked = 0
        self._tells_at = tells_at

    def _topic_config(self, names: list[str]) -> dict[str, dict[str, str]]:
        self.asked += 1
        return KNOWN if self.asked >= self._tells_at else {"ledger": {}}


def test_settings_are_asked_for_until_they_are_there() -> None:
    cluster = Slow(3)
    assert cluster.topic_config(["ledger"]) == KNOWN
    assert cluster.asked == 3


def test_settings_that_never_come_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_admin, "BOOTSTRAP_MS", 100)
    with pytest.raises(SwitchyardError, match="does not tell the settings of ledger"):
        Slow(1000).topic_config(["ledger"])
