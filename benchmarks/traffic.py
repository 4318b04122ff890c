"""Sends events, and watches for what comes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from kafka import KafkaProducer

from benchmarks.figures import Trips
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster, KafkaRecord
from switchyard.kafka.connection import KafkaConnection

PATIENCE_S = 120.0
_TEXT = "How long does an event take from one agent to the next, when a model decides which one that is?"


class Traffic:
    """Each event is a workflow of its own. It has arrived when a consumer on this machine has read what comes of it:
    a message in the topic `watched` that `is_end` says yes to.

    `hops_ms` are the times from writing a message there to reading it.
    """

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, watched: str, is_end: Callable[[KafkaRecord], bool]
    ) -> None:
        self._topic = topics.agent_messages
        self._is_end = is_end
        self.hops_ms: list[float] = []
        self._producer = KafkaProducer(**kafka.client(), acks="all", linger_ms=0)
        self._follower = Cluster(kafka).follow([watched])
        self._arrived: dict[str, float] = {}
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="watching", daemon=True)

    def __enter__(self) -> Self:
        self._watching.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watching.join()
        self._follower.close()
        self._producer.close()

    def burst(self, name: str, count: int, type: str, comes: Callable[[str], bool] = bool) -> Trips:
        """All at once; waits for the last one to arrive of those of which `comes` says that they will."""
        return self._complete({identity: self._send(identity, type) for identity in _ids(name, count)}, comes)

    def paced(self, name: str, count: int, per_second: float, type: str, comes: Callable[[str], bool] = bool) -> Trips:
        """One after the other at a steady rate; waits as `burst` does."""
        sent = {}
        begun = time.monotonic()
        for number, identity in enumerate(_ids(name, count)):
            time.sleep(max(begun + number / per_second - time.monotonic(), 0.0))
            sent[identity] = self._send(identity, type)
        return self._complete(sent, comes)

    def _send(self, identity: str, type: str) -> float:
        """The record's CreateTime."""
        event = Event.new(
            id=identity,
            source="switchyard/benchmarks",
            type=type,
            workflow_id=identity,
            data={"id": identity, "text": _TEXT},
        )
        value = event.json().encode()
        now = int(time.time() * 1000)
        self._producer.send(self._topic, key=identity.encode(), value=value, timestamp_ms=now)
        return now

    def _complete(self, everything: dict[str, float], comes: Callable[[str], bool]) -> Trips:
        """The trips of those that come. Raises SwitchyardError where nothing has arrived for a long time."""
        sent = {identity: at for identity, at in everything.items() if comes(identity)}
        trips, left, moved = Trips(sent, self._arrived), len(sent), time.monotonic()
        while missing := trips.missing:
            if len(missing) < left:
                left, moved = len(missing), time.monotonic()
            if time.monotonic() - moved > PATIENCE_S:
                raise SwitchyardError(f"{left} of {len(sent)} events did not arrive, among them {min(missing)}")
            time.sleep(0.05)
        return Trips(sent, {name: self._arrived[name] for name in sent})

    def _watch(self) -> None:
        while not self._over.is_set():
            for message in self._follower.poll(0.2):
                now = time.time() * 1000
                self.hops_ms.append(now - message.time)
                if self._is_end(message):
                    self._arrived.setdefault(message.key.decode(), now)


def _ids(name: str, count: int) -> Iterable[str]:
    return (f"{name}-{number:05d}" for number in range(count))
