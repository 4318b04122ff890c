"""From what a handler returns to answers that keep their contracts."""

from __future__ import annotations

from typing import Any

from switchyard.core import strictjson
from switchyard.core.agents_file import Agent
from switchyard.core.errors import AgentError, Rejected
from switchyard.core.model import ModelFailure
from switchyard.core.registry import FAILED_TYPE, Registry
from switchyard.worker.task import Answer


def checked(agent: Agent, registry: Registry, returned: Any, largest: int) -> list[Answer]:
    """Return the answers in what a handler returned. Raises AgentError where one may not be sent."""
    items = list(returned) if isinstance(returned, list | tuple) else [] if returned is None else [returned]
    if not items:
        raise AgentError(f"The handler of {agent.name} returned no answer.", reason="no-answer")
    return [_checked(agent, registry, item, largest) for item in items]


def _checked(agent: Agent, registry: Registry, item: Any, largest: int) -> Answer:
    if isinstance(item, dict):
        if len(agent.emits) != 1:
            raise _breaks(
                f"The handler of {agent.name} returned data without its type; it emits {', '.join(agent.emits)}."
            )
        item = Answer(agent.emits[0], item)
    if not isinstance(item, Answer):
        raise _breaks(f"The handler of {agent.name} returned {type(item).__name__}, not an answer.")
    if item.type not in agent.emits:
        raise _breaks(f"The handler of {agent.name} answered with a type it does not emit.")
    try:
        text = strictjson.dumps(item.data)
    except TypeError:
        raise _breaks(f"The handler of {agent.name} returned data that is not JSON.") from None
    if len(text.encode()) > largest:
        raise AgentError(f"The answer of {agent.name} is larger than {largest} bytes.", reason="too-large")
    data = strictjson.loads(text)
    try:
        registry.contracts[item.type].check(data)
    except Rejected as error:
        place = error.field or "the data as a whole"
        raise _breaks(
            f"The answer of {agent.name} breaks the contract of {item.type} at {place}: {error.message}."
        ) from None
    return Answer(item.type, data)


def _breaks(message: str) -> AgentError:
    return AgentError(message, reason="contract-violation")


def timed_out(agent: Agent) -> AgentError:
    """Return what a handler fails with that has not ended at its agent's deadline."""
    message = f"The handler of {agent.name} took longer than {agent.deadline:g} s, the agent's deadline."
    return AgentError(message, reason="handler-timeout")


def failure(agent: Agent, error: BaseException) -> Answer:
    """Return the answer that says why there is no other. Only an AgentError's and a ModelFailure's text is in it."""
    if isinstance(error, AgentError):
        reason, message = error.reason, error.message
    elif isinstance(error, ModelFailure):
        unusable = error.reason == "unusable-answer"
        reason, message = "model-unusable-answer" if unusable else "model-unavailable", error.message
    else:
        reason = "handler-error"
        message = f"The handler of {agent.name} raised {type(error).__name__}; the worker's log has the trace."
    data: dict[str, Any] = {"agent": agent.name, "reason": reason, "message": message}
    rejected = isinstance(error, ModelFailure) and error.reason == "rejected"
    if rejected or (isinstance(error, AgentError) and not error.retryable):
        data["retryable"] = False
    return Answer(FAILED_TYPE, data)
