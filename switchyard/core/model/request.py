"""One ask under way: tries, corrections, and what all of it has spent."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from switchyard.core.model.answer import UnusableText, correction, parse, violation, with_schema_in_prompt
from switchyard.core.model.http_call import Completion, Transient, UnsupportedParameter, send
from switchyard.core.model.reply import AnswerCheck, CallListener, ModelFailure, Usage


@dataclass(frozen=True)
class RetryPolicy:
    """How long an ask may take, how long one HTTP call, and the pauses between tries."""

    deadline_s: float
    attempt_s: float
    backoff_s: float
    backoff_max_s: float


@dataclass
class UnsupportedFeatures:
    """What a server turned out not to take; shared by all asks of one client."""

    temperature: bool = False
    schemas: set[str] = field(default_factory=set)


@dataclass
class ModelRequest:
    """Asks for JSON that meets `schema` until it has it, `deadline` (monotonic) is near, or `listener` is open."""

    client: openai.AsyncOpenAI
    model: str
    schema: dict[str, Any]
    name: str
    headers: dict[str, str]
    patience: RetryPolicy
    refusals: UnsupportedFeatures
    deadline: float
    listener: CallListener | None = None
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    _trouble: Transient | None = None

    def out_of_time(self) -> ModelFailure:
        """The failure of an ask whose time is up: the trouble that used it up, where there was one."""
        if self._trouble is not None:
            return ModelFailure(self._trouble.reason, self._trouble.message)
        return ModelFailure("deadline", f"The model did not answer within {self.patience.deadline_s:.3g} s.")

    async def usable(self, messages: list[dict[str, str]], check: AnswerCheck | None) -> tuple[Any, str]:
        """The checked answer and the model that gave it. Raises ModelFailure."""
        problem = ""
        for _ in range(2):
            answered = await self._answered(messages)
            if answered.problem is None:
                try:
                    value = parse(answered.text)
                    wrong = violation(value, self.schema) or (check(value) if check else None)
                    if wrong is None:
                        return value, answered.model
                    problem = wrong.rstrip(".")
                except UnusableText as error:
                    problem = str(error)
            else:
                problem = answered.problem
            messages = messages + correction(answered.text, problem)
        raise ModelFailure("unusable-answer", f"The model's answer was unusable twice, the last time: {problem}.")

    async def _answered(self, messages: list[dict[str, str]]) -> Completion:
        """One answer, leaving out what this server is known, or now turns out, not to take."""
        cold = not self.refusals.temperature
        constrained = self.name not in self.refusals.schemas
        while True:
            try:
                answered = await self._patient(self._body(messages, cold, constrained))
            except UnsupportedParameter as refusal:
                status = refusal.status
                if cold and refusal.names_temperature:
                    cold = False
                    continue
                if constrained:
                    constrained = False
                    continue
            else:
                self.refusals.temperature |= not cold
                if not constrained:
                    self.refusals.schemas.add(self.name)
                return answered
            raise ModelFailure(
                "refused",
                f"The model endpoint does not take the request (status {status}): "
                "check OPENAI_BASE_URL and SWITCHYARD_MODEL.",
            )

    def _body(self, messages: list[dict[str, str]], cold: bool, constrained: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if cold:
            body["temperature"] = 0
        if constrained:
            shape = {"name": self.name, "schema": self.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        else:
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
            raise
        except Transient as trouble:
            self._report(failed=trouble.reason != "rate-limited")
            if trouble.reason != "deadline":
                self._trouble = trouble
            raise
        except (UnsupportedParameter, ModelFailure):
            self._report(failed=False)
            raise
        self._report(failed=False)
        self._trouble = None
        self.usage += answered.usage
        return answered

    def _pause(self, state: RetryCallState) -> float:
        longest = min(self.patience.backoff_s * 2.0 ** (state.attempt_number - 1), self.patience.backoff_max_s)
        asked = state.outcome.exception() if state.outcome else None
        wait_s: float = getattr(asked, "retry_after_s", 0.0)
        return wait_s + longest * random.uniform(0.5, 1.0)

    def _in_vain(self, state: RetryCallState) -> bool:
        """Whether no other try is worth while: time will be up, or the endpoint counts as down."""
        down = self.listener is not None and self.listener.open
        return down or time.monotonic() + state.upcoming_sleep >= self.deadline

    def _report(self, failed: bool) -> None:
        """Tell how a call went. One that the deadline cut off has failed like one that had no answer in time."""
        if self.listener is not None:
            (self.listener.failed if failed else self.listener.answered)()
