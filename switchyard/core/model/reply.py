"""What a model is asked through, what it returns, how it fails, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from switchyard.core.errors import SwitchyardError

AnswerCheck = Callable[[Any], str | None]
"""Looks at a parsed answer; returns None, or the error to show the model."""

FailureReason = Literal["unreachable", "rate-limited", "refused", "deadline", "error", "rejected", "unusable-answer"]
"""In this order: nobody there; too many calls; the key, quota or address; no answer in time; an error of the server;
this one request; the answer."""

ANSWER_TOKENS = 8192
"""The longest answer, thinking included, as `max_tokens` bounds it."""

_BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class Usage:
    """Tokens, as the server counted them, or else estimated."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


def estimate(messages: list[dict[str, str]], answer: str = "") -> Usage:
    """What a call has used, where no server counts it: a token for four bytes."""
    asked = sum(len(message["content"].encode()) for message in messages)
    return Usage(-(-asked // _BYTES_A_TOKEN), -(-len(answer.encode()) // _BYTES_A_TOKEN))


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost; always from settings, none is built in."""

    prompt: float
    completion: float


def cost(usage: Usage, prices: Prices | None) -> float | None:
    """The price of `usage`, or None where no prices are set."""
    if prices is None:
        return None
    return (usage.prompt_tokens * prices.prompt + usage.completion_tokens * prices.completion) / 1_000_000


@dataclass(frozen=True)
class Reply:
    """A checked answer. `calls` counts every HTTP call it took; usage and latency cover all of them."""

    value: Any
    usage: Usage
    latency_ms: float
    calls: int
    model: str


class ModelFailure(SwitchyardError):
    """No usable answer. `message` is our own sentence: no text of an exception or a server, and no key.

    `retry_after_s` is how long the server wants to be left alone; 0 where it does not say.
    """

    def __init__(
        self,
        reason: FailureReason,
        message: str,
        *,
        calls: int = 0,
        usage: Usage | None = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(reason, message)
        self.reason: FailureReason = reason
        self.message = message
        self.calls = calls
        self.usage = usage or Usage()
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class CallListener(Protocol):
    """Is told how each HTTP call went. While it is `open`, an ask whose call has failed does not try again."""

    @property
    def open(self) -> bool: ...

    def answered(self) -> None:
        """The endpoint has answered, were it with a refusal."""

    def failed(self) -> None:
        """No connection, no answer in time, or an error of the server."""


class ModelClient(Protocol):
    """The seam between a decision and a model; a fake is one method."""

    async def ask(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        name: str,
        purpose: str,
        check: AnswerCheck,
    ) -> Reply:
        """Return JSON that meets `schema` and `check`, or raise ModelFailure."""
        ...
