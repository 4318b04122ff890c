"""Whether a job can go on from the state of another one: what must not change between the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from switchyard.core.orchestrator import migrations, state
from switchyard.core.registry import Registry
from switchyard.core.topics import Topics, table_name

ORCHESTRATOR_UID = "switchyard-orchestrator"
_SOURCE = "switchyard-source-"
_INPUT = "_topic"
_ANEW = "or begin anew: stop the job with `switchyard stop`, then submit"


def source_uid(table: str) -> str:
    """The id of the Kafka source of a table, in every job and savepoint."""
    return f"{_SOURCE}{table}"


def restore_conflicts(before: Mapping[str, Any], registry: Registry, shards: int) -> list[str]:
    """Why state cannot be restored, one sentence for each reason: what has changed, and what to do.

    `before`: the fields of the JobConfig of the job that wrote the state; `registry` and `shards`: the new job's.
    """
    conflicts = []
    if before["shards"] != shards:
        conflicts.append(
            f"SWITCHYARD_SHARDS is {shards}, and the state has {before['shards']} shards, which is fixed for life; "
            f"set SWITCHYARD_SHARDS={before['shards']}, or choose another --namespace"
        )
    conflicts += _gone((item.topic for item in Registry.from_json(before["registry"]).file.inputs), registry)
    version = before.get("state_version", 1)
    if not migrations.readable(version):
        conflicts.append(
            f"the state has version {version}, and this release of Switchyard reads {migrations.oldest()} to "
            f"{state.STATE_VERSION}; submit with the release that wrote it, {_ANEW}"
        )
    return conflicts


def wrong_savepoint(names: Iterable[str], registry: Registry, namespace: str, stateless: bool) -> list[str]:
    """Why a savepoint or checkpoint is not one that this job can go on from, as far as the names in it tell.

    `names`: ids of operators and names of topics.
    """
    there = set(names)
    if source_uid("agent_messages") not in there:
        return ["it was written by no job of Switchyard"]
    if (ORCHESTRATOR_UID in there) == stateless:
        return [f"it was written by a job {'without' if stateless else 'with'} --stateless; submit this one so, too"]
    topics = [name for name in there if name.endswith(".agent-messages")]
    own = Topics(namespace).agent_messages
    if topics and own not in topics:
        return [f"it was written by a job that reads {', '.join(sorted(topics))}, and this one reads {own}"]
    inputs = {source_uid(table_name(item.topic)) + _INPUT for item in registry.file.inputs}
    sources = (name for name in there if name.startswith(_SOURCE) and name.endswith(_INPUT))
    gone = sorted(name.removeprefix(_SOURCE).removesuffix(_INPUT) for name in sources if name not in inputs)
    return _gone((name.replace("_", "-") for name in gone), registry)


def _gone(before: Iterable[str], registry: Registry) -> list[str]:
    there = {item.topic for item in registry.file.inputs}
    gone = [topic for topic in before if topic not in there]
    if not gone:
        return []
    return [
        f"agents.yaml no longer lists {', '.join(gone)} under inputs, and the state holds how far that was read; "
        f"put it back, {_ANEW}"
    ]
