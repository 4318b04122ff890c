"""Reads one agent's inbox: several messages at once, offsets committed in order, polling never stops for a handler."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected, SwitchyardError
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection, KafkaRefused
from switchyard.worker.database import unavailable
from switchyard.worker.leases import LeaseHeld
from switchyard.worker.offsets import Offsets
from switchyard.worker.processor import Processor
from switchyard.worker.publisher import Publisher, WorkerStopping

log = logging.getLogger("switchyard.worker")

IDLE_POLL_MS = 500
BUSY_POLL_MS = 20
COMMIT_TIMEOUT_MS = 5_000
PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
IDLE_S = 10.0
"""A consumer that has had no partitions for so long looks whether anybody has them."""
STUCK_S = 60.0


class HandlersHang(SwitchyardError):
    """As many handlers of an agent hang as it may have at once; only the end of the process ends them."""

    def __init__(self, agent: str, hanging: int) -> None:
        super().__init__(
            f"{hanging} handlers of {agent} hang, so the worker ends, to be started again: give what they wait for "
            "a timeout below the agent's deadline"
        )


class StoreDiffers(SwitchyardError):
    """What was done for an inbox before is in another store than this worker's."""

    def __init__(self, topic: str, group: str) -> None:
        super().__init__(
            f"what was done for {topic} so far is in another store than this worker's, which could do it again: give "
            "all workers of the app one SWITCHYARD_DATABASE, or this one the SQLite file of the others. Where that "
            f"store is lost, reset the offsets of {group} to what they are (docs/operations.md)"
        )


class NobodyReads(Exception):
    """A consumer has no partitions, and its group nobody else who reads the inbox."""


