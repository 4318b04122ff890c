"""Writes to Kafka and waits for the acknowledgement, however long the broker is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from kafka import KafkaProducer
from kafka.errors import KafkaError

from switchyard.core.event import Event
from switchyard.kafka.connection import KafkaConnection

log = logging.getLogger("switchyard.worker")

ACK_TIMEOUT_S = 30.0
PAUSE_S = 0.5


class WorkerStopping(Exception):
    """The worker stops, and the broker has not acknowledged."""


class Publisher:
    """One producer for all agents of a worker; any number of threads may use it."""

    def __init__(self, kafka: KafkaConnection, stop: threading.Event) -> None:
        self._kafka = kafka.client()
        self._stop = stop
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None

    def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Write events, keyed by workflow id, in their order. Raises WorkerStopping."""
        self.write(topic, [(event.workflow_id.encode(), event.json().encode()) for event in events])

    def write(self, topic: str, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write (key, value) records; try again until all are acknowledged. Raises WorkerStopping."""
        left = list(records)
        while left:
            try:
                producer = self._connected()
                sent = [producer.send(topic, key=key, value=value) for key, value in left]
                for future in sent:
                    future.get(timeout=ACK_TIMEOUT_S)
                    left.pop(0)
            except (KafkaError, OSError) as error:
                log.warning("%s is not written yet (%s), trying again", topic, type(error).__name__)
                if self._stop.wait(PAUSE_S):
                    raise WorkerStopping from None

    def close(self) -> None:
        with self._lock:
            if self._producer is not None:
                self._producer.close(timeout=5)
                self._producer = None

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    **self._kafka,
                    acks="all",
                    # Whoever creates a topic sets how long it is kept.
                    allow_auto_create_topics=False,
                    max_block_ms=10_000,
                    request_timeout_ms=10_000,
                    delivery_timeout_ms=25_000,
                    reconnect_backoff_max_ms=1_000,
                    max_request_size=4 * 1024 * 1024,
                )
            return self._producer
