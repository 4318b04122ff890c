"""Asks an OpenAI-compatible endpoint for JSON: constrained by schema if possible, checked always."""

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from switchyard.core.model.access import MissingKey, check_reachable, endpoint, sendable
from switchyard.core.model.answer import UnusableText, correction, parse, violation, with_schema_in_prompt
from switchyard.core.model.reply import Check, ModelFailure, Reply, Usage

if TYPE_CHECKING:
    import openai

    from switchyard.core.model.attempt import Answered


class OpenAIModel:
    """A ModelClient over HTTP; one object serves any number of asks at once on one event loop.

    `deadline_s` bounds an ask with all its retries, `attempt_s` one HTTP call (default: half of it).
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
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._temperature_refused = False
        self._schemas_refused: set[str] = set()

    def __repr__(self) -> str:
        return f"OpenAIModel({self.model!r} at {endpoint(self.base_url)})"

    async def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: Check | None = None,
    ) -> Reply:
        """Ask, check, and if need be ask once more with the error.

        Raises ModelFailure; its `calls` and `usage` say what was spent in vain.
        """
        started = time.monotonic()
        asking = _Asking(self, schema, name, purpose, started + self._deadline_s)
        try:
            async with asyncio.timeout(self._deadline_s):
                value, model = await asking.usable(messages, check)
        except TimeoutError:
            failure = ModelFailure("deadline", f"The model did not answer within {self._deadline_s:.3g} s.")
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
        from switchyard.core.model.attempt import new_client

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = new_client(self.base_url, self._api_key), loop
        return self._client


class _Asking:
    """One ask under way: what it has spent and what it may still spend."""

    def __init__(
        self, owner: OpenAIModel, schema: dict[str, Any], name: str, purpose: str, deadline: float
    ) -> None:
        self.calls = 0
        self.usage = Usage()
        self._owner = owner
        self._schema = schema
        self._name = name
        self._deadline = deadline
        self._headers = {"X-Switchyard-Purpose": purpose, "X-Switchyard-Namespace": owner.namespace}

    async def usable(self, messages: list[dict[str, str]], check: Check | None) -> tuple[Any, str]:
        problem = ""
        for _ in range(2):
            answered = await self._answered(messages)
            if answered.problem is None:
                try:
                    value = parse(answered.text)
                    found = violation(value, self._schema) or (check(value) if check else None)
                    if found is None:
                        return value, answered.model
                    problem = found
                except UnusableText as error:
                    problem = str(error)
            else:
                problem = answered.problem
            messages = messages + correction(answered.text, problem)
        raise ModelFailure(
            "unusable-answer", f"The model's answer was unusable twice, the last time: {problem}."
        )

    async def _answered(self, messages: list[dict[str, str]]) -> "Answered":
        """One answer, leaving out what this server is known, or now turns out, not to take."""
        from switchyard.core.model.attempt import NotTaken

        owner = self._owner
        cold = not owner._temperature_refused
        constrained = self._name not in owner._schemas_refused
        while True:
            try:
                answered = await self._patient(self._body(messages, cold, constrained))
            except NotTaken as refusal:
                status = refusal.status
                if cold and refusal.names_temperature:
                    cold = False
                    continue
                if constrained:
                    constrained = False
                    continue
            else:
                owner._temperature_refused = owner._temperature_refused or not cold
                if not constrained:
                    owner._schemas_refused.add(self._name)
                return answered
            raise ModelFailure(
                "refused",
                f"The model endpoint does not take the request (status {status}): "
                "check OPENAI_BASE_URL and SWITCHYARD_MODEL.",
            )

    def _body(self, messages: list[dict[str, str]], cold: bool, constrained: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._owner.model, "messages": messages}
        if cold:
            body["temperature"] = 0
        if constrained:
            shape = {"name": self._name, "schema": self._schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        else:
            body["messages"] = with_schema_in_prompt(messages, self._schema)
        return body

    async def _patient(self, body: dict[str, Any]) -> "Answered":
        """Retry what is worth it, as long as the next try can still begin before the deadline."""
        from switchyard.core.model.attempt import Transient

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient), wait=self._pause, stop=self._too_late, reraise=True
        )
        try:
            return await retrying(self._once, body)
        except Transient as transient:
            failure = ModelFailure(transient.reason, transient.message)
        raise failure

    async def _once(self, body: dict[str, Any]) -> "Answered":
        from switchyard.core.model.attempt import send

        self.calls += 1
        left_s = max(self._deadline - time.monotonic(), 0.001)
        timeout_s = min(self._owner._attempt_s, left_s)
        answered = await send(self._owner._client_of_this_loop(), body, self._headers, timeout_s)
        self.usage += answered.usage
        return answered

    def _pause(self, state: RetryCallState) -> float:
        longest = min(self._owner._backoff_s * 2.0 ** (state.attempt_number - 1), self._owner._backoff_max_s)
        asked = state.outcome.exception() if state.outcome else None
        wait_s: float = getattr(asked, "retry_after_s", 0.0)
        return wait_s + longest * random.uniform(0.5, 1.0)

    def _too_late(self, state: RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep >= self._deadline
