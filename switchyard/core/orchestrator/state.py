"""What a shard keeps."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field

STATE_VERSION = 5
"""Of every JSON value in the maps below; see `migrations`."""


@dataclass
class ShardState:
    """What survives a crash: five maps from text to JSON text, in Flink's keyed state or in memory.

    workflows   workflow id → running workflow; beside it, where that is much, the buckets of what it must not forget
    tombstones  the same of what stays of one that has ended
    timers      what must be done later → when
    queues      what waits for the fence, for room, or for the end of a pause
    usage       what is open and spent

    Only `timers` and `queues` are ever iterated over as a whole, at the start.
    """

    workflows: MutableMapping[str, str] = field(default_factory=dict)
    tombstones: MutableMapping[str, str] = field(default_factory=dict)
    timers: MutableMapping[str, str] = field(default_factory=dict)
    queues: MutableMapping[str, str] = field(default_factory=dict)
    usage: MutableMapping[str, str] = field(default_factory=dict)
