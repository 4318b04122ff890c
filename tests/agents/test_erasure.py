"""What workers keep about somebody is found and removed: effects, mails, memory; in real files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Engine

from agent_endpoints.sdr import mails
from switchyard.core.erasure import Erasure
from switchyard.core.model import Usage
from switchyard.core.settings import Settings
from switchyard.local.mail_folder import mails_about
from switchyard.local.mail_server import store
from switchyard.worker.background import BackgroundContext
from switchyard.worker.database import database_url, open_database
from switchyard.worker.effects import EffectStore
from switchyard.worker.erasure import WorkerStores
from switchyard.worker.memory.backend import MemoryContext, StoredMemory
from switchyard.worker.processor import Processor
from switchyard.worker.task import Answer
from tests.agents.support import SDR, inbox_event

ADA, BOB = "ada@analytical.example", "bob@elsewhere.example"
OF_ADA = Erasure("Ada@Analytical.example", frozenset(("w1",)))


@pytest.fixture
def state(settings: Settings) -> Iterator[Engine]:
    """The database that the workers of the namespace `test` share."""
    (settings.home / "state").mkdir()
    engine = open_database(database_url(settings, "test"))
    yield engine
    engine.dispose()


def drafted(address: str) -> dict[str, Any]:
    emails = [{"day": 0, "subject": "Hello", "body": "Shall we talk?"}]
    return {"lead_id": "l", "name": "A", "email": address, "company": "C", "emails": emails}


def raw(engine: Engine) -> bytes:
    """All bytes of a SQLite database, its write-ahead log included."""
    assert engine.url.database is not None
    files = [Path(engine.url.database + suffix) for suffix in ("", "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def test_effects_are_found_by_workflow_and_by_address_and_only_their_keys_stay(database: Engine) -> None:
    effects = EffectStore(database, "test")
    remembered = [StoredMemory("a", "s", "i", "a text", 1)]
    effects.put("of-w1", "a", [Answer("t", {"summary": "no name"})], Usage(1, 1), remembered, workflow_id="w1")
    effects.put("by-address", "a", [Answer("t", {"to": f"Ada <{ADA.upper()}>"})], Usage(), workflow_id="w2")
    effects.put("bobs", "a", [Answer("t", {"to": BOB})], Usage(), workflow_id="w3")
    EffectStore(database, "other").put("others", "a", [Answer("t", ADA)], Usage(), workflow_id="w1")
    found = {effect.key: effect for effect in effects.concerning(OF_ADA)}
    assert found.keys() == {"of-w1", "by-address"}
    assert found["of-w1"].remembered == tuple(remembered)
    effects.forget(list(found))
    for key in found:
        _, forgotten = effects.get(key) or pytest.fail("the key is gone")
        assert (forgotten.answers, forgotten.remembered) == ((), ())
    assert effects.concerning(OF_ADA) == []
    _, bobs = effects.get("bobs") or pytest.fail("it is gone")
    assert [answer.data for answer in bobs.answers] == [{"to": BOB}]


def test_a_dispatch_that_comes_again_after_that_runs_no_handler(processor: Any, database: Engine) -> None:
    worker: Processor = processor("send-email")
    message = inbox_event("send-email", "emails.drafted", drafted(ADA)).json().encode()
    assert [event.type for event in worker.handle(message)] == ["campaign.scheduled"]
    found = worker.effects.concerning(OF_ADA)
    assert [effect.workflow_id for effect in found] == ["w1"]
    worker.effects.forget([effect.key for effect in found])
    context = BackgroundContext("sdr", "test", database)
    assert mails.forget(context, OF_ADA, True) == 1
    assert worker.handle(message) == []
    assert mails.waiting(database, "test") == 0


def test_mails_are_found_by_workflow_and_by_address(processor: Any, database: Engine) -> None:
    for number, address in enumerate((ADA, BOB)):
        event = inbox_event("send-email", "emails.drafted", drafted(address), id=f"e{number}")
        processor("send-email").handle(event.with_attributes(workflowid=f"w{number + 5}").json().encode())
    context = BackgroundContext("sdr", "test", database)
    assert mails.forget(context, OF_ADA, False) == 1
    assert mails.forget(context, Erasure(None, frozenset(("w6",))), False) == 1
    assert mails.forget(BackgroundContext("sdr", "other", database), OF_ADA, True) == 0
    assert mails.waiting(database, "test") == 2
    assert mails.forget(context, OF_ADA, True) == 1
    assert mails.waiting(database, "test") == 1
    assert mails.forget(context, OF_ADA, True) == 0


def test_a_store_of_an_earlier_release_gets_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE effects (namespace, effect_key, agent, answers, created_at)")
        old.execute(
            "INSERT INTO effects VALUES ('test', 'k', 'a', ?, '2026')", (f'[{{"type": "t", "data": "{ADA}"}}]',)
        )
        old.commit()
    engine = open_database(f"sqlite:///{path}")
    (effect,) = EffectStore(engine, "test").concerning(OF_ADA)
    assert (effect.key, effect.workflow_id) == ("k", None)
    engine.dispose()


def test_no_byte_of_it_is_left_in_the_files(settings: Settings, state: Engine) -> None:
    EffectStore(state, "test").put("k", "a", [Answer("t", [ADA] * 500)], Usage(), workflow_id="w1")
    mails.create(state)
    with closing(WorkerStores(SDR, "test", settings)) as stores:
        assert stores.id == EffectStore(state, "test").id
        assert stores.workflow_ids(Erasure.of(ADA)) == {"w1"}
        removals = stores.removals(Erasure.of(ADA))
        assert [(item.line.place, item.line.found) for item in removals] == [("table effects", 1)]
        assert ADA.encode() in raw(state)
        assert [item.done().done for item in removals] == ["removed"]
        assert stores.removals(Erasure.of(ADA)) == []
    state.dispose()
    assert ADA.encode() not in raw(state)


def test_where_there_is_no_store_none_is_made(settings: Settings) -> None:
    with closing(WorkerStores(SDR, "test", settings)) as stores:
        assert (stores.id, stores.removals(OF_ADA), stores.workflow_ids(OF_ADA)) == (None, [], set())
    assert not (settings.home / "state").exists()


class Listed:
    """A memory backend without methods to trim by."""

    kept: ClassVar[list[StoredMemory]] = []

    def __init__(self, context: MemoryContext) -> None:
        self.context = context

    def recall(self, agent: str, subject: str, limit: int) -> list[StoredMemory]:
        return self.all(agent, subject)[:limit]

    def keep(self, entries: Any) -> None:
        self.kept += entries

    def all(self, agent: str, subject: str) -> list[StoredMemory]:
        return [item for item in self.kept if (item.agent, item.subject) == (agent, subject)]


class Trimmed(Listed):
    kept: ClassVar[list[StoredMemory]] = []

    def forget(self, entries: Any) -> None:
        self.kept[:] = [item for item in self.kept if item not in entries]

    def over(self, limits: Any) -> list[tuple[str, str]]:
        return []

    def purge_tombstones(self) -> None: ...


ENTRIES = [
    StoredMemory("send-email", ADA, "1", "said hello", 1),
    StoredMemory("send-email", "w1", "2", "of the workflow", 2),
    StoredMemory("send-email", BOB, "3", "said hello", 3),
]


@pytest.mark.parametrize(
    ("backend", "done", "left"), [("Trimmed", "removed", ["3"]), ("Listed", "kept", ["1", "2", "3"])]
)
def test_another_memory_is_asked_to_forget_and_else_said_so(
    settings: Settings, state: Engine, backend: str, done: str, left: list[str]
) -> None:
    memory = {"Trimmed": Trimmed, "Listed": Listed}[backend]
    memory.kept = list(ENTRIES)
    EffectStore(state, "test").put("k", "a", [], Usage(), [ENTRIES[1]], workflow_id="w1")
    own = settings.model_copy(update={"memory": f"tests.agents.test_erasure:{backend}"})
    with closing(WorkerStores(SDR, "test", own)) as stores:
        lines = [item.done() for item in stores.removals(OF_ADA)]
    assert {(line.place.split()[0], line.done) for line in lines} == {("memory", done), ("table", "removed")}
    assert [item.id for item in memory.kept] == left


def mail(to: str, message_id: str, body: str = "Hello", charset: str = "utf-8") -> bytes:
    made = EmailMessage()
    made["To"], made["Message-ID"] = to, message_id
    made.set_content(body, charset=charset, cte="base64")
    return made.as_bytes()


def test_mails_in_the_folder_are_found_by_what_they_say(tmp_path: Path) -> None:
    own = tmp_path / "test"
    kept = [
        store(own, "<1@x>", mail(f"Ada <{ADA}>", "<1@x>")),
        store(own, "<1@x>", mail(f"Ada <{ADA}>", "<1@x>")),
        store(own, "<2@x>", mail(BOB, "<2@x>", f"Ask {ADA} about it.")),
        store(own, "<3@x>", mail(BOB, "<3@x>")),
        store(tmp_path, "<4@x>", b"\xff\xfe no mail, " + ADA.encode()),
        store(tmp_path, "<5@x>", mail(BOB, "<5@x>", charset="utf-8").replace(b"utf-8", b"no-such") + ADA.encode()),
    ]
    store(own, "<6@x>", mail(BOB, "<6@x>"))
    store(tmp_path / "other", "<7@x>", mail(ADA, "<7@x>"))
    assert mails_about(tmp_path, "test", OF_ADA, {"<3@x>"}) == sorted(kept, key=lambda path: (path.parent, path.name))
    assert mails_about(tmp_path / "nowhere", "test", OF_ADA, set()) == []
