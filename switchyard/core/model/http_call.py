"""One HTTP call to a chat-completions endpoint, and what it means."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from switchyard.core.model.access import is_loopback
from switchyard.core.model.reply import FailureReason, ModelFailure, Usage

_RETRIED = {408, 409, 425, 429}
_NEVER_RETRIED = {501, 505}
_REQUEST_REJECTED = {400, 404, 422}
_DOWN = {408, 409, 425, 502, 503, 504}
_LONGEST_NAME = 200
_LONGEST_SAID = 10_000
_MOST_TOKENS = 2**31


@dataclass(frozen=True)
class Completion:
    """What came back with status 200; `problem` says why `text` is none, if so; `usage` is None if it is not told."""

    text: str
    problem: str | None
    usage: Usage | None
    model: str


class Transient(Exception):
    """Worth another try. Becomes a ModelFailure when time is up."""

    def __init__(self, reason: FailureReason, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.reason: FailureReason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class RequestRejected(Exception):
    """The server does not take the request as it is; `said` is the body of its answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status)
        self.status = status
        self.said = said

    def failure(self) -> ModelFailure:
        """What it means where no other form of the request is taken."""
        if self.status == 404:
            return ModelFailure(
                "refused",
                "The model endpoint does not know the address or the model (status 404): "
                "check OPENAI_BASE_URL and SWITCHYARD_MODEL.",
            )
        return ModelFailure(
            "rejected", f"The model endpoint does not take this request (status {self.status}): its own log says why."
        )


def new_client(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    """A client for the running event loop. No redirects: they could leave the address that was allowed."""
    http = openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not is_loopback(base_url))
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=http)


async def send(
    client: openai.AsyncOpenAI, body: Mapping[str, Any], headers: Mapping[str, str], timeout_s: float
) -> Completion:
    """Make one call.

    Raises Transient, RequestRejected, or ModelFailure where no other call would help. None of them has the
    original exception as cause or context: those can hold headers.
    """
    outcome: Exception
    try:
        async with asyncio.timeout(timeout_s):
            completion = await client.chat.completions.create(**body, extra_headers=dict(headers), timeout=timeout_s)
            return _answered(completion)
    except (TimeoutError, openai.APITimeoutError):
        outcome = Transient("deadline", f"The model did not answer within {timeout_s:.3g} s.")
    except openai.APIStatusError as error:
        outcome = _meaning(error)
    except openai.APIConnectionError:
        outcome = Transient("unreachable", "No connection to the model: check OPENAI_BASE_URL.")
    except (openai.OpenAIError, ValueError):
        return _NO_COMPLETION
    raise outcome


_NO_COMPLETION = Completion("", "the endpoint did not answer with a chat completion", None, "")


def _answered(completion: Any) -> Completion:
    usage = _usage(getattr(completion, "usage", None))
    try:
        choice = completion.choices[0]
        text = _text(choice.message.content or "")
        problem = None
        if not isinstance(text, str):
            text, problem = "", "the answer is not text"
        elif getattr(choice.message, "refusal", None):
            problem = "the model declined to answer"
        elif choice.finish_reason == "length":
            problem = "the answer was cut off at the length limit"
        return Completion(text, problem, usage, str(completion.model or "")[:_LONGEST_NAME])
    except (AttributeError, IndexError, KeyError, TypeError):
        return replace(_NO_COMPLETION, usage=usage)


def _text(content: Any) -> Any:
    """The text of a message, which some servers give in parts, thinking among them."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] == "text")
    return content


def _usage(counted: Any) -> Usage | None:
    usage = Usage(_tokens(counted, "prompt_tokens"), _tokens(counted, "completion_tokens"))
    return usage if usage != Usage() else None


def _tokens(counted: Any, name: str) -> int:
    """A count as the server gave it; 0 where it is none."""
    tokens = getattr(counted, name, None)
    return min(tokens, _MOST_TOKENS) if type(tokens) is int and tokens > 0 else 0


def _meaning(error: openai.APIStatusError) -> Exception:
    status = error.status_code
    if status in (401, 403):
        return ModelFailure("refused", f"The model endpoint refused the key (status {status}): check OPENAI_API_KEY.")
    if status == 429 and error.code == "insufficient_quota":
        return ModelFailure("refused", "The account behind OPENAI_API_KEY has no quota left (status 429).")
    if status in _REQUEST_REJECTED:
        return RequestRejected(status, str(error.body)[:_LONGEST_SAID])
    if status == 413:
        return RequestRejected(status, "").failure()
    if status in _NEVER_RETRIED or (status < 500 and status not in _RETRIED):
        return ModelFailure(
            "refused", f"The model endpoint refused the request with status {status}: its own log says why."
        )
    after = retry_after_s(error.response.headers.get("retry-after"), time.time())
    if status == 429:
        return Transient("rate-limited", "The model endpoint limits the rate of calls (429).", after)
    reason: FailureReason = "unreachable" if status in _DOWN else "error"
    message = f"The model endpoint answered with status {status}."
    if error.response.headers.get("x-should-retry") == "false":
        return ModelFailure(reason, message, retry_after_s=after)
    return Transient(reason, message, after)


def retry_after_s(header: str | None, now: float) -> float:
    """Seconds to wait as a Retry-After header asks, in seconds or as a date; 0 if it says nothing usable."""
    if not header:
        return 0.0
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return 0.0
    return wait if 0.0 < wait < float("inf") else 0.0
