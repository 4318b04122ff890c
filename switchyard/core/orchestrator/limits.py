"""Limits of a whole app, held as one share for each shard, and what a shard has used of them.

The shares add up to the limit, so it is not exceeded; a shard may reach its share while another has room.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from switchyard.core import strictjson
from switchyard.core.agents_file import Limits
from switchyard.core.errors import SettingsError
from switchyard.core.event import Event
from switchyard.core.orchestrator.migrations import stamped, upgraded
from switchyard.core.registry import Registry
from switchyard.core.routing.question import LARGEST_ASK
from switchyard.core.times import milliseconds

Price = Callable[[int, int], float | None]
"""The cost of prompt and completion tokens; None where no prices are set."""

HOUR_MS = 3_600_000
_KEY = "usage"


@dataclass(frozen=True)
class Quota:
    """One of `of` equal parts; `index` counts from 0."""

    index: int = 0
    of: int = 1

    def part(self, limit: int) -> int:
        """Its part of a limit that is counted; the parts add up to the limit."""
        return limit * (self.index + 1) // self.of - limit * self.index // self.of

    def fraction(self, limit: float) -> float:
        """Its part of a limit that is measured."""
        return limit / self.of


def check_shares(registry: Registry, shards: int) -> None:
    """Raises SettingsError where a limit leaves a shard no part of it, or too little for one ask."""
    limits = registry.file.limits
    if limits.tokens_per_hour is not None and limits.tokens_per_hour < shards * LARGEST_ASK:
        raise SettingsError(
            f"agents.yaml: tokens_per_hour is {limits.tokens_per_hour}, but it is shared out between {shards} shards, "
            f"and one question may use {LARGEST_ASK} tokens; raise it to {shards * LARGEST_ASK} or more, or start with "
            "fewer SWITCHYARD_SHARDS"
        )
    counted = {name: getattr(limits, name) for name in ("open_workflows", "open_dispatches")}
    counted.update({f"open_dispatches of {name}": agent.open_dispatches for name, agent in registry.agents.items()})
    small = [f"{name} is {limit}" for name, limit in counted.items() if limit is not None and limit < shards]
    if small:
        raise SettingsError(
            f"agents.yaml: {', '.join(small)}, but a limit is shared out between {shards} shards and must be at least "
            f"{shards}; raise it, or start with fewer SWITCHYARD_SHARDS"
        )


class ShardUsage:
    """What is open in a shard, what it has spent in this hour, and whether it is paused; kept in state.

    `reserved` are the tokens that asks under way may use; `sizes` the bytes of running workflows and of each queue. It
    is `replaying` from a start without state until all that was read before has been taken up.
    """

    def __init__(self, stored: MutableMapping[str, str]) -> None:
        self._stored = stored
        value = upgraded("usage", strictjson.loads(stored[_KEY])) if _KEY in stored else {}
        self.workflows: int = value.get("workflows", 0)
        self.dispatches: dict[str, int] = dict(value.get("dispatches", {}))
        self.reserved: int = value.get("reserved", 0)
        self.paused: bool = value.get("paused", False)
        self.sizes: dict[str, int] = dict(value.get("sizes", {}))
        self.replaying: bool = value.get("replaying", not value)
        self._hour: int = value.get("hour", 0)
        self._tokens: int = value.get("tokens", 0)
        self._cost: float = value.get("cost", 0.0)
        self._written = dict(value)

    def spend(self, at: int, now: int, tokens: int, cost: float) -> None:
        """Count what was used at `at`, where `now` is in the same hour; both are milliseconds since 1970.

        What a clock that is ahead has dated is used now, and what was counted by such a clock stays counted.
        """
        hour = now // HOUR_MS
        if min(at, now) // HOUR_MS < hour:
            return
        if hour > self._hour:
            self._tokens, self._cost = 0, 0.0
        self._hour = hour
        self._tokens += tokens
        self._cost += cost

    def spent(self, now: int) -> tuple[int, float]:
        """Tokens and cost of this hour."""
        return (self._tokens, self._cost) if now // HOUR_MS <= self._hour else (0, 0.0)

    def resize(self, what: str, change: int) -> None:
        """Count what came to the workflows or to a queue, or went, in bytes."""
        self.sizes[what] = max(0, self.sizes.get(what, 0) + change)

    @property
    def size(self) -> int:
        """Bytes of all that is open and waits."""
        return sum(self.sizes.values())

    def save(self) -> None:
        """Write it, where it changed."""
        value = {
            "workflows": self.workflows,
            "dispatches": {name: count for name, count in self.dispatches.items() if count},
            "reserved": self.reserved,
            "paused": self.paused,
            "sizes": {name: size for name, size in self.sizes.items() if size},
            "replaying": self.replaying,
            "hour": self._hour,
            "tokens": self._tokens,
            "cost": self._cost,
        }
        if value != self._written:
            self._stored[_KEY] = strictjson.dumps(stamped(value))
            self._written = value


def over_hour(limits: Limits, quota: Quota, usage: ShardUsage, price: Price, now: int, tokens: int) -> str | None:
    """Why an ask that may use so many tokens must not begin in this hour; None where it may."""
    used, spent = usage.spent(now)
    planned = usage.reserved + tokens
    if limits.tokens_per_hour is not None and used + planned > quota.part(limits.tokens_per_hour):
        return f"limit of {limits.tokens_per_hour} tokens an hour reached"
    cost = max(price(planned, 0) or 0.0, price(0, planned) or 0.0)
    if limits.cost_per_hour is not None and spent + cost > quota.fraction(limits.cost_per_hour):
        return f"limit of {limits.cost_per_hour:g} an hour reached"
    return None


def spend_of_agent(usage: ShardUsage, price: Price, event: Event, now: int) -> tuple[int, float | None]:
    """Charge what an agent says it has used of a model to the hour in which it answered; tokens and cost."""
    prompt, completion = (int(event.attributes.get(name, 0)) for name in ("prompttokens", "completiontokens"))
    cost = price(prompt, completion) if prompt or completion else None
    try:
        at = milliseconds(event.attributes.get("time"))
    except ValueError:
        at = now
    usage.spend(at, now, prompt + completion, cost or 0.0)
    return prompt + completion, cost
