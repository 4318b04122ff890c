"""Which shard owns a workflow, and the key by which Flink knows the shard.

Flink sends key group `murmur(hash of key) % 128` to subtask `group * parallelism // 128`
(`KeyGroupRangeAssignment`). Keys 0, 1, 2, … fall on groups at random, so that one of four subtasks can be left without
a shard; the keys here are chosen so that the shards' groups stand at even distances.
"""

from __future__ import annotations

import zlib
from functools import cache

MAX_PARALLELISM = 128


def shard_of(workflow_id: str, shards: int) -> int:
    """The key of the shard, one of `shard_keys(shards)`, that owns a workflow."""
    return shard_keys(shards)[zlib.crc32(workflow_id.encode()) % shards]


@cache
def shard_keys(shards: int) -> tuple[int, ...]:
    """The key of each shard. Raises ValueError for more shards than key groups."""
    if not 1 <= shards <= MAX_PARALLELISM:
        raise ValueError(f"there are 1 to {MAX_PARALLELISM} shards, not {shards}")
    wanted = {shard * MAX_PARALLELISM // shards: shard for shard in range(shards)}
    keys: dict[int, int] = {}
    key = 0
    while len(keys) < shards:
        shard = wanted.get(key_group(key))
        if shard is not None:
            keys.setdefault(shard, key)
        key += 1
    return tuple(keys[shard] for shard in range(shards))


def key_group(key: int) -> int:
    """Flink's key group of a row with one integer: its hash is 62 + the integer, and `MathUtils.murmurHash` is
    MurmurHash3 of that one word."""
    code = _rotate((62 + key) * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
    code = (_rotate(code, 13) * 5 + 0xE6546B64) & _WORD
    code ^= 4
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        code = (code ^ code >> shift) * factor & _WORD
    signed = code - (1 << 32) if code >> 31 else code
    return (0 if signed == -(1 << 31) else abs(signed)) % MAX_PARALLELISM


_WORD = 0xFFFFFFFF


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD
