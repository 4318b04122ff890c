"""Records of the ledger: decisions, and the fences that mark how far a shard has read it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, Strict, ValidationError

from switchyard.core import ids, strictjson
from switchyard.core.agents_file import Gather
from switchyard.core.deadletter import Position
from switchyard.core.errors import LedgerVersionError, Rejected
from switchyard.core.event import Event
from switchyard.core.fields import (
    LATEST,
    Amount,
    Count,
    Id,
    Millis,
    Name,
    Names,
    Offset,
    Partition,
    Share,
    Text,
    reader,
)
from switchyard.core.ledger.subject import Subject

VERSION = 2
"""Of every record. A release that changes a record's form, or adds an action, raises it and adds a migration."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By the version that is read, to the next one: records stay in the ledger for as long as its topic keeps them."""

LONGEST_REASON = 8_192
"""Characters of a record's reason."""

OUT_OF_ORDER = "out-of-order"

Action = Literal["dispatch", "complete", "stop", "dead-letter", "cancel", "late", "gather"]
DecidedBy = Literal["rule", "sequence", "router", "model", "guard", "fallback", "retry", "operator"]


def _policy(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None:
        Gather.model_validate(value)
    return value


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
    dispatch_limit, sequence  what the count and the order of dispatches were judged by; None in records before these
    gather      the policy of the gather that it opens, as `agents.yaml` had it; None where it opens none
    cost        in the currency of the prices in the settings; None where they are not set
    """

    subject: Annotated[Subject, PlainValidator(Subject.parse)]
    workflow_id: Id
    event: Text
    topic: Name
    partition: Partition
    offset: Offset
    action: Action
    decided_by: DecidedBy
    reason: Annotated[Text, Field(max_length=LONGEST_REASON)]
    at: Millis
    attempt: Count = 0
    step: Count = 0
    agents: Names = ()
    candidates: Names = ()
    code: Name | None = None
    confidence: Share | None = None
    failed: Names = ()
    answer_count: Annotated[Count, Field(ge=1)] = 1
    inputs: Names = ()
    elapsed_ms: Annotated[int, Strict(), Field(ge=-LATEST, le=LATEST)] = 0
    model: Name | None = None
    model_calls: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost: Amount | None = None
    latency_ms: Amount = 0.0
    registry_version: Name = ""
    prompt_version: Name = ""
    sql_version: Name = ""
    delay_ms: Millis = 0
    dispatch_limit: Count | None = None
    sequence: Names | None = None
    gather: Annotated[dict[str, Any] | None, AfterValidator(_policy)] = None
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

    @property
    def began(self) -> int:
        """When its workflow, or this life of it, began: milliseconds since 1970."""
        return self.at - self.elapsed_ms

    @property
    def request(self) -> str | None:
        """The id of the operator's request to cancel that it carries out; None where it is about anything else."""
        if self.action != "cancel":
            return None
        try:
            return self.parsed_event().id
        except Rejected:
            return None

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
    """A mark that a shard writes after a start. Once it is read back, all that was logged before is known.

    `shards` is how many there are, for the life of the ledger; releases before did not say.
    """

    shard: Count
    nonce: Name
    at: Millis
    shards: Annotated[Count, Field(ge=1)] | None = None
    version: int = VERSION
    kind: Literal["fence"] = "fence"

    def json(self) -> str:
        return strictjson.dumps(self)


Record = Decision | Fence

_decision = reader(Decision)
_fence = reader(Fence)
_WORDS = {"action", "decided_by"}
"""Fields with one of a few values, to which a newer release may add."""
_WORD = re.compile(r"[a-z][a-z-]{0,40}")


def parse_record(raw: bytes | str) -> Record:
    """Read one record, of this version or of one that `MIGRATIONS` brings to it. Unknown fields are ignored.

    Raises ValueError with what is wrong, LedgerVersionError where it is a record that another release wrote: what it
    settles must not be decided anew.
    """
    value = _migrated(strictjson.loads_foreign(raw))
    kind = value.get("kind")
    if kind == "fence":
        return _fence(value)
    if kind == "decision":
        return decision_from(value)
    raise ValueError(f"kind {kind!r:.80} is not one of decision, fence")


def decision_from(value: dict[str, Any]) -> Decision:
    """A decision from its parsed object. Raises as `parse_record`."""
    try:
        record = _decision(value)
    except ValueError as error:
        unknown = _unknown_words(error.__cause__, value)
        if unknown:
            raise LedgerVersionError(f"the {unknown[0]} {value[unknown[0]]!r}", VERSION) from None
        raise
    if not 0 <= record.began <= LATEST:
        raise ValueError("field 'elapsed_ms': it began at no possible time")
    return record


def _migrated(value: Any) -> dict[str, Any]:
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is not int or version < 1 or not isinstance(value.get("kind"), str):
        raise ValueError(f"a ledger record is a JSON object with a kind and a version, such as {VERSION}")
    while version < VERSION and version in MIGRATIONS:
        try:
            value = {**MIGRATIONS[version](value), "version": version + 1}
        except (LookupError, TypeError, AttributeError):
            raise ValueError(f"it is no record of version {version}") from None
        version += 1
    if version != VERSION:
        raise LedgerVersionError(f"version {version}", VERSION)
    return dict(value)


def _unknown_words(error: BaseException | None, value: dict[str, Any]) -> list[str]:
    """The fields whose value this release does not know, where nothing else is wrong with a record."""
    wrong = {str(item["loc"][0]) for item in error.errors()} if isinstance(error, ValidationError) else set()
    known = wrong <= _WORDS and all(isinstance(value.get(name), str) and _WORD.fullmatch(value[name]) for name in wrong)
    return sorted(wrong) if known else []
