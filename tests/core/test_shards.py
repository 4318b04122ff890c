from __future__ import annotations

import zlib
from collections import Counter

import pytest

from switchyard.core.shards import MAX_PARALLELISM, key_group, shard_keys, shard_of


@pytest.mark.parametrize("shards", [1, 5, 16, 64, 128])
@pytest.mark.parametrize("parallelism", [1, 2, 3, 4, 8])
def test_shards_spread_evenly_over_subtasks(shards: int, parallelism: int) -> None:
    keys = shard_keys(shards)
    assert len(set(keys)) == shards
    subtasks = Counter(key_group(key) * parallelism // MAX_PARALLELISM for key in keys)
    counts = [subtasks[number] for number in range(parallelism)]
    assert max(counts) - min(counts) <= 1


def test_a_workflow_keeps_its_shard() -> None:
    assert shard_of("lead-1", 16) == shard_keys(16)[zlib.crc32(b"lead-1") % 16]
    assert {shard_of(f"lead-{n}", 16) for n in range(500)} == set(shard_keys(16))


@pytest.mark.flink
def test_key_groups_are_flinks_own() -> None:
    from pyflink.java_gateway import get_gateway

    jvm = get_gateway().jvm
    assign = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment.assignToKeyGroup
    row = jvm.org.apache.flink.types.Row
    for key in (*shard_keys(16), 0, 1, 7, 12345):
        j_row = row(1)
        j_row.setField(0, key)
        assert assign(j_row, MAX_PARALLELISM) == key_group(key)
