"""One ask under way: tries, corrections, and what all of it has spent."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from switchyard.core.model.answer import UnusableText, correction, read, with_schema_in_prompt
from switchyard.core.model.http_call import Completion, RequestRejected, Transient, send
from switchyard.core.model.reply import ANSWER_TOKENS, AnswerCheck, CallListener, ModelFailure, Usage, estimate
from switchyard.core.model.server_features import RequestShape, ServerFeatures

MOST_TRIES = 16
"""HTTP calls for one answer, whatever time is left."""

_LONGEST_PROBLEM = 500


@dataclass(frozen=True)
class RetryPolicy:
    """How long an ask may take, how long one HTTP call, and the pauses between tries."""

    deadline_s: float
    attempt_s: float
    backoff_s: float
    backoff_max_s: float


@dataclass
class ModelRequest:
    """Asks for JSON that meets `schema` until it has it, `deadline` (monotonic) is near, or `listener` is open."""

    client: openai.AsyncOpenAI
    model: str
    schema: dict[str, Any]
    name: str
    headers: dict[str, str]
    patience: RetryPolicy
    features: ServerFeatures
    deadline: float
    listener: CallListener | None = None
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    _trouble: Transient | None = None

    def out_of_time(self) -> ModelFailure:
        """The failure of an ask whose time is up: the trouble that used it up, where there was one.

        While the endpoint counts as down, that is the trouble, and not this request.
        """
        trouble = self._trouble or Transient(
            "deadline", f"The model did not answer within {self.patience.deadline_s:.3g} s."
        )
        down = self.listener is not None and self.listener.open and trouble.reason != "rate-limited"
        return ModelFailure(
            "unreachable" if down else trouble.reason, trouble.message, retry_after_s=trouble.retry_after_s
        )

    async def usable(self, messages: list[dict[str, str]], check: AnswerCheck | None) -> tuple[Any, str]:
        """The checked answer and the model that gave it. Raises ModelFailure."""
        problem = ""
        for _ in range(2):
            answered = await self._answered(messages)
            value, problem = self._value(answered, check)
            problem = problem[:_LONGEST_PROBLEM]
            if not problem:
                return value, answered.model
            messages = messages + correction(answered.text, problem)
        raise ModelFailure("unusable-answer", f"The model's answer was unusable twice, the last time: {problem}.")

    def _value(self, answered: Completion, check: AnswerCheck | None) -> tuple[Any, str]:
        """What an answer holds, or in the second place what is wrong with it."""
        if answered.problem is not None:
            return None, answered.problem
        try:
            value = read(answered.text, self.schema)
        except UnusableText as error:
            self.features.not_enforced(self.name)
            return None, str(error)
        wrong = check(value) if check else None
        return value, wrong.rstrip(".") if wrong else ""

    async def _answered(self, messages: list[dict[str, str]]) -> Completion:
        """One answer, leaving out what this server is known, or now turns out, not to take."""
        shape = self.features.shape(self.name)
        while True:
            try:
                answered = await self._patient(self._body(messages, shape))
            except RequestRejected as rejection:
                rejected, fewer = rejection, self.features.without(shape, self.name, rejection.said)
            else:
                self.features.learn(shape, self.name)
                return answered
            if fewer is None:
                raise rejected.failure()
            shape = fewer

    def _body(self, messages: list[dict[str, str]], shape: RequestShape) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if shape.temperature:
            body["temperature"] = 0
        if shape.limit is not None:
            body[shape.limit] = ANSWER_TOKENS
        if shape.constrained:
            constraint = {"name": self.name, "schema": self.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": constraint}
        if shape.stated:
            body["messages"] = with_schema_in_prompt(messages, self.schema)
        return body

    async def _patient(self, body: dict[str, Any]) -> Completion:
        """Retry what is worth it, as long as the next try can still begin before the deadline."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient), wait=self._pause, stop=self._in_vain, reraise=True
        )
        try:
            return await retrying(self._once, body)
        except Transient:
            failure = self.out_of_time()
        raise failure

    async def _once(self, body: dict[str, Any]) -> Completion:
        self.calls += 1
        left_s = max(self.deadline - time.monotonic(), 0.001)
        timeout_s = min(self.patience.attempt_s, left_s)
        try:
            answered = await send(self.client, body, self.headers, timeout_s)
        except asyncio.CancelledError:
            self._report(failed=True)
            self.usage += estimate(body["messages"])
            raise
        except Transient as trouble:
            self._report(failed=trouble.reason != "rate-limited")
            if trouble.reason == "deadline":
                self.usage += estimate(body["messages"])
            else:
                self._trouble = trouble
            raise
        except (RequestRejected, ModelFailure):
            self._report(failed=False)
            raise
        self._report(failed=False)
        self._trouble = None
        self.usage += answered.usage or estimate(body["messages"], answered.text)
        return answered

    def _pause(self, state: RetryCallState) -> float:
        longest = min(self.patience.backoff_s * 2.0 ** (state.attempt_number - 1), self.patience.backoff_max_s)
        asked = state.outcome.exception() if state.outcome else None
        wait_s: float = getattr(asked, "retry_after_s", 0.0)
        return wait_s + longest * random.uniform(0.5, 1.0)

    def _in_vain(self, state: RetryCallState) -> bool:
        """Whether no other try is worth while: enough were made, time will be up, or the endpoint counts as down."""
        down = self.listener is not None and self.listener.open
        late = time.monotonic() + state.upcoming_sleep >= self.deadline
        return down or late or state.attempt_number >= MOST_TRIES

    def _report(self, failed: bool) -> None:
        """Tell how a call went. One that the deadline cut off has failed like one that had no answer in time."""
        if self.listener is not None:
            (self.listener.failed if failed else self.listener.answered)()
