"""A worker: some or all agents of one app, in one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from switchyard.core import data_folder
from switchyard.core.app import App, check_senders
from switchyard.core.app_code import AppCode
from switchyard.core.errors import AppError, SettingsError
from switchyard.core.settings import Settings
from switchyard.core.topics import Topics
from switchyard.kafka.connection import KafkaConnection
from switchyard.worker.background import BackgroundContext, BackgroundThread
from switchyard.worker.database import DatabaseHealth, database_url, open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.handler_loop import HandlerLoop
from switchyard.worker.inbox import Inbox
from switchyard.worker.memory.backend import MemoryBackend
from switchyard.worker.memory.service import MemoryService
from switchyard.worker.processor import Processor
from switchyard.worker.publisher import Publisher
from switchyard.worker.store_keeper import StoreKeeper
from switchyard.worker.thinking import HandlerModel


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker is to do. No agents named means all of them, and the app's background functions.

    `concurrency` is the most messages at once, for each agent.
    """

    app: App
    namespace: str
    settings: Settings
    agents: Sequence[str] = ()
    background: bool = False
    concurrency: int = 8

    def chosen(self) -> list[str]:
        """Return the names of the agents to serve. Raises AppError where one is unknown."""
        agents = self.app.registry.agents
        unknown = [name for name in self.agents if name not in agents]
        if unknown:
            raise AppError(self.app.name, [f"there is no agent {unknown[0]!r}; there are {', '.join(agents)}"])
        return list(dict.fromkeys(self.agents)) or list(agents)


def processors(
    job: WorkerOptions,
    code: AppCode,
    effects: EffectStore,
    database: Engine,
    memories: MemoryBackend,
    model: HandlerModel | None,
    loop: HandlerLoop,
) -> list[Processor]:
    """Return the message logic of every agent to serve. Raises AppError where a handler is missing."""
    registry = job.app.registry
    settings = job.settings
    return [
        Processor(
            agent=registry.agents[name],
            registry=registry,
            handler=code.function(registry.agents[name].function),
            effects=effects,
            memories=memories,
            namespace=job.namespace,
            database=database,
            model=model,
            language_model=settings.model if settings.language_model else None,
            loop=loop,
        )
        for name in job.chosen()
    ]


class Worker:
    """Serves agents until it is stopped. Raises SettingsError or AppError where it cannot start."""

    def __init__(self, job: WorkerOptions, model: HandlerModel | None) -> None:
        if job.settings.kafka is None:
            raise SettingsError("SWITCHYARD_KAFKA is not set: it names the Kafka servers, host:port")
        check_senders(job.app, job.settings)
        sends = any(agent.sends for agent in job.app.registry.file.agents)
        mail_server = job.settings.mail_server() if sends else None
        Topics(job.namespace)
        data_folder.make(job.settings.home, job.settings.home / "state")
        self._job = job
        self._model = model
        self._loop = HandlerLoop()
        self._stop = threading.Event()
        self._database = open_database(database_url(job.settings, job.namespace))
        self._health = DatabaseHealth(self._database)
        code = AppCode(job.app.folder)
        kafka = KafkaConnection.of(job.settings, job.settings.kafka)
        self._publisher = Publisher(kafka, self._stop)
        self._memory = MemoryService(
            job.app, code, job.namespace, job.settings, kafka, self._publisher, self._leads, self._stop
        )
        effects = EffectStore(self._database, job.namespace)
        self._keeper = StoreKeeper(effects)
        self._inboxes = [
            Inbox(processor, kafka, self._publisher, self._stop, job.concurrency, self._memory.ready)
            for processor in processors(job, code, effects, self._database, self._memory.memories, model, self._loop)
        ]
        context = BackgroundContext(job.app.name, job.namespace, self._database, mail_server)
        functions = job.app.registry.file.background if job.background or not job.agents else ()
        self._background = [BackgroundThread(name, code.function(name), context, self._stop) for name in functions]

    def start(self) -> None:
        self._memory.start()
        self._keeper.start()
        for inbox in self._inboxes:
            inbox.start()
        for thread in self._background:
            thread.start()

    def stop(self) -> None:
        """Ask for the end; `join` waits for it."""
        self._stop.set()

    def wait(self) -> None:
        """Wait until `stop` is called, or an inbox cannot go on."""
        self._stop.wait()

    def join(self) -> None:
        """Wait until every handler has finished, its answers are published and its offset is committed.

        Handlers that hang are not waited for. Raises why an inbox could not go on: KafkaRefused,
        StoreDiffers, HandlersHang.
        """
        for inbox in self._inboxes:
            inbox.join()
        self._keeper.close()
        self._loop.close()
        for thread in self._background:
            thread.join()
        self._memory.join()
        self._publisher.close()
        self._database.dispose()
        for inbox in self._inboxes:
            if inbox.refusal is not None:
                raise inbox.refusal

    def report(self) -> dict[str, Any]:
        """What `GET /health` says; `problem` is a sentence where it is not healthy."""
        problems = (inbox.problem for inbox in self._inboxes)
        problem = next(filter(None, problems), None) or self._health.problem or self._memory.problem
        return {
            "healthy": problem is None,
            "problem": problem,
            "app": self._job.app.name,
            "namespace": self._job.namespace,
            "agents": [
                {
                    "name": inbox.agent,
                    "partitions": inbox.partitions,
                    "running": inbox.running,
                    "hanging": inbox.hanging,
                    "handled": inbox.handled,
                }
                for inbox in self._inboxes
            ],
            "model_calls": getattr(self._model, "calls", 0),
            "background": [thread.name.removeprefix("background-") for thread in self._background],
        }

    def _leads(self, agent: str) -> bool:
        return any(inbox.agent == agent and inbox.leading for inbox in self._inboxes)
