"""Which state a job can go on from: each refusal says what has changed and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from switchyard.core.job_config import JobConfig
from switchyard.core.restore import ORCHESTRATOR_UID, restore_conflicts, source_uid, wrong_savepoint
from switchyard.environment import read_settings
from tests.core.toy import registry

INPUT = {"topic": "incoming-tickets", "type": "ticket.opened"}
WITH_INPUT = registry(inputs=[INPUT])
NAMES = [
    ORCHESTRATOR_UID,
    "toy.agent-messages",
    *(source_uid(table) for table in ("agent_messages", "routing_decisions", "incoming_tickets_topic")),
]


def fields(**changes: Any) -> dict[str, Any]:
    config = JobConfig.of(
        WITH_INPUT,
        "toy",
        read_settings(shards=16),
        sql_version="1",
        model_base_url="http://127.0.0.1:1/v1",
        model="m",
        embedded=True,
    )
    return {**JobConfig.fields(config.encode()), **changes}


def test_what_may_change() -> None:
    other = registry(inputs=[INPUT, {"topic": "more", "type": "ticket.opened"}])
    assert restore_conflicts(fields(sql_version="2", of_another_release=1), other, 16) == []
    assert wrong_savepoint(NAMES, other, "toy", stateless=False) == []


def test_the_number_of_shards_stays() -> None:
    (sentence,) = restore_conflicts(fields(), WITH_INPUT, 8)
    assert "SWITCHYARD_SHARDS is 8, and the state has 16 shards" in sentence
    assert "set SWITCHYARD_SHARDS=16" in sentence


def test_an_input_that_was_read_stays() -> None:
    (sentence,) = restore_conflicts(fields(), registry(), 16)
    assert "no longer lists incoming-tickets under inputs" in sentence
    assert "put it back" in sentence
    assert wrong_savepoint(NAMES, registry(), "toy", stateless=False) == [sentence]


def test_the_form_of_the_state_stays() -> None:
    (sentence,) = restore_conflicts(fields(state_version=99), WITH_INPUT, 16)
    assert "the state has version 99" in sentence
    assert "submit with the release that wrote it" in sentence


@pytest.mark.parametrize(
    ("names", "namespace", "stateless", "sentence"),
    [
        (["another"], "toy", False, "written by no job of Switchyard"),
        (NAMES, "toy", True, "a job without --stateless"),
        (NAMES[1:], "toy", False, "a job with --stateless"),
        (NAMES, "other", False, "reads toy.agent-messages, and this one reads other.agent-messages"),
    ],
)
def test_the_state_of_another_job_is_refused(names: list[str], namespace: str, stateless: bool, sentence: str) -> None:
    (found,) = wrong_savepoint(names, WITH_INPUT, namespace, stateless)
    assert sentence in found
