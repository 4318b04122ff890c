"""Asks an OpenAI-compatible endpoint for JSON: constrained by schema if possible, checked always."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from switchyard.core.model.access import MissingKey, check_reachable, endpoint, sendable
from switchyard.core.model.reply import AnswerCheck, CallListener, ModelFailure, Reply
from switchyard.core.model.server_features import ServerFeatures

if TYPE_CHECKING:
    import openai


class OpenAIModel:
    """A ModelClient over HTTP; one object serves any number of asks at once on one event loop.

    `deadline_s` bounds an ask with all its retries, `attempt_s` one HTTP call (default: half of it). An answer is
    bounded by `ANSWER_TOKENS`.
    Raises RemoteModelRefused for an address that may not be used, MissingKey for a key no header can carry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        deadline_s: float = 60.0,
        allow_remote: bool = True,
        *,
        namespace: str = "",
        attempt_s: float | None = None,
        backoff_s: float = 0.1,
        backoff_max_s: float = 2.0,
        listener: CallListener | None = None,
    ) -> None:
        check_reachable(base_url, allow_remote=allow_remote)
        if not sendable(api_key):
            raise MissingKey("The model's API key holds characters that an HTTP header cannot carry.")
        self.base_url = base_url
        self.model = model
        self.namespace = namespace
        self._api_key = api_key
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s or deadline_s / 2
        self._backoff = (backoff_s, backoff_max_s)
        self._listener = listener
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._features = ServerFeatures()

    def __repr__(self) -> str:
        return f"OpenAIModel({self.model!r} at {endpoint(self.base_url)})"

    async def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck | None = None,
    ) -> Reply:
        """Ask, check, and if need be ask once more with the error.

        Raises ModelFailure; its `calls` and `usage` say what was spent in vain.
        """
        from switchyard.core.model.request import ModelRequest, RetryPolicy

        started = time.monotonic()
        asking = ModelRequest(
            self._client_of_this_loop(),
            self.model,
            schema,
            name,
            {"X-Switchyard-Purpose": purpose, "X-Switchyard-Namespace": self.namespace},
            RetryPolicy(self._deadline_s, self._attempt_s, *self._backoff),
            self._features,
            started + self._deadline_s,
            self._listener,
        )
        try:
            async with asyncio.timeout(self._deadline_s):
                value, model = await asking.usable(messages, check)
        except TimeoutError:
            failure = asking.out_of_time()
        except ModelFailure as raised:
            failure = raised
        else:
            latency_ms = (time.monotonic() - started) * 1000
            return Reply(value, asking.usage, latency_ms, asking.calls, model or self.model)
        failure.calls, failure.usage = asking.calls, asking.usage
        raise failure

    async def aclose(self) -> None:
        """Close the connections; call it on the loop that asked."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _client_of_this_loop(self) -> "openai.AsyncOpenAI":
        from switchyard.core.model.http_call import new_client

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = new_client(self.base_url, self._api_key), loop
        return self._client
