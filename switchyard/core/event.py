"""CloudEvents 1.0 in structured JSON mode."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

from switchyard.core import strictjson
from switchyard.core.errors import Rejected
from switchyard.core.ids import content_hash, effect_key, event_key
from switchyard.core.times import rfc3339_now

MAX_ID_LENGTH = 256
LARGEST_INTEGER = 2**31 - 1
"""Of CloudEvents attributes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OF_ANSWER = ("causationid", "hops", "answerindex", "answercount", "prompttokens", "completiontokens")
_OF_DISPATCH = frozenset((*_OF_ANSWER, "dispatchid", "effectkey", "attempt", "capability"))
_NAMED = ("id", "source", "type", "workflowid")
_CAPPED = (*_NAMED, "causationid")
_INTEGERS = {"hops": 0, "answerindex": 0, "answercount": 1, "retry": 0, "prompttokens": 0, "completiontokens": 0}
"""Attributes that are integers, and the least of each."""


@dataclass(frozen=True)
class Event:
    """A CloudEvent: context attributes, unknown ones included, and `data`, any JSON value. Times stay as written."""

    attributes: Mapping[str, Any]
    data: Any

    @property
    def id(self) -> str:
        """Unique among the events of its source."""
        return str(self.attributes["id"])

    @property
    def source(self) -> str:
        """Who made it, a URI reference."""
        return str(self.attributes["source"])

    @property
    def type(self) -> str:
        """What happened; the contract of `data` has this name."""
        return str(self.attributes["type"])

    @property
    def workflow_id(self) -> str:
        """The workflow it belongs to."""
        return str(self.attributes["workflowid"])

    @property
    def causation_id(self) -> str | None:
        """The dispatch this event answers; None for one that came from outside."""
        return self.attributes.get("causationid")

    @property
    def hops(self) -> int:
        """How many dispatches led to it, one after the other; 0 for one that came from outside."""
        return int(self.attributes.get("hops", 0))

    @property
    def answer_index(self) -> int:
        """Which of the answers to its dispatch it is, from 0."""
        return int(self.attributes.get("answerindex", 0))

    @property
    def answer_count(self) -> int:
        """How many answers to its dispatch there are."""
        return int(self.attributes.get("answercount", 1))

    @property
    def retry(self) -> int:
        """How often this event was taken out of the dead letters and sent again."""
        return int(self.attributes.get("retry", 0))

    @property
    def key(self) -> str:
        """A hash of source, id and retry: two readings of one event have the same."""
        return event_key(self.source, self.id, self.retry)

    def effect_key(self, agent: str) -> str:
        """The same for every attempt at giving this event, as long as its data is the same, to this agent."""
        return effect_key(self.workflow_id, self.source, self.id, agent, self.content_hash)

    @cached_property
    def content_hash(self) -> str:
        """Stands for type and data: whoever approves an event approves this."""
        return content_hash(self.type, strictjson.canonical(self.data).decode())

    def again(self, dead_letter: str, data: Any) -> Event:
        """This event's next retry, a branch of its own. `dead_letter` says where: `topic/partition/offset`."""
        kept = {name: value for name, value in self.attributes.items() if name not in _OF_DISPATCH}
        return Event({**kept, "retry": self.retry + 1, "deadletter": dead_letter}, data)

    @classmethod
    def new(cls, *, id: str, source: str, type: str, workflow_id: str, data: Any, **attributes: Any) -> Event:
        """An event of our own. `attributes` are further context attributes; None leaves one out."""
        base: dict[str, Any] = {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": type,
            "time": rfc3339_now(),
            "datacontenttype": "application/json",
            "workflowid": workflow_id,
        }
        base.update({name: value for name, value in attributes.items() if value is not None})
        return cls(base, data)

    @classmethod
    def parse(cls, raw: bytes | str) -> Event:
        """Read structured JSON.

        Raises Rejected: `not-json`, or `not-a-cloudevent` with the attribute that is wrong.
        """
        try:
            value = strictjson.loads_foreign(raw)
        except ValueError as error:
            raise Rejected("not-json", f"the value is not JSON ({error})") from None
        return cls.from_object(value)

    @classmethod
    def from_object(cls, value: Any) -> Event:
        """As `parse`, from the parsed JSON object."""
        if not isinstance(value, dict):
            raise Rejected("not-a-cloudevent", f"expected a JSON object, found {json_type(value)}")
        attributes = {name: item for name, item in value.items() if name != "data"}
        _check(attributes)
        return cls(attributes, value.get("data"))

    @classmethod
    def trusted(cls, text: bytes | str) -> Event:
        """Load an event whose text was checked by `parse` before, here or in the function that reads a topic.

        Raises Rejected where it cannot have been.
        """
        try:
            attributes = strictjson.loads(text)
        except ValueError:
            attributes = None
        if not isinstance(attributes, dict) or not all(_is_text(attributes.get(name)) for name in _NAMED):
            raise Rejected("not-a-cloudevent", "what is handed on as an event is none")
        data = attributes.pop("data", None)
        _check_answer(attributes)
        return cls(attributes, data)

    def object(self) -> dict[str, Any]:
        """Return it as a JSON object, as structured CloudEvents are written."""
        return {**self.attributes, "data": self.data}

    def json(self) -> str:
        """Return `object()` as JSON text."""
        return strictjson.dumps(self.object())

    def with_attributes(self, **attributes: Any) -> Event:
        """Return the same event with these context attributes put in or changed."""
        return Event({**self.attributes, **attributes}, self.data)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def json_type(value: Any) -> str:
    """The JSON name of a parsed value's type, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "integer", float: "number", list: "array", dict: "object"}[type(value)]


def _check(attributes: dict[str, Any]) -> None:
    missing = [name for name in ("specversion", "id", "source", "type") if name not in attributes]
    if missing:
        raise _broken(missing[0], "required attribute is missing")
    if "data_base64" in attributes:
        raise _broken("data_base64", "binary data is not accepted; put JSON into 'data'")
    for name, value in attributes.items():
        if not isinstance(value, str | int | bool):
            raise _broken(name, f"expected a string, integer or boolean, found {json_type(value)}")
    typed: dict[str, Any] = {"time": datetime.now(UTC), **attributes}
    if "time" in attributes:
        typed["time"] = _time(attributes["time"])
    try:
        CloudEvent(typed)
    except CloudEventValidationError as error:
        name, problems = next(iter(error.errors.items()))
        raise _broken(name, str(problems[0])) from None
    workflow = attributes.get("workflowid")
    if not isinstance(workflow, str) or not workflow:
        raise _broken("workflowid", "extension attribute is missing; it names the workflow, as a string")
    _check_answer(attributes)
    for name in _CAPPED:
        value = attributes.get(name, "")
        if len(value) > MAX_ID_LENGTH:
            raise _broken(name, f"longer than {MAX_ID_LENGTH} characters")
        if _CONTROL.search(value):
            raise _broken(name, "holds a control character, which CloudEvents does not allow")


def _check_answer(attributes: dict[str, Any]) -> None:
    if not isinstance(attributes.get("causationid", ""), str):
        raise _broken("causationid", "expected a string")
    for name, low in _INTEGERS.items():
        value = attributes.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= LARGEST_INTEGER:
            raise _broken(name, f"expected an integer from {low}")
    if attributes.get("answerindex", 0) >= attributes.get("answercount", 1):
        raise _broken("answerindex", "expected less than answercount")


def _time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _broken("time", "expected an RFC 3339 time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise _broken("time", "the time has no zone; end it with Z or an offset")
    return moment


def _broken(field: str, message: str) -> Rejected:
    return Rejected("not-a-cloudevent", message, field)
