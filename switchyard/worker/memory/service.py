"""The memory of one worker: a backend, and the threads that keep it right."""

from __future__ import annotations

import threading
from collections.abc import Callable

from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.settings import Settings
from switchyard.core.topics import Topics
from switchyard.kafka.connection import KafkaConnection
from switchyard.worker.database import DatabaseHealth, open_database
from switchyard.worker.memory.backend import MemoryBackend, MemoryContext
from switchyard.worker.memory.follower import MemoryFollower
from switchyard.worker.memory.loading import MEM0, SQLITE, is_trimmable, open_backend
from switchyard.worker.memory.mem0 import Mem0Memory, open_mem0
from switchyard.worker.memory.store import SqliteMemory, memory_url
from switchyard.worker.memory.trim import Trimmer
from switchyard.worker.publisher import Publisher


class MemoryService:
    """SQLite beside the worker with the topic behind it, mem0, or a backend that the settings name.

    No handler may run before `ready` is set. `mine` says whether this worker trims an agent's memories; what agents
    remember that are gone is trimmed by every worker. Raises AppError where there is no such summary function,
    SettingsError where the backend cannot be used.
    """

    memories: MemoryBackend

    def __init__(
        self,
        app: App,
        code: AppCode,
        namespace: str,
        settings: Settings,
        kafka: KafkaConnection,
        publisher: Publisher,
        mine: Callable[[str], bool],
        stop: threading.Event,
    ) -> None:
        limits = app.registry.file.memory
        summarise = None if limits.summarise is None else code.function(limits.summarise)
        self.ready = threading.Event()
        self._health: DatabaseHealth | None = None
        self._threads: list[threading.Thread] = []
        self._close: Callable[[], None]
        if settings.memory == SQLITE:
            topic = Topics(namespace).memory
            engine = open_database(memory_url(settings, namespace))
            self._health = DatabaseHealth(engine)
            local = SqliteMemory(engine, lambda records: publisher.write(topic, records))
            follower = MemoryFollower(local, topic, kafka, stop)
            self.memories, self.ready, self._close = local, follower.restored, engine.dispose
            self._threads.append(follower)
        else:
            context = MemoryContext(namespace, limits, stop)
            self.memories, self._close = shared_backend(app, code, settings, context)
            self.ready.set()
        if is_trimmable(self.memories):

            def trims(agent: str) -> bool:
                return agent not in app.registry.agents or mine(agent)

            self._threads.append(Trimmer(self.memories, limits, summarise, trims, stop))

    @property
    def problem(self) -> str | None:
        """A sentence while the file cannot be used."""
        return None if self._health is None else self._health.problem

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the threads have ended; call it when no handler runs any more."""
        for thread in self._threads:
            thread.join()
        self._close()


def shared_backend(
    app: App, code: AppCode, settings: Settings, context: MemoryContext
) -> tuple[MemoryBackend, Callable[[], None]]:
    """mem0, or the backend that the settings name, with what closes it. Raises SettingsError."""
    if settings.memory == MEM0 and settings.mem0_config is not None:
        config, folder = settings.mem0_config, settings.home.absolute() / "state" / "mem0"
        agents = list(app.registry.agents)
        mem0 = Mem0Memory(lambda: open_mem0(config, folder), context.namespace, agents, context.stop)
        return mem0, mem0.close
    backend = open_backend(settings.memory, context, code)
    return backend, getattr(backend, "close", _nothing)


def _nothing() -> None:
    """A backend need have no `close`."""
