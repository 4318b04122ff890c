"""Control events: what is built can be read, and nothing else."""

from __future__ import annotations

import json

import pytest

from switchyard.core.control import Control
from switchyard.core.errors import Rejected
from switchyard.core.shards import shard_keys, shard_of

SHARDS = 4


def test_a_request_about_a_workflow_goes_to_its_shard_and_is_read_there() -> None:
    control = Control.new("reject", "tests", "too dear", "ada", workflow_id="w1", approval="d1", content="c1")
    ((key, value),) = control.records(SHARDS)
    assert int(key) == shard_of("w1", SHARDS)
    assert Control.parse(value, int(key), SHARDS) == control
    assert (control.reason, control.by, control.approval, control.content) == ("too dear", "ada", "d1", "c1")


def test_a_request_about_an_app_goes_to_every_shard() -> None:
    records = Control.new("pause", "tests", "", "ada").records(SHARDS)
    assert [int(key) for key, _ in records] == list(shard_keys(SHARDS))
    assert len({Control.parse(value, int(key), SHARDS).event.id for key, value in records}) == 1


def test_on_another_shard_it_is_refused() -> None:
    ((key, value),) = Control.new("cancel", "tests", "", "ada", workflow_id="w1").records(SHARDS)
    other = next(number for number in shard_keys(SHARDS) if number != int(key))
    with pytest.raises(Rejected, match="wrong-shard"):
        Control.parse(value, other, SHARDS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "control.explode"}, "type"),
        ({"type": "workflow.completed"}, "type"),
        ({"type": "control.pause"}, "workflowid"),
        ({"data": None}, "data"),
        ({"data": {"reason": ""}}, "data"),
        ({"data": {"reason": "", "by": "ada", "more": 1}}, "data"),
        ({"data": {"reason": 7, "by": "ada"}}, "data.reason"),
        ({"data": {"reason": "", "by": "a" * 101}}, "data.by"),
    ],
)
def test_what_is_no_control_event_is_refused_with_its_field(changes: dict[str, object], field: str) -> None:
    ((key, value),) = Control.new("cancel", "tests", "", "ada", workflow_id="w1").records(SHARDS)
    with pytest.raises(Rejected) as refused:
        Control.parse(json.dumps({**json.loads(value), **changes}), int(key), SHARDS)
    assert (refused.value.reason, refused.value.field) == ("not-a-control-event", field)
