"""Two workers and one effect: the handler runs once, whoever is stopped, frozen or slow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from switchyard.core.model import Usage
from switchyard.core.retention import DONE_S
from switchyard.kafka.admin import topic_settings
from switchyard.worker import leases as module
from switchyard.worker import store_keeper
from switchyard.worker.effects import EFFECTS, EffectStore
from switchyard.worker.leases import LEASES, DatabaseTime, LeaseHeld, LeaseLost, Leases
from switchyard.worker.store_keeper import StoreKeeper
from switchyard.worker.task import Task
from tests.agents.support import SDR, inbox_event
from tests.agents.test_inbox import until
from tests.agents.test_processor import MESSAGE, PROFILED, SCORED_LEAD, raising, raw

AGAIN = raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, attempt=1))


class Held:
    """A handler that is held up; `score` tells whose answer it is."""

    def __init__(self, score: int) -> None:
        self.entered, self.go_on, self.runs, self.score = threading.Event(), threading.Event(), 0, score

    def __call__(self, task: Task) -> Any:
        self.runs += 1
        self.entered.set()
        assert self.go_on.wait(30)
        return {**SCORED_LEAD, "score": self.score}


def expire(database: Engine, before_s: float = 1.0) -> None:
    """What a frozen worker's leases do."""
    with database.begin() as connection:
        connection.execute(LEASES.update().values(until=DatabaseTime() - before_s))


def rows(database: Engine, table: Any = LEASES) -> int:
    with database.connect() as connection:
        return len(connection.execute(select(table)).all())


@pytest.mark.parametrize("message", [raw(), AGAIN], ids=["moved", "next attempt"])
def test_a_message_that_moved_waits_for_the_handler_that_has_it(
    processor: Any, database: Engine, message: bytes
) -> None:
    first, second = Held(1), Held(2)
    one, other = processor("lead-scoring", first), processor("lead-scoring", second)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.handle, raw())
        assert first.entered.wait(30)
        for _ in range(3):
            with pytest.raises(LeaseHeld):
                other.handle(message)
        first.go_on.set()
        [answer] = running.result()
    assert [event.data for event in other.handle(message)] == [answer.data]
    assert (first.runs, second.runs) == (1, 0)
    assert rows(database) == 0


def test_a_worker_that_was_overtaken_neither_stores_nor_publishes(processor: Any, database: Engine) -> None:
    """It was frozen, say; when it goes on, another one has answered, or runs the handler still."""
    frozen, second = Held(1), Held(2)
    one, other = processor("lead-scoring", frozen), processor("lead-scoring", second)
    with ThreadPoolExecutor(2) as pool:
        overtaken = pool.submit(one.handle, raw())
        assert frozen.entered.wait(30)
        expire(database)
        taken_over = pool.submit(other.handle, raw())
        assert second.entered.wait(30)
        frozen.go_on.set()
        with pytest.raises(LeaseLost):
            overtaken.result()
        with pytest.raises(LeaseHeld):
            one.handle(raw())
        second.go_on.set()
        [answer] = taken_over.result()
    assert answer.data["score"] == 2
    assert [event.json() for event in one.handle(raw())] == [answer.json()]
    assert (frozen.runs, second.runs) == (1, 1)
    assert rows(database) == 0


