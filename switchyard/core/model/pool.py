"""Asks under way: an asyncio loop on a thread of its own, so that who submits them never waits."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from switchyard.core.model.breaker import Breaker

POLL_MS = 5
PROBE_POLL_MS = 100
LONGEST_POLL_MS = 1000
CLOSING_S = 5.0

Answer = TypeVar("Answer")


class ModelPool(Generic[Answer]):
    """At most `limit` asks in flight; answers are collected per key, from the thread that submits.

    The asks tell `breaker` of their calls; while that is open, one ask at a time finds out whether the endpoint is
    back.
    `close` is awaited on the loop at the end.
    """

    def __init__(self, breaker: Breaker, limit: int, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.breaker = breaker
        self._limit = limit
        self._close = close
        self._answers: dict[int, deque[Answer]] = {}
        self.in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="switchyard-asks", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether an ask may be submitted: there is room, and the endpoint is not known to be down."""
        return self.in_flight < self._limit and self.breaker.wait_s == 0.0

    @property
    def look_again_ms(self) -> int:
        """How long to wait before `ready` is worth another look."""
        if not self.breaker.open:
            return POLL_MS
        wait_s = self.breaker.wait_s
        return PROBE_POLL_MS if wait_s is None else max(POLL_MS, min(int(wait_s * 1000), LONGEST_POLL_MS))

    def submit(self, key: int, ask: Coroutine[Any, Any, Answer]) -> None:
        """Begin an ask, which must not raise."""
        self.in_flight += 1
        probe = self.breaker.begin()
        asyncio.run_coroutine_threadsafe(self._run(key, ask, probe), self._loop)

    def collect(self, key: int) -> list[Answer]:
        """The answers that have come for a key."""
        waiting = self._answers.get(key)
        collected = []
        while waiting:
            collected.append(waiting.popleft())
        self.in_flight -= len(collected)
        return collected

    def close(self) -> None:
        """Drop what is in flight: it is state, and is asked again after a restore.

        The thread ends even where an ask does not, for the process may live on. Raises TimeoutError then.
        """
        try:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=CLOSING_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=CLOSING_S)
            if not self._loop.is_running():
                self._loop.close()

    async def _run(self, key: int, ask: Coroutine[Any, Any, Answer], probe: bool) -> None:
        answer = await ask
        if probe:
            self.breaker.probed()
        # A deque is safe between one appending and one popping thread.
        self._answers.setdefault(key, deque()).append(answer)

    async def _stop(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._close()
