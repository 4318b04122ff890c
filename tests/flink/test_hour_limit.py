"""The function behind `route_message` keeps the tokens of an hour, as far as one instance of it knows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from switchyard.core.app import App
from switchyard.core.job_config import JobConfig
from switchyard.core.ledger.record import Decision, decision_from
from switchyard.core.routing.question import LARGEST_ASK
from switchyard.core.settings import Settings
from switchyard.flink.routing_function import RouteMessage
from switchyard.flink.stateless_job import needs_state
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from tests.flink.support import copy_of, created


class Context:
    """What Flink hands to `open`."""

    def __init__(self, config: JobConfig) -> None:
        self._config = config.encode()

    def get_job_parameter(self, name: str, default: str) -> str:
        return self._config


def test_an_ask_beyond_the_tokens_of_the_hour_is_not_made(
    tmp_path: Path, scripted_model: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchyard.flink.routing_function._now", lambda: 1_800_000_000_000)
    app = copy_of("sdr", tmp_path / "sdr")
    agents = app.folder / "agents.yaml"
    agents.write_text(agents.read_text().replace("tokens_per_hour: 20000000", f"tokens_per_hour: {LARGEST_ASK}"))
    registry = App.load(str(app.folder)).registry
    assert needs_state(registry) is None
    choice = json.dumps({"agents": ["lead-ingestion"], "reason": "r", "confidence": 1})
    answer = {
        "choices": [{"message": {"content": choice}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": LARGEST_ASK, "completion_tokens": 1},
    }
    scripted_model.script(lambda call: Action(raw=json.dumps(answer)))
    route = RouteMessage()
    route.open(
        Context(
            JobConfig.of(
                registry,
                "sdr",
                Settings(shards=1),
                sql_version="",
                model_base_url=scripted_model.base_url,
                model="m",
                embedded=True,
            )
        )
    )

    async def decisions() -> list[Decision]:
        texts = [await route.eval(created(number), "agent-messages", 0, number, None) for number in range(2)]
        await route._client.aclose()
        return [decision_from(json.loads(text)) for text in texts]

    first, second = asyncio.run(decisions())
    assert (first.decided_by, first.prompt_tokens) == ("model", LARGEST_ASK)
    assert (second.decided_by, second.code, second.model_calls) == ("fallback", "no-usable-decision", 0)
    assert second.reason == f"hour-limit: limit of {LARGEST_ASK} tokens an hour reached"
    assert len(scripted_model.calls) == 1
