"""Consensus: what several agents' answers come to. A function of the answers, in whatever order they came."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from switchyard.core import strictjson
from switchyard.core.registry import Gather


@dataclass(frozen=True)
class AgentAnswer:
    """One agent's answer: its event type and its data."""

    type: str
    data: Any


@dataclass(frozen=True)
class Vote:
    """What one agent voted: canonical JSON text, or the text itself where the field is a string."""

    agent: str
    vote: str
    weight: float
    confidence: float


@dataclass(frozen=True)
class Consensus:
    """`vote` is None where nobody voted, or a quorum was not reached; `confidence` is from 0 to 1."""

    votes: tuple[Vote, ...]
    vote: str | None
    dissent: tuple[str, ...]
    confidence: float


def votes_of(policy: Gather, answers: Mapping[str, AgentAnswer]) -> tuple[Vote, ...]:
    """The votes in the answers, by agent; an answer without the field is none."""
    found = []
    for agent in sorted(answers):
        data = answers[agent].data
        if policy.vote is None or not isinstance(data, dict) or data.get(policy.vote) is None:
            continue
        vote = data[policy.vote]
        weight = policy.weights.get(agent, 1.0) if policy.policy == "weighted" else 1.0
        text = vote if isinstance(vote, str) else strictjson.canonical(vote).decode()
        found.append(Vote(agent, text, weight, _confidence(policy, data)))
    return tuple(found)


def is_met(policy: Gather, expected: Collection[str], answers: Mapping[str, AgentAnswer]) -> bool:
    """Whether the answers are what the policy asks for."""
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
    return Consensus(votes, vote, dissent, round(won / total, 6) if vote is not None and total else 0.0)


def gathered(
    policy: Gather, expected: Collection[str], answers: Mapping[str, AgentAnswer], missing: Mapping[str, str]
) -> dict[str, Any]:
    """The data of the event that a gather results in (ADR 6). `answers` stand in the order they were taken."""
    result = consensus(policy, answers, next(iter(answers), None))
    return {
        "cause": policy.on,
        "policy": policy.policy,
        "answers": [
            {"agent": agent, "type": item.type, "data": strictjson.dumps(item.data)} for agent, item in answers.items()
        ],
        "missing": [{"agent": agent, "reason": reason} for agent, reason in missing.items()],
        "votes": [
            {"agent": item.agent, "vote": item.vote, "weight": item.weight, "confidence": item.confidence}
            for item in result.votes
        ],
        "vote": result.vote,
        "dissent": list(result.dissent),
        "confidence": result.confidence,
        "complete": is_met(policy, expected, answers),
    }


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


def _confidence(policy: Gather, data: Mapping[str, Any]) -> float:
    value = data.get(policy.confidence) if policy.confidence is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1.0
    return min(max(float(value), 0.0), 1.0)
