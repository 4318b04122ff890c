"""Where `async def` handlers run: one event loop of the worker, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("switchyard.worker")

MOST_THREADS = 64
"""For what handlers do with `asyncio.to_thread`, `think_async` among it."""
PROBE_S = 5.0
"""A loop that does nothing for so long is blocked by a handler that does not await."""
CLOSE_S = 5.0


class HandlerTimedOut(Exception):
    """A handler was cancelled at its deadline."""


class HandlerLoop:
    """Started by the first handler that needs it. Any number of threads may call `run`, each of which waits.

    A handler that blocks the loop holds up the others on it; those that come later get another loop.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loops: list[_Loop] = []

    def run(self, returned: Awaitable[Any], deadline: float, agent: str = "") -> Any:
        """Await what a handler of an agent returned, and return or raise what comes of it.

        At `deadline`, in `time.monotonic()`, it is cancelled. Raises HandlerTimedOut then.
        """
        loop = self._current().loop
        value, error = asyncio.run_coroutine_threadsafe(_outcome(returned, deadline, agent), loop).result()
        if error is not None:
            raise error
        return value

    def hanging(self, agent: str) -> int:
        """How many threads work on for handlers of the agent that have ended, such as those that were cancelled."""
        return sum(loop.executor.hanging(agent) for loop in list(self._loops))

    def close(self) -> None:
        """End the threads; call it when no handler runs any more. Tasks that handlers left behind are cancelled."""
        for loop in self._loops:
            loop.close()
        self._loops = []

    def _current(self) -> _Loop:
        with self._guard:
            if not self._loops or not self._loops[-1].responds():
                if self._loops:
                    log.error("an async handler blocks all others: one that does not await is to be a plain function")
                self._loops.append(_Loop())
            return self._loops[-1]


@dataclass
class _Handler:
    """One run of an `async def` handler."""

    agent: str
    ended: bool = False


_HANDLER: ContextVar[_Handler | None] = ContextVar("handler", default=None)


class _Threads(ThreadPoolExecutor):
    """Knows for which handlers its threads work."""

    def __init__(self) -> None:
        super().__init__(MOST_THREADS, thread_name_prefix="handlers")
        self._busy: dict[Future[Any], _Handler | None] = {}

    def submit(self, function: Callable[..., Any], /, *args: Any, **how: Any) -> Future[Any]:
        future = super().submit(function, *args, **how)
        self._busy[future] = _HANDLER.get()
        future.add_done_callback(self._busy.pop)
        return future

    def hanging(self, agent: str) -> int:
        handlers = [item for item in list(self._busy.values()) if item is not None]
        return sum(item.ended and item.agent == agent for item in handlers)


class _Loop:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.executor = _Threads()
        self.loop.set_default_executor(self.executor)
        self._thread = threading.Thread(target=self.loop.run_forever, name="handlers", daemon=True)
        self._thread.start()

    def responds(self) -> bool:
        answered = threading.Event()
        self.loop.call_soon_threadsafe(answered.set)
        return answered.wait(PROBE_S)

    def close(self) -> None:
        """What does not end within a few seconds is left to the end of the process."""
        if not self.responds():
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        ending = threading.Thread(target=self.executor.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)


async def _outcome(returned: Awaitable[Any], deadline: float, agent: str) -> tuple[Any, BaseException | None]:
    """Whatever a handler raises is its own failure, and must not end the loop."""
    handler = _Handler(agent)
    _HANDLER.set(handler)
    scope = asyncio.timeout(deadline - time.monotonic())
    try:
        async with scope:
            return await returned, None
    except BaseException as error:  # noqa: BLE001  # whatever user code raises goes to who waits for it
        timed_out = scope.expired() and isinstance(error, TimeoutError)
        return None, HandlerTimedOut() if timed_out else error
    finally:
        handler.ended = True


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    ended, _ = await asyncio.wait(others, timeout=CLOSE_S) if others else ((), ())
    for task in ended:
        if not task.cancelled():
            task.exception()  # asked for, so that nobody logs it
