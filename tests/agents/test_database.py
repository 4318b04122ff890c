"""A database that cannot do its work is told apart from a handler that fails, and said in a sentence."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from agent_endpoints.sdr import mails
from switchyard.core.model import Usage
from switchyard.core.settings import Settings
from switchyard.worker.background import BackgroundContext, BackgroundThread
from switchyard.worker.database import DatabaseHealth, unavailable
from switchyard.worker.effects import EffectStore
from switchyard.worker.task import Answer, Task
from tests.agents.support import inbox_event, leads

LEAD = next(leads())
EMAILS = [{"day": 0, "subject": "s", "body": "b" * 200_000}]
DRAFTED = {**{name: LEAD[name] for name in ("lead_id", "name", "email", "company")}, "emails": EMAILS}
MESSAGE = inbox_event("send-email", "emails.drafted", DRAFTED).json().encode()


def limit(database: Engine, pages: int) -> None:
    """What SQLite does when its disk is full, for the one connection that a test uses."""
    with database.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def test_a_full_disk_is_told_and_costs_no_attempt(
    processor: Any, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    condition = DatabaseHealth(database)
    sending = processor("send-email")
    limit(database, 20)
    for _ in range(3):
        with pytest.raises(OperationalError) as caught:
            sending.handle(MESSAGE)
        assert unavailable(caught.value)
        assert condition.problem is not None
        assert f"{database.url.database} cannot be used (database or disk is full)" in condition.problem
    assert [record.message for record in caplog.records] == [condition.problem]

    limit(database, 1_000_000)
    [event] = sending.handle(MESSAGE)
    assert event.type == "campaign.scheduled"
    assert condition.problem is None
    assert mails.waiting(database, "test") == 1


def test_a_lease_that_can_be_written_does_not_say_that_an_answer_can(database: Engine) -> None:
    store = EffectStore(database, "test")
    store.leases.of("k").take()
    condition = DatabaseHealth(database)
    limit(database, 1)
    with pytest.raises(OperationalError):
        store.put("k", "a", [Answer("t", "x" * 100_000)], Usage())
    store.leases.renew()
    assert condition.problem is not None
    limit(database, 1_000_000)
    store.put("k", "a", [], Usage())
    assert condition.problem is None


def test_a_wrong_statement_of_a_handler_is_its_failure(processor: Any, database: Engine) -> None:
    condition = DatabaseHealth(database)

    def handler(task: Task) -> None:
        with task.database.connect() as connection:
            connection.exec_driver_sql("SELECT nothing FROM nowhere")

    [event] = processor("send-email", handler).handle(MESSAGE)
    assert (event.type, event.data["reason"]) == ("agent.failed", "handler-error")
    assert condition.problem is None


def test_a_background_function_goes_on_without_a_trace_for_each_try(
    database: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("switchyard.worker.background.PAUSE_S", 0.0)
    runs: list[int] = []

    def function(context: BackgroundContext, stop: threading.Event) -> None:
        runs.append(1)
        limit(context.database, 1_000_000 if len(runs) > 3 else 1)
        with context.database.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE t{len(runs)} (a)")
        stop.set()

    stop = threading.Event()
    BackgroundThread("t", function, BackgroundContext("a", "test", database), stop).run()
    assert len(runs) == 4
    assert not caplog.records
