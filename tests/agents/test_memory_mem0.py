"""mem0 as it is on PyPI, with a vector store in a folder and embeddings of a server on loopback."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.agents_file import MemoryLimits
from switchyard.core.app_code import AppCode
from switchyard.core.errors import SettingsError
from switchyard.core.settings import Settings
from switchyard.kafka.connection import KafkaConnection
from switchyard.worker.memory.backend import DAY, AgentMemory, now
from switchyard.worker.memory.mem0 import Mem0Memory, open_mem0
from switchyard.worker.memory.service import MemoryService
from switchyard.worker.memory.trim import Trimmer
from switchyard.worker.publisher import Publisher, WorkerStopping
from tests.agents.support import SDR
from tests.agents.test_memory import entry

# To import it is to switch on what it tells its makers, unless `open_mem0` does.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mem0") is None, reason="mem0 is not installed: pip install 'switchyard[mem0]'"
)


class Embeddings(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint: the hash of a text is its embedding."""

    def do_POST(self) -> None:
        [text] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        vector = [byte / 255 for byte in hashlib.sha256(text.encode()).digest()]
        answer = {"object": "list", "model": "hash", "data": [{"object": "embedding", "index": 0, "embedding": vector}]}
        body = json.dumps(answer | {"usage": {"prompt_tokens": 1, "total_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """mem0's settings, in a file."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Embeddings)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    embedder = {"api_key": "none", "model": "hash", "openai_base_url": f"http://127.0.0.1:{server.server_port}/v1"}
    store = {"path": str(tmp_path / "qdrant"), "on_disk": True, "embedding_model_dims": 32, "collection_name": "them"}
    file = tmp_path / "mem0.json"
    said = {
        "embedder": {"provider": "openai", "config": embedder},
        "vector_store": {"provider": "qdrant", "config": store},
        "history_db_path": str(tmp_path / "history.db"),
    }
    file.write_text(json.dumps(said))
    yield file
    server.shutdown()
    server.server_close()
    serving.join(10)


@pytest.fixture
def opened(config: Path, tmp_path: Path) -> Iterator[Callable[[], Mem0Memory]]:
    """Opens mem0 as a worker does; the one before is closed first."""
    open_ones: list[Mem0Memory] = []

    def make() -> Mem0Memory:
        while open_ones:
            open_ones.pop().close()
        open_ones.append(Mem0Memory(lambda: open_mem0(config, tmp_path / "mem0"), "ns", ["a"], threading.Event()))
        return open_ones[-1]

    yield make
    for memories in open_ones:
        memories.close()


def texts(memories: Mem0Memory, agent: str = "a", subject: str = "ada lovelace/ACME", limit: int = 50) -> list[str]:
    return [item.text for item in memories.recall(agent, subject, limit)]


def test_the_same_rules_as_beside_the_worker(opened: Callable[[], Mem0Memory]) -> None:
    memories = opened()
    ada, bob = (AgentMemory(memories, name, f"key of {name}") for name in ("a", "b"))
    for number in range(7):
        ada.remember("ada lovelace/ACME", f"text {number}")
    bob.remember("ada lovelace/ACME", "bob's", ttl=3600)
    bob.remember("ada lovelace/ACME", "expired", ttl=1e-6)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(memories.keep, [ada.pending, bob.pending]))
    memories.keep(ada.pending)
    newest = [f"text {number}" for number in reversed(range(7))]
    assert texts(memories) == newest
    assert texts(memories, limit=2) == newest[:2]
    assert texts(memories, "b") == ["bob's"]
    assert texts(memories, subject="ada") == []

    again = opened()
    assert [item.text for item in AgentMemory(again, "a", "k").recall("ada lovelace/ACME", 50)] == newest
    assert again.recall("b", "ada lovelace/ACME", 1)[0] == bob.pending[0]


def test_trimming_and_a_store_that_is_away(opened: Callable[[], Mem0Memory], monkeypatch: pytest.MonkeyPatch) -> None:
    memories = opened()
    stop = threading.Event()
    trimmer = Trimmer(memories, MemoryLimits(entries=2), None, lambda agent: True, stop)
    memories.keep([entry(number) for number in range(4)])
    memories.keep([entry(9, subject="other")])
    trimmer.round()
    assert texts(memories, subject="s") == ["text 3", "text 2"]
    assert texts(memories, subject="other") == ["text 9"]
    assert memories.over(MemoryLimits()) == []

    monkeypatch.setattr("switchyard.worker.memory.mem0.PAUSE_S", 0.01)
    failing = iter([True, False])
    add = memories._mem0.add

    def once(*given: Any, **more: Any) -> Any:
        if next(failing):
            raise ConnectionError
        return add(*given, **more)

    monkeypatch.setattr(memories._mem0, "add", once)
    memories.keep([entry(4)])
    assert texts(memories, subject="s") == ["text 4", "text 3", "text 2"]
    monkeypatch.setattr(memories._mem0, "add", lambda *given, **more: 1 / 0)
    memories._stop.set()
    with pytest.raises(WorkerStopping):
        memories.keep([entry(5)])


def test_what_is_too_old_is_trimmed_though_nobody_remembers_more_about_it(opened: Callable[[], Mem0Memory]) -> None:
    before = replace(entry(1, subject="ada lovelace/ACME"), at=now() - 91 * DAY)
    opened().keep([before, replace(before, id="2", agent="b"), replace(entry(3), at=now() - 89 * DAY)])
    memories = opened()
    Trimmer(memories, MemoryLimits(), None, lambda agent: True, threading.Event()).round()
    assert (memories.all("a", "ada lovelace/ACME"), len(memories.all("a", "s"))) == ([], 1)


def test_a_worker_with_mem0_needs_no_file_and_no_topic(config: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", memory="mem0", mem0_config=config)
    kafka, stop = KafkaConnection("127.0.0.1:1"), threading.Event()
    publisher = Publisher(kafka, stop)
    service = MemoryService(SDR, AppCode(SDR.folder), "ns", settings, kafka, publisher, lambda agent: True, stop)
    service.start()
    assert service.ready.is_set()
    service.memories.keep([entry(1)])
    assert [item.text for item in service.memories.recall("a", "s", 5)] == ["text 1"]
    assert service.problem is None
    stop.set()
    service.join()
    assert not list(settings.home.rglob("*.sqlite"))


@pytest.mark.parametrize(("text", "said"), [("[", "cannot be read as YAML"), ("[]", "is no mapping")])
def test_a_file_that_is_no_use(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mem0.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        open_mem0(file, tmp_path)
    file.write_text("vector_store: {provider: secret-text}")
    with pytest.raises(SettingsError, match="mem0 does not start as") as caught:
        open_mem0(file, tmp_path)
    assert "secret" not in str(caught.value)
