"""How often the job reads an event on its way: once where it comes in, once where its record comes back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.input_validator import InputValidator
from switchyard.local.model_server.scripted import ScriptedServer
from tests.flink.support import created
from tests.flink.test_restore import Harness


def test_a_model_decided_event_is_parsed_once_and_so_is_its_record(
    scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Harness(scripted_model.base_url)
    operator.open()
    operator.event(created(1))  # held until the shard has read its fence back, so its text is loaded twice
    operator.run(lambda: operator.dispatched == ["lead-1"])

    counts: Counter[str] = Counter()
    for name in ("parse", "trusted"):
        original = getattr(Event, name).__func__

        def counted(cls: type[Event], text: Any, name: str = name, original: Any = original) -> Event:
            counts[name] += 1
            return original(cls, text)  # type: ignore[no-any-return]

        monkeypatch.setattr(Event, name, classmethod(counted))
    raw = created(2)
    InputValidator(App.load("sdr").registry).event(raw)  # what `check_event` does
    operator.event(raw)
    operator.run(lambda: operator.dispatched == ["lead-1", "lead-2"])
    operator.crash()
    assert counts["parse"] == 2, "the event where it comes in, and in its record"
    assert counts["trusted"] == 1, "its text, where the operator takes it from the check"
