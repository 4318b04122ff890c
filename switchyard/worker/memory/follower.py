"""Keeps the memory beside a worker as the topic `<ns>.memory` says: rebuilds it, follows what others write."""

from __future__ import annotations

import logging
import threading
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy.exc import SQLAlchemyError

from switchyard.kafka.connection import KafkaConnection, KafkaRefused
from switchyard.worker.memory.store import SqliteMemory

log = logging.getLogger("switchyard.worker")

POLL_MS = 500
PAUSE_S = 1.0


class MemoryFollower(threading.Thread):
    """Reads the topic from where the file stands. `restored` is set once the file has all that stood in it at first."""

    def __init__(self, memories: SqliteMemory, topic: str, kafka: KafkaConnection, stop: threading.Event) -> None:
        super().__init__(name="memory")
        self._memories = memories
        self._topic = topic
        self._kafka = kafka
        self._stop_event = stop
        self.restored = threading.Event()

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                self._session()
            except KafkaRefused as refusal:  # the inboxes are refused, too, and end the worker
                log.warning("%s is not read: %s", self._topic, refusal)
            except SQLAlchemyError as error:
                log.warning("the memory beside this worker cannot be written (%s), trying again", type(error).__name__)
            except Exception as error:  # noqa: BLE001  # the client raises more than its own errors when a broker goes
                log.warning("%s is not read (%s), connecting again", self._topic, type(error).__name__)
            self._stop_event.wait(PAUSE_S)

    def _session(self) -> None:
        self._kafka.check()
        consumer = KafkaConsumer(
            **self._kafka.client(),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            metadata_max_age_ms=3_000,
            reconnect_backoff_max_ms=1_000,
        )
        try:
            self._follow(consumer)
        finally:
            consumer.close(timeout_ms=2_000)

    def _follow(self, consumer: KafkaConsumer) -> None:
        """Until the worker stops, or the topic gets further partitions."""
        numbers = self._partitions(consumer)
        if not numbers:
            return
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        positions = self._memories.positions()
        for partition in partitions:
            position = positions.get(partition.partition, 0)
            # A position beyond the end is that of another topic, which had this name before.
            consumer.seek(partition, position if position <= ends[partition] else 0)
        while not self._stop_event.is_set() and consumer.partitions_for_topic(self._topic) == numbers:
            if not self.restored.is_set() and all(consumer.position(item) >= ends[item] for item in partitions):
                log.info("the memory beside this worker is complete")
                self.restored.set()
            self._apply(consumer.poll(timeout_ms=POLL_MS), consumer)

    def _partitions(self, consumer: KafkaConsumer) -> set[int]:
        """Return the topic's partitions, none when the worker stops. Without the topic, nothing has been remembered."""
        numbers: set[int] = set(consumer.partitions_for_topic(self._topic))
        while not numbers and not self._stop_event.is_set():
            self.restored.set()
            self._stop_event.wait(PAUSE_S)
            numbers = set(consumer.partitions_for_topic(self._topic))
        return numbers

    def _apply(self, batches: dict[TopicPartition, list[Any]], consumer: KafkaConsumer) -> None:
        if not batches:
            return
        records = [(record.key or b"", record.value) for batch in batches.values() for record in batch]
        positions = {partition.partition: consumer.position(partition) for partition in batches}
        broken = self._memories.replay(records, positions)
        if broken:
            log.warning("%d records of %s are no memory and are left out", broken, self._topic)
