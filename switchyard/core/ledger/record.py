"""Records of the ledger: decisions, and the fences that mark how far a shard has read it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

from switchyard.core import ids, strictjson
from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ledger.subject import Subject

VERSION = 2

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By the version before this one: its records stay in the ledger for as long as its topic keeps them."""

OUT_OF_ORDER = "out-of-order"

Action = Literal["dispatch", "complete", "stop", "dead-letter", "cancel", "late", "gather"]
DecidedBy = Literal["rule", "sequence", "router", "model", "guard", "fallback", "retry", "operator"]


@dataclass(frozen=True)
class Decision:
    """What is done about one thing that must be settled. Times are milliseconds since 1970.

    subject     what it settles
    attempt     from 0; rises when a record was refused at read-back. The first record for (subject, attempt) wins
    event       the event that is decided about, its JSON text as it was read, so that a record can be acted on alone
    code        reason code of a `stop` or a `dead-letter`
    failed      agents that failed on this event; they are left out, but by a `retry`
    delay_ms    how long the dispatch waits before it is sent
    answer_count  how many answers the dispatch that is settled has
    inputs      ids of the inputs applied to the workflow since the record before
    elapsed_ms  age of the workflow
    cost        in the currency of the prices in the settings; None where they are not set
    """

    subject: Subject
    workflow_id: str
    event: str
    topic: str
    partition: int
    offset: int
    action: Action
    decided_by: DecidedBy
    reason: str
    at: int
    attempt: int = 0
    step: int = 0
    agents: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    code: str | None = None
    confidence: float | None = None
    failed: tuple[str, ...] = ()
    answer_count: int = 1
    inputs: tuple[str, ...] = ()
    elapsed_ms: int = 0
    model: str | None = None
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    latency_ms: float = 0.0
    registry_version: str = ""
    prompt_version: str = ""
    sql_version: str = ""
    delay_ms: int = 0
    version: int = VERSION
    kind: Literal["decision"] = "decision"

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    def parsed_event(self) -> Event:
        """The event; parsed once, however often it is asked for. Raises Rejected."""
        return self._parsed

    @cached_property
    def _parsed(self) -> Event:
        return Event.parse(self.event)

    def dispatch_id(self, agent: str) -> str:
        """The id of the dispatch that this record makes to one of its agents."""
        return ids.dispatch_id(str(self.subject), agent, self.attempt)

    @property
    def gather_id(self) -> str:
        """The id of the gather that this record opens, where it opens one."""
        return ids.gather_id(str(self.subject), self.attempt)

    def json(self) -> str:
        return strictjson.dumps(
            {item.name: getattr(self, item.name) for item in fields(self)} | {"subject": str(self.subject)}
        )


@dataclass(frozen=True)
class Fence:
    """A mark that a shard writes after a start. Once it is read back, all that was logged before is known."""

    shard: int
    nonce: str
    at: int
    version: int = VERSION
    kind: Literal["fence"] = "fence"

    def json(self) -> str:
        return strictjson.dumps(self)


Record = Decision | Fence

_TUPLES = frozenset(item.name for item in fields(Decision) if str(item.type).startswith("tuple"))
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "subject": str,
    "workflow_id": str,
    "event": str,
    "topic": str,
    "partition": int,
    "offset": int,
    "action": str,
    "decided_by": str,
    "reason": str,
    "at": int,
    "attempt": int,
    "agents": list,
    "answer_count": int,
}
_NUMBER = (int, float)
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "candidates": list,
    "code": (str, type(None)),
    "failed": list,
    "inputs": list,
    "elapsed_ms": int,
    "model": (str, type(None)),
    "model_calls": int,
    "prompt_tokens": int,
    "completion_tokens": int,
    "cost": (*_NUMBER, type(None)),
    "latency_ms": _NUMBER,
    "delay_ms": int,
}


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ACTIONS = frozenset(get_args(Action))
_DECIDERS = frozenset(get_args(DecidedBy))


def parse_record(raw: bytes | str) -> Record:
    """Read one record, of this version or of one that `MIGRATIONS` brings to it. Unknown fields are ignored.

    Raises ValueError with what is wrong.
    """
    value = strictjson.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("a ledger record is a JSON object")
    version = value.get("version")
    if isinstance(version, int) and version in MIGRATIONS:
        value = MIGRATIONS[version](value)
    if value.get("version") != VERSION:
        raise ValueError(f"the record has version {value.get('version')!r:.80}; this release reads {VERSION}")
    if value.get("kind") == "fence":
        return _fence(value)
    if value.get("kind") == "decision":
        return decision_from(value)
    raise ValueError(f"kind {value.get('kind')!r} is not one of decision, fence")


def _fence(value: dict[str, Any]) -> Fence:
    if type(value.get("shard")) is not int or not isinstance(value.get("nonce"), str):
        raise ValueError("a fence needs a shard and a nonce")
    if type(value.get("at")) is not int:
        raise ValueError("a fence needs the time at which it was written")
    return Fence(value["shard"], value["nonce"], value["at"])


def decision_from(value: dict[str, Any]) -> Decision:
    """A decision from its parsed object. Raises ValueError."""
    for name, expected in _REQUIRED.items():
        if not isinstance(value.get(name), expected) or isinstance(value.get(name), bool):
            raise ValueError(f"field {name!r} is missing or has the wrong type")
    for name, expected in _OPTIONAL.items():
        if name in value and (not isinstance(value[name], expected) or isinstance(value[name], bool)):
            raise ValueError(f"field {name!r} has the wrong type")
    if _CONTROL.search(value["subject"] + value["workflow_id"]):
        raise ValueError("subject and workflow_id hold a control character")
    if value["action"] not in _ACTIONS or value["decided_by"] not in _DECIDERS:
        raise ValueError("action or decided_by has an unknown value")
    for name in ("agents", "failed"):
        if not all(isinstance(item, str) for item in value.get(name, ())):
            raise ValueError(f"{name} must be a list of names")
    names = {item.name for item in fields(Decision)}
    arguments: dict[str, Any] = {
        name: tuple(item) if name in _TUPLES and isinstance(item, list) else item
        for name, item in value.items()
        if name in names
    }
    return Decision(**{**arguments, "subject": Subject.parse(value["subject"])})
