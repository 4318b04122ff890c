"""What a bundle wrote is sent at once and waited for at its end; the mini-cluster's tests show that it arrives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.coders import StrUtf8Coder
from apache_beam.runners.worker.statecache import StateCache
from pyflink.fn_execution.state_impl import RemoteKeyedStateBackend

import switchyard.flink.pipelined_state  # noqa: F401
from switchyard.flink.keyed_map import KeyedMap


class Runner:
    """Flink's end of the stream. `answers` notes how many writes had come when each was waited for."""

    def __init__(self) -> None:
        self.writes = 0
        self.answers: list[int] = []
        self.error = ""

    def append_raw(self, key: Any, data: bytes) -> Any:
        self.writes += 1
        return SimpleNamespace(get=self._answer)

    def get_raw(self, key: Any, token: bytes) -> tuple[bytes, bytes]:
        return bytes([2]), b""  # there is no such entry

    def _answer(self) -> Any:
        self.answers.append(self.writes)
        return SimpleNamespace(error=self.error)


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def backend(runner: Runner) -> RemoteKeyedStateBackend:
    tokens = SimpleNamespace(user_state_cache_token=b"token", bundle_cache_token=b"")
    handler = SimpleNamespace(_state_cache=StateCache(1 << 20), _underlying=runner, _context=tokens)
    return RemoteKeyedStateBackend(handler, StrUtf8Coder(), None, 1000, 1000, 1000)


def test_all_writes_are_sent_before_the_first_is_waited_for(backend: RemoteKeyedStateBackend, runner: Runner) -> None:
    maps = [KeyedMap(backend.get_map_state(name, StrUtf8Coder(), StrUtf8Coder())) for name in ("one", "two")]
    for key in ("a", "b", "c"):
        backend.set_current_key(key)
        for stored in maps:
            stored["entry"] = key
    assert runner.answers == []
    backend.commit()
    assert runner.answers == [6] * 6
    backend.commit()
    assert runner.writes == 6
    backend.set_current_key("a")
    assert maps[0]["entry"] == "a"


def test_a_write_that_is_refused_ends_the_bundle(backend: RemoteKeyedStateBackend, runner: Runner) -> None:
    stored = KeyedMap(backend.get_map_state("one", StrUtf8Coder(), StrUtf8Coder()))
    backend.set_current_key("a")
    stored["entry"] = "value"
    runner.error = "no such operator"
    with pytest.raises(RuntimeError, match="no such operator"):
        backend.commit()
