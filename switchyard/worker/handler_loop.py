"""Where `async def` handlers run: one event loop of the worker, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MOST_THREADS = 64
"""For what handlers do with `asyncio.to_thread`, `think_async` among it."""


class HandlerLoop:
    """Started by the first handler that needs it. Any number of threads may call `run`, each of which waits."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, returned: Awaitable[Any]) -> Any:
        """Await what a handler returned, and return or raise what comes of it."""
        value, error = asyncio.run_coroutine_threadsafe(_outcome(returned), self._started()).result()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the thread; call it when no handler runs any more. Tasks that handlers left behind are cancelled."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_default_executor(ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="handlers"))
                self._thread = threading.Thread(target=self._loop.run_forever, name="handlers", daemon=True)
                self._thread.start()
            return self._loop


async def _outcome(returned: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """A handler's SystemExit is its own failure, and must not end the loop."""
    try:
        return await returned, None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever user code raises goes to who waits for it
        return None, error


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
