"""The model endpoint is down, and comes back: what `status` tells, what goes on, what waits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from switchyard.core.job_config import job_name
from switchyard.core.topics import Topics
from switchyard.flink.job_status import job_statuses
from switchyard.flink.rest import Flink, wait_for
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from tests.e2e.conftest import CommandLine
from tests.e2e.test_demo import copy_of_sdr
from tests.e2e.test_submit import send_leads, wait_for_decisions
from tests.flink.support import created

pytestmark = pytest.mark.e2e

NAMESPACE = "outage"
RULED = 3
"""So many of the leads come from a webinar."""
FLOOD, FLOODED_BYTES = 4_000, 2 * 1024 * 1024


def test_while_the_model_is_down_rules_go_on_and_decisions_wait(
    command: CommandLine, info: StackInfo, tmp_path: Path
) -> None:
    folder = copy_of_sdr(tmp_path / "app")
    requests = folder / "sql" / "requests.sql"
    rule = "WHEN type = 'lead.created' AND JSON_VALUE(data, '$.source') = 'webinar' THEN ARRAY['lead-ingestion']"
    requests.write_text(requests.read_text().replace("WHEN FALSE THEN ARRAY['']", rule))
    with ScriptedServer(lambda call: Action(status=503)) as server:
        model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none", "SWITCHYARD_MODEL": "of-the-test"}
        CommandLine(command.home, **model).run("submit", str(folder), "--namespace", NAMESPACE)
        send_leads(command, NAMESPACE)
        flink = Flink(info.flink)
        wait_for(lambda: [item for item in job_statuses(flink) if item.model_circuit_open] or None, 60, "still closed")
        (line,) = [item for item in command.objects("status") if item.get("namespace") == NAMESPACE]
        assert line["model_circuit"].startswith("open: the model endpoint does not answer; ")
        assert (line["state"], line["health"]) == ("RUNNING", "healthy")
        assert {item.decided_by for item in wait_for_decisions(info, NAMESPACE, RULED)} == {"rule"}
        # One call of each lead, all at once, and one in each pause.
        assert len(server.calls) < 40

        server.script([])
        found = wait_for_decisions(info, NAMESPACE, 25)
        assert Counter(item.decided_by for item in found) == {"rule": RULED, "model": 25 - RULED}
    for job in flink.jobs(job_name(NAMESPACE)):
        flink.cancel(job.id)


def test_a_flood_while_the_model_is_down_is_kept_as_dead_letters(
    command: CommandLine, info: StackInfo, tmp_path: Path
) -> None:
    folder, namespace = copy_of_sdr(tmp_path / "app"), "flood"
    agents = folder / "agents.yaml"
    text = agents.read_text()
    assert "limits: {tokens_per_hour: 20000000}" in text
    agents.write_text(text.replace("tokens_per_hour: 20000000", f"state_bytes: {FLOODED_BYTES}"))
    flink, cluster, topics = Flink(info.flink), Cluster(KafkaConnection(info.kafka)), Topics(namespace)
    with ScriptedServer(lambda call: Action(status=503)) as server:
        model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none", "SWITCHYARD_MODEL": "of-the-test"}
        CommandLine(command.home, **model).run("submit", str(folder), "--namespace", namespace)
        (job,) = flink.jobs(job_name(namespace))
        cluster.send(topics.agent_messages, [(f"lead-{number}".encode(), created(number)) for number in range(FLOOD)])

        def listed(*what: str) -> list[dict[str, Any]]:
            return command.objects(*what, "--app", str(folder), "--namespace", namespace)

        wait_for(
            lambda: len(listed("workflows")) + len(listed("dead-letters", "list")) == FLOOD or None,
            300,
            "not all that was sent is kept",
        )
        letters = listed("dead-letters", "list")
        assert {item["reason"] for item in letters} == {"overloaded"}
        assert {item["status"] for item in listed("workflows")} == {"running"}
        gauge = "orchestrator.state_bytes"
        size = wait_for(lambda: flink.gauges(job.id, [gauge]).get(gauge, {}).get("sum"), 120, "no metric")
        assert size < 1.2 * FLOODED_BYTES
        kept = FLOOD - len(letters)
        server.script([])
        assert len(wait_for_decisions(info, namespace, kept)) == kept
    flink.cancel(job.id)
