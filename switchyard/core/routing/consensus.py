"""Consensus: what several agents' answers come to. A function of the answers, in whatever order they came."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from switchyard.core import strictjson
from switchyard.core.agents_file import Gather
from switchyard.core.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentAnswer:
    """One agent's answer: its event type and its data."""

    type: str
    data: Any


@dataclass(frozen=True)
class Vote:
    """What one agent voted: canonical JSON text, or the text itself where the field is a string.

    Equal values are one vote, and JSON has one kind of number: 1, 1.0 and 1e0 are the vote `1`.
    """

    agent: str
    vote: str
    weight: float
    confidence: float


@dataclass(frozen=True)
class Consensus:
    """What answers come to.

    `vote` is None where nobody voted, or a quorum was not reached; `confidence` is from 0 to 1; `dissent` names the
    agents that voted otherwise, `votes` says who voted what.
    """

    vote: str | None
    confidence: float = 0.0
    dissent: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()


class ConsensusPolicy(Protocol):
    """Puts the answers of agents that got one event together into one; a gather's `policy: module:function`.

    It is called in the TaskManager whenever an answer has come, and at the end. It must be a function of its arguments:
    the same answers come to the same consensus, at a replay too.
    """

    def __call__(self, answers: Mapping[str, AgentAnswer], expected: Sequence[str]) -> Consensus | None:
        """Return what the answers come to, or None while more are needed.

        `answers` are those that have come, by agent, in the order they were taken; `expected` are all agents that got
        the event. At the gather's deadline, and once all have answered or failed, None means that there is no vote.
        Where it raises, that is logged and counts as None.
        """
        ...


def votes_of(policy: Gather, answers: Mapping[str, AgentAnswer]) -> tuple[Vote, ...]:
    """The votes in the answers, by agent; an answer without the field is none."""
    votes = []
    for agent in sorted(answers):
        data = answers[agent].data
        if policy.vote is None or not isinstance(data, dict) or data.get(policy.vote) is None:
            continue
        vote = data[policy.vote]
        weight = policy.weights.get(agent, 1.0) if policy.policy == "weighted" else 1.0
        text = vote if isinstance(vote, str) else strictjson.canonical(_plain(vote)).decode()
        votes.append(Vote(agent, text, weight, _confidence(policy, data)))
    return tuple(votes)


@dataclass(frozen=True)
class GatherPolicy:
    """When a gather has what it needs, and what it results in. `own` is the app's own policy, if it has one."""

    gather: Gather
    own: ConsensusPolicy | None = None

    @classmethod
    def of(cls, registry: Registry, event_type: str, recorded: dict[str, Any] | None = None) -> GatherPolicy:
        """The policy for a gather on an event type: the recorded one, else today's, else `all`.

        An app's own policy is a function, of which there is only today's.
        """
        gather = registry.gathers.get(event_type) or Gather(on=event_type)
        before = gather if recorded is None else Gather.model_validate(recorded)
        if not before.own_policy or before.policy == gather.policy:
            gather = before
        return cls(gather, registry.extensions.policies.get(event_type))

    def is_met(self, expected: Sequence[str], answers: Mapping[str, AgentAnswer]) -> bool:
        """Whether the answers are what the policy asks for."""
        if self.gather.own_policy:
            return self._own(expected, answers) is not None
        return is_met(self.gather, expected, answers)

    def result(
        self, expected: Sequence[str], answers: Mapping[str, AgentAnswer], missing: Mapping[str, str]
    ) -> dict[str, Any]:
        """The data of the event that the gather results in (ADR 6). `answers` stand in the order they were taken."""
        if self.gather.own_policy:
            reached = self._own(expected, answers)
            agreed, complete = reached or Consensus(None), reached is not None
        else:
            agreed = consensus(self.gather, answers, next(iter(answers), None))
            complete = is_met(self.gather, expected, answers)
        return {
            "cause": self.gather.on,
            "policy": self.gather.policy,
            "answers": [
                {"agent": agent, "type": item.type, "data": strictjson.dumps(item.data)}
                for agent, item in answers.items()
            ],
            "missing": [{"agent": agent, "reason": reason} for agent, reason in missing.items()],
            "votes": [
                {"agent": item.agent, "vote": item.vote, "weight": item.weight, "confidence": item.confidence}
                for item in agreed.votes
            ],
            "vote": agreed.vote,
            "dissent": list(agreed.dissent),
            "confidence": agreed.confidence,
            "complete": complete,
        }

    def _own(self, expected: Sequence[str], answers: Mapping[str, AgentAnswer]) -> Consensus | None:
        if self.own is None:
            return None
        try:
            # A copy: what a policy does with the answers must not change the gather.
            reached = self.own(copy.deepcopy(dict(answers)), tuple(expected))
            return reached if reached is None else _checked(reached)
        except Exception:
            log.exception("the policy %s of the gather on %s failed", self.gather.policy, self.gather.on)
            return None


