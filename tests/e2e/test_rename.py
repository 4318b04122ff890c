"""Agents get other names in the middle of 50 workflows: all end, and nothing is done twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.ledger.effective import effective as effective_records
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection
from switchyard.local.info import StackInfo
from switchyard.local.model_server import behaviour
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.local.stack import Stack
from tests.agents.support import leads
from tests.e2e.conftest import CommandLine, until
from tests.e2e.test_demo import copy_of_sdr
from tests.e2e.test_recovery import say
from tests.e2e.test_submit import cancel, wait_for_decisions
from tests.recovery.evidence import SCHEDULED, Evidence, lost, repeated
from tests.recovery.reader import EvidenceReader

pytestmark = [pytest.mark.recovery, pytest.mark.e2e]

TOPICS = Topics("renamed")
RENAMED = {"lead-scoring": "lead-rating", "active-outreach": "first-contact", "send-email": "email-sender"}
RULE = "WHEN type = 'emails.drafted' THEN ARRAY['send-email']\n    WHEN FALSE"
DEADLINE = "    deadline: 30\n"


def two_releases(folder: Path) -> tuple[Path, Path]:
    """The sdr app with a rule, before and after its agents got other names; what is stranded waits for 30 s."""
    old, new = copy_of_sdr(folder / "old"), copy_of_sdr(folder / "new")
    for requests in (old / "sql" / "requests.sql", new / "sql" / "requests.sql"):
        requests.write_text(requests.read_text().replace("WHEN FALSE", RULE))
    named = (old / "agents.yaml").read_text()
    (old / "agents.yaml").write_text(re.sub(rf"(  - name: ({'|'.join(RENAMED)})\n)", rf"\1{DEADLINE}", named))
    for file in (new / "agents.yaml", new / "handlers.py", new / "offline.py", new / "sql" / "requests.sql"):
        text = file.read_text()
        for before, after in RENAMED.items():
            text = text.replace(before, after).replace(f"def {_function(before)}(", f"def {_function(after)}(")
        file.write_text(text)
    return old, new


def test_agents_are_renamed_in_the_middle_of_fifty_workflows(
    request: pytest.FixtureRequest, stack: Stack, info: StackInfo, home: Path, tmp_path: Path
) -> None:
    if not request.config.getoption("--full-recovery") or request.config.getoption("--kill"):
        pytest.skip("part of `make test-recovery`: two submissions and what waits for a deadline take minutes")
    old, new = two_releases(tmp_path)
    known = list({lead["lead_id"]: lead for lead in leads()}.values())
    workflows = [f"lead-{number}" for number in range(50)]
    sent = [{**known[number % len(known)], "lead_id": name} for number, name in enumerate(workflows)]
    cluster = Cluster(KafkaConnection(info.kafka))
    with ScriptedServer(behaviour.slow(0.5, 0.5, 1), apps_file=stack.layout.apps_file) as server:
        environment = {
            "OPENAI_BASE_URL": server.base_url,
            "SWITCHYARD_MODEL": "scripted",
            "SDR_DAY_SECONDS": "0.05",
        }
        command = CommandLine(home, **environment)
        command.run("submit", str(old), "--namespace", TOPICS.namespace)
        stack.add_app(old, TOPICS.namespace, environment)
        cluster.send(TOPICS.named("incoming-leads"), [(None, strictjson.dumps(lead).encode()) for lead in sent])
        wait_for_decisions(info, TOPICS.namespace, 90)
        stack.remove_app(TOPICS.namespace)
        said = command.run("submit", str(new), "--namespace", TOPICS.namespace)
        assert "agent lead-scoring is gone: what waits for it is decided anew" in said
        stack.add_app(new, TOPICS.namespace, environment)
        reader = EvidenceReader(cluster, TOPICS, [*agents(old), *RENAMED.values()], info.mail_folder)

        def over() -> bool:
            reader.look()
            return not lost(reader.evidence, workflows)

        until(over, 120)
        reader.look_again()
        reader.close()
        cancel(info, TOPICS.namespace)
        stack.remove_app(TOPICS.namespace)
    stranded = check(reader.evidence, workflows)
    say(f"RENAMED three of five agents: lost 0, repeated 0 ({stranded} dispatches were stranded)")


def check(evidence: Evidence, workflows: list[str]) -> int:
    """How many dispatches had nobody left to answer them; all that is wrong fails."""
    told = {item.workflow_id: item.status for item in evidence.statuses}
    assert {told[name] for name in workflows} == {"completed"}
    effective = effective_records(evidence.records)
    gone = [record for record in effective if record.subject.kind == "timeout"]
    assert gone
    assert {agent for record in gone for agent in record.failed} <= set(RENAMED)
    refused = {
        str(record.subject) for record in evidence.records if record.attempt == 0 and set(record.agents) & set(RENAMED)
    }
    twice = [item for item in repeated(evidence) if not ("settled again" in item and item.split()[0] in refused)]
    assert twice == []
    campaigns = Counter(record.workflow_id for record in effective if record.parsed_event().type == SCHEDULED)
    assert set(campaigns.values()) == {1}
    return len(gone)


def agents(release: Path) -> list[str]:
    return list(App.load(str(release)).registry.agents)


def _function(agent: str) -> str:
    return agent.replace("-", "_")
