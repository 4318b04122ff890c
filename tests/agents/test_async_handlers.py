"""`async def` handlers: on one loop of the worker, as many at once as there are threads that wait for them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from switchyard import AgentError, Task
from switchyard.worker.handler_loop import HandlerLoop
from tests.agents.support import SCORED, inbox_event, offline_answer
from tests.agents.test_processor import PROFILED, SCORED_LEAD, Panic, raw


def test_an_async_handler_answers_and_asks_the_model(processor: Any, model: Any) -> None:
    async def handler(task: Task) -> dict[str, Any]:
        scored = await task.think_async("Score.", task.data, fields=list(SCORED))
        return {**SCORED_LEAD, **scored}

    [event] = processor("lead-scoring", handler).handle(raw())
    assert event.data == {**SCORED_LEAD, **offline_answer("agent/test/lead-scoring", PROFILED)}
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("secret text"), "handler-error"),
        (SystemExit("secret text"), "handler-error"),
        (asyncio.CancelledError("secret text"), "handler-error"),
        (KeyboardInterrupt("secret text"), "handler-error"),
        (GeneratorExit("secret text"), "handler-error"),
        (Panic("secret text"), "handler-error"),
        (TimeoutError("secret text"), "handler-error"),
        (AgentError("No prices.", reason="no-prices"), "no-prices"),
    ],
)
def test_what_an_async_handler_raises_is_its_failure_alone(processor: Any, error: BaseException, reason: str) -> None:
    async def failing(task: Task) -> Any:
        raise error

    async def working(task: Task) -> Any:
        return SCORED_LEAD

    scoring = processor("lead-scoring", failing)
    [event] = scoring.handle(raw())
    assert (event.type, event.data["reason"]) == ("agent.failed", reason)
    assert "secret" not in event.json()
    scoring.handler = working
    [event] = scoring.handle(raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, id="e2")))
    assert event.type == "lead.scored"


def test_async_handlers_run_at_once_on_one_thread(processor: Any) -> None:
    threads: set[int] = set()
    everybody = asyncio.Barrier(3)

    async def handler(task: Task) -> dict[str, Any]:
        threads.add(threading.get_ident())
        await everybody.wait()  # nobody returns before all have come
        return SCORED_LEAD

    scoring = processor("lead-scoring", handler)
    messages = [raw(inbox_event("lead-scoring", "lead.profiled", PROFILED, id=f"e{number}")) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(scoring.handle, messages))
    assert [event.type for [event] in answers] == ["lead.scored"] * 3
    assert len(threads) == 1


def test_the_loop_ends_with_what_handlers_left_behind() -> None:
    ended = threading.Event()
    kept: list[Any] = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler() -> str:
        kept.append(asyncio.create_task(for_ever()))
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: "answer")

    loop = HandlerLoop()
    loop.close()
    assert loop.run(handler(), time.monotonic() + 30) == "answer"
    loop.close()
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("handlers")]
