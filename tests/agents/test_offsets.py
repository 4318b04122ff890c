from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from switchyard.worker.offsets import Offsets


@given(st.sets(st.integers(0, 60), min_size=1), st.randoms())
def test_nothing_unfinished_is_ever_committed(read: set[int], random: object) -> None:
    offsets = Offsets()
    order = sorted(read)
    for offset in order:
        offsets.begin(offset)
    left = set(read)
    random.shuffle(order)  # type: ignore[attr-defined]
    for offset in order:
        offsets.finish(offset)
        left.remove(offset)
        ready = offsets.ready
        if ready is not None:
            assert all(other >= ready for other in left)
            offsets.committed(ready)
    assert offsets.ready is None


def test_all_finished_is_one_past_the_last() -> None:
    offsets = Offsets()
    offsets.begin(4)
    offsets.begin(5)
    offsets.finish(5)
    assert offsets.ready == 4
    offsets.finish(4)
    assert offsets.ready == 6
