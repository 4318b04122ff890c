"""The model endpoint is down, and comes back: what `status` tells, what goes on, what waits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from switchyard.core.job_config import job_name
from switchyard.flink.job_status import job_statuses
from switchyard.flink.rest import Flink, wait_for
from switchyard.local.info import StackInfo
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from tests.e2e.conftest import CommandLine
from tests.e2e.test_demo import copy_of_sdr
from tests.e2e.test_submit import send_leads, wait_for_decisions

pytestmark = pytest.mark.e2e

NAMESPACE = "outage"
RULED = 3
"""So many of the leads come from a webinar."""


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