class Inbox:
    """One agent's consumer, in a thread of its own, which reads nothing before `ready` is set.

    Where it cannot go on, `refusal` says why and `stop` is set: Kafka refuses it, others have another store, or so many
    handlers hang that the process has to be started again.
    """

    def __init__(
        self,
        processor: Processor,
        kafka: KafkaConnection,
        publisher: Publisher,
        stop: threading.Event,
        concurrency: int,
        ready: threading.Event,
    ) -> None:
        self.agent = processor.agent.name
        self._processor = processor
        self._topics = Topics(processor.namespace)
        self._kafka = kafka
        self._publisher = publisher
        self._stop = stop
        self._ready = ready
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix=self.agent)
        self._running = 0
        self._lock = threading.Lock()
        self._offsets: dict[TopicPartition, Offsets] = {}
        self._thread = threading.Thread(target=self._run, name=f"inbox-{self.agent}")
        self._client_id = f"{self._topics.group(self.agent)}-{uuid.uuid4().hex[:8]}"
        self._store = processor.effects.id
        self._unclaimed: set[TopicPartition] = set()
        self._idle_since = 0.0
        self._polled_at: float | None = None
        self._unread = False
        self._failing: dict[tuple[int, int], str] = {}
        self.handled = 0
        self.refusal: SwitchyardError | None = None

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def partitions(self) -> int:
        """How many partitions of the inbox this worker reads."""
        return len(self._offsets)

    @property
    def leading(self) -> bool:
        """Whether this worker reads the inbox's first partition, which but one of the agent's workers does."""
        return any(item.partition == 0 for item in list(self._offsets))

    @property
    def running(self) -> int:
        """How many messages are with a handler now."""
        return self._running

    @property
    def hanging(self) -> int:
        """How many handlers go on although their deadlines have passed; each keeps a thread."""
        return self._processor.hanging

    @property
    def problem(self) -> str | None:
        """A sentence while not all is well."""
        if not self.alive:
            return f"the inbox of {self.agent} is no longer read; the log says why"
        polled_at = self._polled_at
        stuck_s = 0.0 if polled_at is None else time.monotonic() - polled_at
        if stuck_s > STUCK_S:
            return f"the inbox of {self.agent} has not been polled for {stuck_s:.0f} s: start the worker again"
        if self._unread:
            return f"nobody reads the inbox of {self.agent}; its consumer connects anew"
        failing = next(iter(list(self._failing.items())), None)
        if failing is None:
            return None
        (partition, offset), error = failing
        return (
            f"{self.agent} cannot handle offset {offset} of partition {partition} ({error}) and tries again; "
            "the log has the trace"
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except (KafkaRefused, StoreDiffers) as refusal:
                self.refusal = refusal
                self._stop.set()
            except NobodyReads:
                self._unread = True
                log.warning("%s; it has had no partitions for %.0f s", self.problem, IDLE_S)
            except KafkaTimeoutError:
                log.warning("%s: %s; connecting again", self.agent, self._kafka.unreachable_reason())
                self._stop.wait(PAUSE_S)
            except Exception as error:  # noqa: BLE001  # the client raises more than its own errors when a broker goes
                log.warning("%s lost Kafka (%s), connecting again", self.agent, type(error).__name__)
                self._stop.wait(PAUSE_S)
        self._pool.shutdown(wait=True)

    def _session(self) -> None:
        consumer = self._connect()
        try:
            while not self._ready.wait(PAUSE_S):
                if self._stop.is_set():
                    return
            topic = self._topics.inbox(self.agent)
            # A subscription to a topic that is not there yet logs an error at each look for it.
            while not consumer.partitions_for_topic(topic):
                if self._stop.wait(PAUSE_S):
                    return
            consumer.subscribe([topic], listener=_Rebalance(self, consumer))
            self._idle_since = time.monotonic()
            while not self._stop.is_set():
                self._step(consumer)
                self._look_around(topic)
                if self.hanging >= self._concurrency:
                    self.refusal = HandlersHang(self.agent, self.hanging)
                    self._stop.set()
            self._drain(consumer)
        finally:
            self._offsets, self._unclaimed, self._polled_at = {}, set(), None
            consumer.close(autocommit=False, timeout_ms=2_000)

    def _connect(self) -> KafkaConsumer:
        self._kafka.check()
        return KafkaConsumer(
            **self._kafka.client(),
            client_id=self._client_id,
            group_id=self._topics.group(self.agent),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            # An inbox may get further partitions; they must be seen soon.
            metadata_max_age_ms=3_000,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            reconnect_backoff_max_ms=1_000,
            fetch_max_wait_ms=500,
        )

    def _step(self, consumer: KafkaConsumer) -> None:
        free = self._concurrency - self._running
        if self._claim(consumer) and free > 0:
            consumer.resume(*(item for item in consumer.paused() if item not in self._unclaimed))
        else:
            consumer.pause(*consumer.assignment())
        wait_ms = BUSY_POLL_MS if self._running else IDLE_POLL_MS
        for partition, records in consumer.poll(timeout_ms=wait_ms, max_records=max(free, 1)).items():
            offsets = self._offsets.get(partition)
            if offsets is None:
                continue  # it has just moved: another worker reads them
            for record in records:
                offsets.begin(record.offset)
                with self._lock:
                    self._running += 1
                self._pool.submit(self._handle, record, offsets)
        self._polled_at = time.monotonic()
        self.commit(consumer)

    def _claim(self, consumer: KafkaConsumer) -> bool:
        """Whether all that was done for this worker's partitions is in its store, whose id their offsets carry.

        Until that is known nothing is read. Raises StoreDiffers.
        """
        unclaimed = list(self._unclaimed)
        try:
            committed = {
                partition: consumer.committed(partition, metadata=True, timeout_ms=COMMIT_TIMEOUT_MS)
                for partition in unclaimed
            }
            if any(item is not None and item.metadata not in ("", self._store) for item in committed.values()):
                raise StoreDiffers(self._topics.inbox(self.agent), self._topics.group(self.agent))
            offsets = {
                partition: item.offset if item else consumer.position(partition, timeout_ms=COMMIT_TIMEOUT_MS)
                for partition, item in committed.items()
            }
            if any(item is None or not item.metadata for item in committed.values()):
                consumer.commit(self._positions(offsets), timeout_ms=COMMIT_TIMEOUT_MS)
            for partition, offset in offsets.items():
                # The client goes on where it was in a partition that it had before; what handlers have is read again.
                consumer.seek(partition, offset)
        except KafkaError as error:
            log.warning("%s: offsets are not known yet (%s)", self.agent, type(error).__name__)
            return False
        self._unclaimed.difference_update(unclaimed)
        return not self._unclaimed

    def _positions(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {partition: OffsetAndMetadata(offset, self._store) for partition, offset in offsets.items()}

    def _look_around(self, topic: str) -> None:
        """Raises NobodyReads where this consumer should have partitions, and has none."""
        now = time.monotonic()
        if self.partitions:
            self._idle_since, self._unread = now, False
        elif now - self._idle_since >= IDLE_S:
            self._idle_since = now
            group = self._topics.group(self.agent)
            if not Cluster(self._kafka).groups([group])[group].reads(topic, but=self._client_id):
                raise NobodyReads
            self._unread = False

    def _drain(self, consumer: KafkaConsumer) -> None:
        """Let running handlers finish, staying a member of the group, and commit what they did."""
        while self._running:
            consumer.pause(*consumer.assignment())
            consumer.poll(timeout_ms=BUSY_POLL_MS, max_records=1)
            self.commit(consumer)
        self.commit(consumer)

    def finished(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The offsets before which all is finished, where they are not committed yet."""
        ready = {partition: offsets.ready for partition, offsets in list(self._offsets.items())}
        return self._positions({partition: offset for partition, offset in ready.items() if offset is not None})

    def commit(self, consumer: KafkaConsumer) -> None:
        """Commit what is finished without a gap; what cannot be committed now is tried again."""
        positions = self.finished()
        if not positions:
            return
        try:
            consumer.commit(positions, timeout_ms=COMMIT_TIMEOUT_MS)
        except KafkaError as error:
            log.warning("%s: offsets are not committed yet (%s)", self.agent, type(error).__name__)
            return
        for partition, position in positions.items():
            offsets = self._offsets.get(partition)
            if offsets is not None:
                offsets.committed(position.offset)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._offsets.pop(partition, None)
            self._unclaimed.discard(partition)

    def adopt(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._unclaimed.add(partition)  # first: the inbox's thread must not read on before it is claimed
            self._offsets[partition] = Offsets()

    def _handle(self, record: Any, offsets: Offsets) -> None:
        try:
            self._settle(record)
            # In this order: what is committed is no problem any more, what counts as handled can be committed.
            self._failing.pop((record.partition, record.offset), None)
            offsets.finish(record.offset)
            with self._lock:
                self.handled += 1
        except WorkerStopping:
            log.warning("%s stops before offset %d is published; it will be read again", self.agent, record.offset)
        finally:
            with self._lock:
                self._running -= 1

    def _settle(self, record: Any) -> None:
        """Publish the answers of one message, or its dead letter. Raises WorkerStopping."""
        pause_s, since = PAUSE_S, time.monotonic()
        while True:
            try:
                events = self._processor.handle(record.value or b"", since)
                self._publisher.publish(self._topics.agent_messages, events)
                return
            except Rejected as error:
                self._publisher.write(self._topics.dead_letters, [_dead_letter(error, record)])
                return
            except WorkerStopping:
                raise
            except LeaseHeld:
                pause_s = PAUSE_S
            except Exception as error:  # no message may be passed over because of what a backend or driver raises
                if not unavailable(error):
                    self._failing[record.partition, record.offset] = type(error).__name__
                    log.exception("%s cannot handle offset %d yet, trying again", self.agent, record.offset)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if self._stop.wait(pause_s):
                raise WorkerStopping


def _dead_letter(error: Rejected, record: Any) -> tuple[bytes, bytes]:
    position = Position(record.topic, record.partition, record.offset)
    letter = DeadLetter.of(error, record.value or b"", position, int(time.time() * 1000))
    return b"", letter.json().encode()


class _Rebalance(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Called in the consumer's I/O thread, which must not be blocked."""

    def __init__(self, inbox: Inbox, consumer: KafkaConsumer) -> None:
        self._inbox = inbox
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        offsets = self._inbox.finished()
        self._inbox.forget(revoked)
        if offsets:
            try:
                await self._consumer.commit_async(offsets)
            except KafkaError as error:  # who reads them next finds the answers in the store
                log.warning("%s: offsets are not committed (%s)", self._inbox.agent, type(error).__name__)

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self._inbox.forget(lost)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._inbox.adopt(assigned)
        self._consumer.pause(*assigned)
