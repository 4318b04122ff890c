"""The memory of one worker: a backend, and the threads that keep it right."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent_endpoints.app_code import AppCode
from agent_endpoints.database import Condition, open_database
from agent_endpoints.memory_log import MemoryFollower
from agent_endpoints.memory_store import LocalMemories, memory_url
from agent_endpoints.memory_trim import Trimmer
from agent_endpoints.publisher import Publisher
from switchyard.core.app import App
from switchyard.core.kafkaaccess import KafkaAccess
from switchyard.core.settings import Settings
from switchyard.core.topics import Topics


class MemoryService:
    """SQLite beside the worker and the topic behind it. `ready` is set once the file is as the topic says.

    `mine` says whether this worker trims an agent's memories. Raises AppError where there is no such summary function.
    """

    def __init__(
        self,
        app: App,
        code: AppCode,
        namespace: str,
        settings: Settings,
        kafka: KafkaAccess,
        publisher: Publisher,
        mine: Callable[[str], bool],
        stop: threading.Event,
    ) -> None:
        limits = app.registry.file.memory
        summarise = None if limits.summarise is None else code.function(limits.summarise)
        topic = Topics(namespace).memory
        self._engine = open_database(memory_url(settings, namespace))
        self._condition = Condition(self._engine)
        self.memories = LocalMemories(self._engine, lambda records: publisher.write(topic, records))
        follower = MemoryFollower(self.memories, topic, kafka, stop)
        self.ready = follower.restored
        self._threads = [follower, Trimmer(self.memories, limits, summarise, mine, stop)]

    @property
    def problem(self) -> str | None:
        """A sentence while the file cannot be used."""
        return self._condition.problem

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the threads have ended; call it when no handler runs any more."""
        for thread in self._threads:
            thread.join()
        self._engine.dispose()