@pytest.mark.parametrize("answer", [SCORED_LEAD, None], ids=["answer", "failure"])
def test_an_answer_that_is_stored_just_before_the_lease_is_taken_counts(
    processor: Any, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    runs: list[Task] = []
    one, other = (processor("lead-scoring", lambda task: runs.append(task) or answer) for _ in range(2))
    take, first = module.Lease.take, []

    def late(lease: module.Lease) -> None:
        if not first:
            first.append(lease)
            other.handle(raw())
        take(lease)

    monkeypatch.setattr(module.Lease, "take", late)
    with pytest.raises(LeaseHeld):
        one.handle(raw())
    one.handle(raw())
    assert len(runs) == 1


def test_the_failure_of_a_worker_that_was_overtaken_is_none(processor: Any, database: Engine) -> None:
    other = processor("lead-scoring", lambda task: SCORED_LEAD)

    def failing(task: Task) -> Any:
        expire(database)
        other.handle(AGAIN)
        raise RuntimeError

    one = processor("lead-scoring", failing)
    with pytest.raises(LeaseLost):
        one.handle(raw())
    assert [event.type for event in one.handle(raw())] == ["lead.scored"]


def test_a_lease_is_given_back_after_a_failure(processor: Any, database: Engine) -> None:
    processor("lead-scoring", raising(RuntimeError())).handle(raw())
    assert rows(database) == 0
    assert processor("lead-scoring", lambda task: SCORED_LEAD).handle(AGAIN)[0].type == "lead.scored"


def test_who_waits_too_long_for_another_worker_fails_its_dispatch(processor: Any, database: Engine) -> None:
    """A handler that hangs elsewhere for ever must not stop an inbox for ever."""
    EffectStore(database, "test").leases.of(MESSAGE.attributes["effectkey"]).take()
    [event] = processor("lead-scoring").handle(raw(), since=-10_000.0)
    assert (event.type, event.data["reason"]) == ("agent.failed", "handler-timeout")


def test_no_handler_runs_while_no_lease_can_be_written(processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(1)
    held.go_on.set()
    scoring = processor("lead-scoring", held)

    def full(*args: Any) -> Any:
        raise OperationalError("INSERT", None, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(module.Lease, "take", full)
        for _ in range(3):
            with pytest.raises(OperationalError):
                scoring.handle(raw())
    assert held.runs == 0
    scoring.handle(raw())
    assert held.runs == 1


def test_leases_are_renewed_until_they_are_given_back(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_keeper, "RENEWAL_S", 0.01)
    store, others = EffectStore(database, "test"), Leases(database, "test")
    mine = store.leases
    mine.of("k").take()
    expire(database)
    keeper = StoreKeeper(store)
    keeper.start()

    def others_may_have_it() -> bool:
        with database.connect() as connection:
            return connection.execute(select(LEASES.c.until < DatabaseTime())).scalar_one() == 1

    until(lambda: not others_may_have_it())
    with pytest.raises(LeaseHeld):
        others.of("k").take()
    keeper.close()
    mine.of("k").give_back()
    others.of("k").take()
    mine.of("k").give_back()
    with pytest.raises(LeaseHeld):
        mine.of("k").take()


def test_an_answer_that_a_release_without_leases_stored_counts(database: Engine) -> None:
    one, other = EffectStore(database, "test"), EffectStore(database, "test")
    lease = one.leases.of("k")
    lease.take()
    first = other.put("k", "a", [], Usage(1, 1))
    assert one.put("k", "a", [], Usage(2, 2), lease=lease.end) == first
    assert rows(database) == 0


def test_a_store_of_the_release_before_gets_what_it_lacks(database: Engine) -> None:
    LEASES.drop(database, checkfirst=True)
    EFFECTS.create(database)
    EffectStore(database, "test").leases.of("k").take()
    assert rows(database) == 1


@pytest.mark.parametrize(
    ("dialect", "clock"),
    [
        ("sqlite", "julianday('now')"),
        ("postgresql", "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"),
        ("mysql", "UNIX_TIMESTAMP(NOW(6))"),
    ],
)
def test_the_clock_is_the_databases(dialect: str, clock: str) -> None:
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    dialects: Any = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}
    statement = LEASES.update().values(until=DatabaseTime() + 1.0)
    assert clock in str(statement.compile(dialect=dialects[dialect].dialect()))


def test_effects_are_kept_as_long_as_anything_can_be_delivered_again(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = topic_settings(SDR, "sdr", 1 << 20).values()
    kept = [int(each["retention.ms"]) for each in settings if each["cleanup.policy"] == "delete"]
    assert max(kept) < DONE_S * 1000

    monkeypatch.setattr(store_keeper, "RENEWAL_S", 0.01)
    monkeypatch.setattr("switchyard.worker.effects.PURGED_AT_ONCE", 2)
    store, other = EffectStore(database, "test"), EffectStore(database, "other")
    for number in range(5):
        store.put(f"old-{number}", "a", [], Usage())
    other.put("old", "a", [], Usage())
    with database.begin() as connection:
        connection.execute(EFFECTS.update().values(created_at="2020-01-31T12:00:00Z"))
    store.put("new", "a", [], Usage())
    store.leases.of("gone").take()
    expire(database, 2 * 86_400.0)
    keeper = StoreKeeper(EffectStore(database, "test"))
    keeper.start()
    until(lambda: rows(database, EFFECTS) == 2)
    keeper.close()
    assert store.get("new") is not None
    assert other.get("old") is not None
    assert rows(database) == 0
