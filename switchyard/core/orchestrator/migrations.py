"""State of the release before: read, and brought to today's form.

A release that changes a form raises `STATE_VERSION` and adds a migration for each kind of value that changes, from the
version before to its own. It reads that one version and its own; what is older was written by a release whose successor
must run in between.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Literal

from switchyard.core import strictjson
from switchyard.core.errors import StateVersionError
from switchyard.core.orchestrator import state

Kind = Literal["workflow", "tombstone", "bucket", "timer", "queue entry", "usage"]
Migration = Callable[[dict[str, Any]], dict[str, Any]]


def _with_facts(value: dict[str, Any]) -> dict[str, Any]:
    """Version 5 keeps what is known by what it is about; in version 4 it stood in lists."""
    facts: dict[str, dict[str, Any]] = {}
    for subject, content in value.pop("seen").items():
        facts.setdefault(subject, {})["seen"] = content
    settled = value.pop("settled")
    for subject in settled:
        facts.setdefault(subject, {})["settled"] = True
        kind, _, answer = subject.partition("/")
        if kind == "dispatch":
            facts.setdefault(answer.rpartition("/")[0], {})["answered"] = True
    for subject, attempt in value.pop("refused", {}).items():
        facts.setdefault(subject, {})["refused"] = attempt
    for dispatch_id in value.pop("closed", []):
        facts.setdefault(dispatch_id, {})["over"] = "closed"
    for dispatch_id in [*value.pop("abandoned", []), *value.pop("sent", [])]:
        facts.setdefault(dispatch_id, {})["over"] = "abandoned"
    for effect_key in value.pop("approved", []):
        facts.setdefault(effect_key, {})["approved"] = value["life"]
    characters = sum(len(strictjson.dumps({key: fact})) for key, fact in facts.items())
    stored = {"count": 1, "characters": characters, "entries": facts}
    return {**value, "known": {"any_settled": bool(settled), "facts": stored}}


MIGRATIONS: dict[tuple[Kind, int], Migration] = {("workflow", 4): _with_facts, ("tombstone", 4): _with_facts}
"""By kind and the version that is read, to the next one. A kind without one keeps its form.

A timer is given as `{"timer": [kind, workflow id, target], "due": milliseconds}`.
"""

SEPARATOR = "\x1f"
"""Between an owner and the number of a bucket, in the key of its entry; no id has a control character."""

FIRST = 3
"""The first version that is text; what Flink kept before were bytes."""


def oldest() -> int:
    """The oldest version that this release reads."""
    return max(FIRST, state.STATE_VERSION - 1)


def readable(version: int) -> bool:
    """Whether this release goes on from state of a version."""
    return oldest() <= version <= state.STATE_VERSION


def check(kind: str, version: int) -> None:
    """Raises StateVersionError where this release does not read a version."""
    if not readable(version):
        raise StateVersionError(kind, version, oldest(), state.STATE_VERSION)


def stamped(value: dict[str, Any]) -> dict[str, Any]:
    """The value as it is stored: with the version of its form."""
    return {**value, "version": state.STATE_VERSION}


def upgraded(kind: Kind, value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a stored value in today's form, without their version. Raises StateVersionError."""
    version = value.pop("version", 0)
    check(kind, version)
    return _migrated(kind, value, version)


def upgrade(stored: state.ShardState, version: int) -> None:
    """Bring all that a shard keeps to today's form, so that none of it is left for the release after this one."""
    maps: dict[Kind, MutableMapping[str, str]] = {
        "workflow": stored.workflows,
        "tombstone": stored.tombstones,
        "queue entry": stored.queues,
        "usage": stored.usage,
    }
    for kind, texts in maps.items():
        for key, text in list(texts.items()):
            what: Kind = "bucket" if kind in ("workflow", "tombstone") and SEPARATOR in key else kind
            texts[key] = strictjson.dumps(stamped(upgraded(what, strictjson.loads(text))))
    for key, due in list(stored.timers.items()):
        timer = _migrated("timer", {"timer": strictjson.loads(key), "due": int(due)}, version)
        del stored.timers[key]
        stored.timers[strictjson.dumps(timer["timer"])] = str(timer["due"])


def _migrated(kind: Kind, value: dict[str, Any], version: int) -> dict[str, Any]:
    for step in range(version, state.STATE_VERSION):
        migration = MIGRATIONS.get((kind, step))
        value = value if migration is None else migration(value)
    return value
