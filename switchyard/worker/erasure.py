"""What workers keep about somebody: effects, what agents remember outside of Kafka, and the app's own tables."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy.engine import make_url

from switchyard.core.app import App
from switchyard.core.app_code import AppCode
from switchyard.core.erasure import Erasure, ReceiptLine, Removal
from switchyard.core.errors import SwitchyardError
from switchyard.core.settings import Settings
from switchyard.worker.background import BackgroundContext
from switchyard.worker.database import database_url, drop_deleted, open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.memory.backend import MemoryContext, StoredMemory, TrimmableBackend
from switchyard.worker.memory.loading import SQLITE, is_trimmable
from switchyard.worker.memory.service import shared_backend

Forget = Callable[[BackgroundContext, Erasure, bool], int]
"""What `forget:` of agents.yaml names: context, what is to be forgotten, whether to remove it → how many rows."""


class WorkerStores:
    """The stores of one namespace, as the settings here say them. Raises SQLAlchemyError where one cannot be used."""

    def __init__(self, app: App, namespace: str, settings: Settings) -> None:
        self._app = app
        self._code = AppCode(app.folder)
        self._namespace = namespace
        self._settings = settings
        url = database_url(settings, namespace)
        path = make_url(url).database if make_url(url).get_backend_name() == "sqlite" else None
        self._engine = open_database(url) if path is None or Path(path).exists() else None
        self._effects = None if self._engine is None else EffectStore(self._engine, namespace)
        self._close_memory: Callable[[], None] = _nothing

    @property
    def id(self) -> str | None:
        """Which store this is, as committed offsets name it; None where there is none here."""
        return None if self._effects is None else self._effects.id

    def workflow_ids(self, erasure: Erasure) -> set[str]:
        """The workflows in which an agent's answer mentions the address."""
        found = [] if self._effects is None else self._effects.concerning(erasure)
        return {effect.workflow_id for effect in found if effect.workflow_id is not None}

    def remembered(self, erasure: Erasure) -> list[StoredMemory]:
        """What agents have remembered by the effects of its workflows."""
        found = [] if self._effects is None else self._effects.concerning(erasure)
        return [entry for effect in found for entry in effect.remembered]

    def removals(self, erasure: Erasure) -> list[Removal]:
        """What is there to remove; the app's own first, for it may be about to act on it."""
        return [*self._own(erasure), *self._memory(erasure), *self._of_effects(erasure)]

    def close(self) -> None:
        self._close_memory()
        if self._engine is not None:
            drop_deleted(self._engine)
            self._engine.dispose()

    def _own(self, erasure: Erasure) -> list[Removal]:
        reference = self._app.registry.file.forget
        if reference is None or self._engine is None:
            return []
        function: Forget = self._code.function(reference)
        context = BackgroundContext(self._app.name, self._namespace, self._engine)

        def asked(remove: bool) -> int:
            try:
                return int(function(context, erasure, remove))
            except Exception as error:
                raise SwitchyardError(f"{reference} of {self._app.name} raised {type(error).__name__}") from error

        found = asked(False)
        line = ReceiptLine(f"the app's own: {reference}", found, "removed")
        return [Removal(line, partial(asked, True))] if found else []

    def _of_effects(self, erasure: Erasure) -> list[Removal]:
        if self._effects is None or not (keys := [effect.key for effect in self._effects.concerning(erasure)]):
            return []
        line = ReceiptLine("table effects", len(keys), "removed", note="hashes stay, so that nothing is done twice")
        return [Removal(line, partial(self._effects.forget, keys))]

    def _memory(self, erasure: Erasure) -> list[Removal]:
        if self._settings.memory == SQLITE:  # it follows its topic
            return []
        context = MemoryContext(self._namespace, self._app.registry.file.memory, threading.Event())
        backend, self._close_memory = shared_backend(self._app, self._code, self._settings, context)
        place, entries = f"memory {self._settings.memory}", {_identity(item): item for item in self.remembered(erasure)}
        if not is_trimmable(backend):
            note = "this memory has no method to forget by: remove it there"
            return [Removal(ReceiptLine(place, len(entries), "kept", note=note))]
        entries |= {_identity(item): item for item in self._about(backend, erasure, list(entries.values()))}
        line = ReceiptLine(place, len(entries), "removed")
        return [Removal(line, lambda: backend.forget(list(entries.values())))] if entries else []

    def _about(self, backend: TrimmableBackend, erasure: Erasure, known: list[StoredMemory]) -> list[StoredMemory]:
        """Everything about the subjects that are, or have in them, the address."""
        subjects = {(item.agent, item.subject) for item in known if erasure.mentions(item.subject)}
        if erasure.address is not None:
            spellings = {erasure.address, erasure.address.lower()}
            subjects |= {(agent, spelling) for agent in self._app.registry.agents for spelling in spellings}
        return [item for agent, subject in sorted(subjects) for item in backend.all(agent, subject)]


def _identity(entry: StoredMemory) -> tuple[str, str, str]:
    return entry.agent, entry.subject, entry.id


def _nothing() -> None:
    """No memory was opened."""