def is_met(policy: Gather, expected: Collection[str], answers: Mapping[str, AgentAnswer]) -> bool:
    """Whether the answers are what a built-in policy asks for."""
    if policy.policy == "first":
        return bool(answers)
    if policy.policy == "quorum":
        needed = policy.quorum or 1
        if policy.vote is None:
            return len(answers) >= needed
        return max(_counts(votes_of(policy, answers)).values(), default=0) >= needed
    return set(expected) <= set(answers)


def consensus(policy: Gather, answers: Mapping[str, AgentAnswer], first: str | None = None) -> Consensus:
    """What the answers come to. `first` names whose answer the policy `first` takes."""
    votes = votes_of(policy, answers)
    vote = _winner(policy, votes, first)
    total = sum(item.weight for item in votes)
    won = sum(item.weight * item.confidence for item in votes if item.vote == vote)
    dissent = tuple(item.agent for item in votes if vote is not None and item.vote != vote)
    return Consensus(vote, round(won / total, 6) if vote is not None and total else 0.0, dissent, votes)


def _checked(reached: object) -> Consensus:
    """A consensus with nothing in it but what the contract of the result allows. Raises TypeError or ValueError."""
    if not isinstance(reached, Consensus):
        raise TypeError(f"a policy returns a Consensus or None, and not {type(reached).__name__}")
    votes = tuple(
        Vote(_text(item.agent), _text(item.vote), _number(item.weight), _number(item.confidence))
        for item in reached.votes
    )
    confidence = _number(reached.confidence)
    if not 0.0 <= confidence <= 1.0:
        raise ValueError("the confidence of a consensus is from 0 to 1")
    vote = None if reached.vote is None else _text(reached.vote)
    return Consensus(vote, confidence, tuple(_text(agent) for agent in reached.dissent), votes)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, and not {type(value).__name__}")
    value.encode()
    return str(value)


def _number(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]
    if isinstance(value, bool | str) or not math.isfinite(number):
        raise TypeError(f"expected a number, and not {value!r:.80}")
    return number


def _winner(policy: Gather, votes: tuple[Vote, ...], first: str | None) -> str | None:
    if policy.policy == "first":
        return next((item.vote for item in votes if item.agent == first), None)
    ranked = sorted(_counts(votes), key=lambda vote: (_rank(policy, votes, vote), vote), reverse=True)
    if not ranked:
        return None
    if policy.policy == "quorum" and _counts(votes)[ranked[0]] < (policy.quorum or 1):
        return None
    return ranked[0]


def _rank(policy: Gather, votes: tuple[Vote, ...], vote: str) -> tuple[float, float]:
    """By which votes are compared, then what breaks a tie."""
    agreed = [item for item in votes if item.vote == vote]
    confidence = sum(item.confidence for item in agreed)
    if policy.policy == "weighted":
        return sum(item.weight * item.confidence for item in agreed), confidence
    return float(len(agreed)), confidence


def _counts(votes: tuple[Vote, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in votes:
        counts[item.vote] = counts.get(item.vote, 0) + 1
    return counts


def _plain(value: Any) -> Any:
    """The value with whole numbers as integers, as far as JSON text has them: equal values are written alike."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and -(2**63) <= value < 2**64 else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _confidence(policy: Gather, data: Mapping[str, Any]) -> float:
    value = data.get(policy.confidence) if policy.confidence is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1.0
    return min(max(float(value), 0.0), 1.0)
