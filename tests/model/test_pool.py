"""Asks under way on a thread of their own, which ends with the operator: its process may live on."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from switchyard.core.model import pool as pools
from switchyard.core.model.breaker import Breaker
from switchyard.core.model.pool import ModelPool


async def closed() -> None:
    pass


def threads() -> int:
    return sum(thread.name == "switchyard-asks" for thread in threading.enumerate())


@pytest.fixture
def pool() -> ModelPool[str]:
    return ModelPool(Breaker(time.monotonic), 10, closed)


def test_closing_drops_what_is_in_flight(pool: ModelPool[str]) -> None:
    async def asks() -> str:
        await asyncio.sleep(3600)
        return "never"

    pool.submit(1, asks())
    pool.close()
    assert threads() == 0


def test_the_thread_ends_even_where_an_ask_does_not(pool: ModelPool[str], monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    async def stubborn() -> str:
        while True:
            begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    monkeypatch.setattr(pools, "CLOSING_S", 0.2)
    pool.submit(1, stubborn())
    assert begun.wait(10)
    with pytest.raises(TimeoutError):
        pool.close()
    assert threads() == 0
