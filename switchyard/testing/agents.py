"""Agents of test cases: scripted answers, or the app's own handlers with the offline model."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchyard.core.agents_file import Agent
from switchyard.core.app import App
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.times import rfc3339_now
from switchyard.core.topics import Topics
from switchyard.testing.cases import Case, CaseError
from switchyard.worker.effects import StoredEffect
from switchyard.worker.processor import answer_events
from switchyard.worker.task import Answer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from switchyard.core.app_code import AppCode
    from switchyard.worker.memory.backend import MemoryBackend
    from switchyard.worker.processor import Processor


class CaseAgents:
    """Answers dispatches as the cases say. Handlers keep their effects under `folder`, and remember there, too.

    Where `memory`, as in the settings, names a backend of one's own, they remember with that.
    """

    def __init__(self, app: App, namespace: str, folder: Path, model_base_url: str, memory: str) -> None:
        self._app = app
        self._namespace = namespace
        self._folder = folder
        self._model_base_url = model_base_url
        self._memory = memory
        self._turns: dict[tuple[str, str], int] = {}
        self._processors: dict[str, Processor] = {}
        self._closing: list[Any] = []

    def answer(self, case: Case, name: str, raw: bytes) -> list[Event]:
        """The answer events to one dispatch. Raises CaseError where the case has none, or a wrong one."""
        agent = self._app.registry.agents[name]
        script = case.content.agents.get(name)
        if script is None and case.content.handlers == "real":
            return self._processor(agent).handle(raw)
        event = Event.parse(raw)
        turn = (case.content.workflow, name)
        index = self._turns.get(turn, 0)
        self._turns[turn] = index + 1
        if isinstance(script, list):
            script = script[index] if index < len(script) else None
        if script is None:
            raise CaseError(f"{case.place('agents', name)} {case.name}: no answer of {name} for {event.type}")
        answers = [self._scripted(case, agent, event, item) for item in script.get("answers", [script])]
        failed = any(item.type == FAILED_TYPE for item in answers)
        key = str(event.attributes["dispatchid" if failed else "effectkey"])
        now = rfc3339_now()
        return answer_events(event, Topics(self._namespace).source(name), key, StoredEffect(tuple(answers), now))

    def close(self) -> None:
        for item in self._closing:
            item()

    def _scripted(self, case: Case, agent: Agent, event: Event, script: dict[str, Any]) -> Answer:
        if "failed" in script:
            return Answer(
                FAILED_TYPE, {"agent": agent.name, "reason": "handler-error", "message": str(script["failed"])}
            )
        kind = script.get("type", agent.emits[0])
        contract = self._app.registry.contracts.get(kind)
        place = f"{case.place('agents', agent.name)} {case.name}"
        if contract is None or kind not in agent.emits:
            raise CaseError(f"{place}: {agent.name} emits {', '.join(agent.emits)}, not {kind}")
        names = [item["name"] for item in contract.schema["fields"]]
        data = {**{name: event.data[name] for name in names if name in event.data}, **script.get("data", {})}
        try:
            contract.check(data)
        except Rejected as error:
            raise CaseError(
                f"{place}: the answer breaks {kind} at {error.field or 'the top'}: {error.message}"
            ) from None
        return Answer(kind, data)

    def _processor(self, agent: Agent) -> Processor:
        if agent.name not in self._processors:
            from switchyard.core.app_code import AppCode
            from switchyard.core.model import BlockingModel, OpenAIModel
            from switchyard.worker.database import open_database
            from switchyard.worker.effects import EffectStore
            from switchyard.worker.handler_loop import HandlerLoop
            from switchyard.worker.processor import Processor

            self._folder.mkdir(parents=True, exist_ok=True)
            engine = open_database(f"sqlite:///{self._folder / 'handlers.sqlite'}")
            client = OpenAIModel(self._model_base_url, "offline", "scripted", namespace=self._namespace)
            model = BlockingModel(client)
            code, loop = AppCode(self._app.folder), HandlerLoop()
            self._closing += [loop.close, model.close, engine.dispose]
            self._processors[agent.name] = Processor(
                agent=agent,
                registry=self._app.registry,
                handler=code.function(agent.function),
                effects=EffectStore(engine, self._namespace),
                memories=self._backend(engine, code),
                namespace=self._namespace,
                database=engine,
                model=model,
                loop=loop,
            )
        return self._processors[agent.name]

    def _backend(self, engine: Engine, code: AppCode) -> MemoryBackend:
        from switchyard.worker.memory.backend import MemoryContext
        from switchyard.worker.memory.loading import BUILT_IN, open_backend
        from switchyard.worker.memory.store import SqliteMemory

        if self._memory in BUILT_IN:
            return SqliteMemory(engine, lambda records: None)
        limits = self._app.registry.file.memory
        return open_backend(self._memory, MemoryContext(self._namespace, limits, threading.Event()), code)
