"""The memory in mem0, for those who have it: the package and its settings are theirs (`switchyard[mem0]`).

mem0 stores texts as they are, without a model (`infer=False`). All workers share it, so no topic stands behind it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import yaml

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.errors import SettingsError
from switchyard.worker.memory.backend import StoredMemory, now
from switchyard.worker.memory.trim import to_trim
from switchyard.worker.publisher import WorkerStopping

log = logging.getLogger("switchyard.worker")

PAUSE_S = 1.0
MOST = 100_000
DAY_S = 86_400.0
UNUSED_LLM = {"provider": "openai", "config": {"api_key": "unused"}}

Result = TypeVar("Result")


def open_mem0(config: Path, folder: Path) -> Any:
    """A `mem0.Memory` as its file says, which is YAML or JSON; what mem0 keeps about itself goes to `folder`.

    Raises SettingsError where the package is missing or the file is no use.
    """
    try:
        configuration = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:  # their texts may show what is in the file
        raise SettingsError(f"SWITCHYARD_MEM0_CONFIG: {config} cannot be read as YAML: {_kind(error)}") from None
    if not isinstance(configuration, dict):
        raise SettingsError(f"SWITCHYARD_MEM0_CONFIG: {config} is no mapping; it holds mem0's own settings")
    os.environ.setdefault("MEM0_DIR", str(folder))
    os.environ.setdefault("MEM0_TELEMETRY", "False")
    try:
        from mem0 import Memory
    except ImportError:
        raise SettingsError("SWITCHYARD_MEMORY is mem0; pip install 'switchyard[mem0]' first") from None
    try:
        # The model that mem0 insists on is never asked.
        return Memory.from_config({"llm": UNUSED_LLM, **configuration})
    except Exception as error:  # noqa: BLE001  # whatever a vector store or an embedder raises
        raise SettingsError(
            f"mem0 does not start as {config} says ({_kind(error)}): see mem0's documentation of its configuration"
        ) from None


def _kind(error: Exception) -> str:
    """What may be said of an error whose text may hold a secret of the file."""
    line = getattr(getattr(error, "problem_mark", None), "line", None)
    return type(error).__name__ + ("" if line is None else f" in line {line + 1}")


class Mem0Memory:
    """All agents of one namespace. mem0's `agent_id` is namespace and agent, its `user_id` the quoted subject.

    One thread makes mem0 and calls it: neither it nor its stores promise anything about several. `agents` are those
    whose memories are looked through for what is too old.
    """

    def __init__(self, make: Callable[[], Any], namespace: str, agents: Sequence[str], stop: threading.Event) -> None:
        self._namespace = namespace
        self._agents = agents
        self._stop = stop
        self._look_through_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mem0")
        self._touched: set[tuple[str, str]] = set()
        try:
            self._mem0 = self._thread.submit(make).result()
        except SettingsError:
            self._thread.shutdown()
            raise

    def recall(self, agent: str, subject: str, limit: int) -> list[StoredMemory]:
        """The newest first, without what has expired. Raises what mem0 raises."""
        at = now()
        entries = [entry for entry in self.all(agent, subject) if entry.expires is None or entry.expires > at]
        return entries[:limit]

    def keep(self, entries: Sequence[StoredMemory]) -> None:
        """Remember what mem0 has not got, however long it is away. Raises WorkerStopping."""
        for entry in entries:
            self._until_done(partial(self._add, entry))
            self._touched.add((entry.agent, entry.subject))

    def all(self, agent: str, subject: str) -> list[StoredMemory]:
        """Everything about a subject, the newest first. Raises what mem0 raises."""
        items = self._call(lambda: self._items(agent, subject))
        entries = [_entry(agent, subject, item) for item in items if "entry" in (item.get("metadata") or {})]
        return sorted(entries, key=lambda entry: (-entry.at, entry.id))

    def forget(self, entries: Sequence[StoredMemory]) -> None:
        """Trim these. Raises what mem0 raises."""
        for entry in entries:
            self._call(partial(self._delete, entry))

    def over(self, limits: MemoryLimits) -> list[tuple[str, str]]:
        """Those that have too much, of what this worker remembered something about, and once a day of all there is."""
        if time.monotonic() >= self._look_through_at:
            self._touched |= {about for agent in self._agents for about in self._subjects(agent)}
            self._look_through_at = time.monotonic() + DAY_S
        touched = set(self._touched)
        over = [about for about in touched if any(to_trim(self.all(*about), limits, now()))]
        self._touched -= touched.difference(over)
        return over

    def purge_tombstones(self) -> None:
        """mem0 keeps no tombstones."""

    def close(self) -> None:
        self._call(self._close)
        self._thread.shutdown()

    def _call(self, work: Callable[[], Result]) -> Result:
        return self._thread.submit(work).result()

    def _until_done(self, work: Callable[[], None]) -> None:
        while True:
            try:
                return self._call(work)
            except Exception as error:  # noqa: BLE001  # whatever a vector store or an embedder raises
                log.warning("mem0 does not take a memory (%s), trying again", type(error).__name__)
                if self._stop.wait(PAUSE_S):
                    raise WorkerStopping from None

    def _subjects(self, agent: str) -> set[tuple[str, str]]:
        scope = {"agent_id": self._scope(agent, "")["agent_id"]}
        items = self._call(lambda: self._mem0.get_all(filters=scope, top_k=MOST, show_expired=True)["results"])
        return {(agent, unquote(item["user_id"])) for item in items}

    def _items(self, agent: str, subject: str, **more: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._mem0.get_all(
            filters=self._scope(agent, subject) | more, top_k=MOST, show_expired=True
        )["results"]
        return items

    def _scope(self, agent: str, subject: str) -> dict[str, str]:
        return {"agent_id": f"{self._namespace}/{agent}", "user_id": quote(subject, safe="")}

    def _add(self, entry: StoredMemory) -> None:
        if not self._items(entry.agent, entry.subject, entry=entry.id):
            metadata = {"entry": entry.id, "at": entry.at, "expires": entry.expires}
            self._mem0.add(entry.text, **self._scope(entry.agent, entry.subject), metadata=metadata, infer=False)

    def _delete(self, entry: StoredMemory) -> None:
        for item in self._items(entry.agent, entry.subject, entry=entry.id):
            self._mem0.delete(item["id"])

    def _close(self) -> None:
        self._mem0.close()
        close = getattr(getattr(self._mem0.vector_store, "client", None), "close", None)
        if close is not None:
            close()


def _entry(agent: str, subject: str, item: dict[str, Any]) -> StoredMemory:
    metadata = item["metadata"]
    return StoredMemory(agent, subject, metadata["entry"], item["memory"], metadata["at"], metadata.get("expires"))
