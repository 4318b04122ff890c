"""A model for code that does not await, such as a handler of an agent."""

import asyncio
import threading
from typing import Any

from switchyard.core.model.client import OpenAIModel
from switchyard.core.model.reply import AnswerCheck, ModelFailure, Reply


class BlockingModel:
    """Runs an OpenAIModel on an event loop of its own; any number of threads may ask at once.

    `calls` counts the HTTP calls of all asks that have ended.
    """

    def __init__(self, model: OpenAIModel) -> None:
        self._model = model
        self.calls = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model", daemon=True)
        self._thread.start()

    def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck | None = None,
    ) -> Reply:
        """As OpenAIModel.ask, but returns when the answer is there. Raises ModelFailure."""
        asking = self._ask(messages, schema, name=name, purpose=purpose, check=check)
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()

    def close(self) -> None:
        """Close the connections and end the thread; a second call does nothing. Open asks are cancelled."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _ask(self, *arguments: Any, **named: Any) -> Reply:
        try:
            reply = await self._model.ask(*arguments, **named)
        except ModelFailure as failure:
            self.calls += failure.calls
            raise
        self.calls += reply.calls
        return reply

    async def _shut(self) -> None:
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._model.aclose()
