"""Runs the cases of an app: all of them on one job, side by side."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.control import Control
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.report import Report, silent
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.agents import CaseAgents
from switchyard.testing.cases import Case
from switchyard.testing.collecting import Collected, OutgoingRecord, parsed
from switchyard.testing.minicluster import MiniCluster
from switchyard.testing.outcome import Outcome
from switchyard.testing.script import ModelScript

BETWEEN_S = 0.4
SURPLUS_S = 0.7
STUCK_S = 1.0
QUIET_S = 4.0
USUAL_START_S = 8.0
"""Where the job takes longer to write first, all of the waits above are longer in proportion."""
ASKING_S = 90.0
START_S = 120.0
PROGRESS_S = 2.0


class JobStalled(SwitchyardError):
    """The job did not begin to work."""


@dataclass(frozen=True)
class CaseResults:
    """What came of all cases; `unmatched` is what belongs to none of them."""

    outcomes: list[Outcome]
    unmatched: list[str]

    @property
    def passed(self) -> bool:
        return not self.unmatched and not any(outcome.differences() for outcome in self.outcomes)


def run_cases(app: App, cases: Sequence[Case], report: Report = silent) -> CaseResults:
    """Start a job, run the cases on it, stop it. Raises SwitchyardError where that cannot be done."""
    with tempfile.TemporaryDirectory(prefix="switchyard-test-") as name:
        folder = Path(name)
        apps = folder / "apps.json"
        apps.write_text(strictjson.dumps({app.name: str(app.folder)}))
        script = ModelScript()
        with ScriptedServer(script, apps_file=apps) as server:
            report("starting Flink in this process (about ten seconds) ...")
            cluster = MiniCluster(app, folder / "topics", server.base_url)
            agents = CaseAgents(app, app.name, folder / "agents", server.base_url, cluster.settings.memory)
            try:
                with cluster as job:
                    return _Run(cases, job, script, agents, server, report).run()
            finally:
                agents.close()


class _Run:
    """The cases on one job.

    It ends when all is as expected, or nothing moved for `QUIET_S` (`ASKING_S` while a model is asked). The machine's
    slowness, which is 1 where a start takes no longer than usual, multiplies how long it waits.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        job: MiniCluster,
        script: ModelScript,
        agents: CaseAgents,
        server: ScriptedServer,
        report: Report,
    ) -> None:
        self._job, self._script, self._server, self._report = job, script, server, report
        results = {item.result for item in job.app.registry.file.gathers}
        self._collected = Collected(cases, script, agents, results)
        self._outcomes = self._collected.outcomes
        self._inputs = {workflow: deque(_inputs(item.case)) for workflow, item in self._outcomes.items()}
        self._outbox: deque[OutgoingRecord] = deque()
        self._moved: dict[str, float] = {}
        self._working: float | None = None
        self._slowness = 1.0
        self._latest = 0.0

    def run(self) -> CaseResults:
        begun = reported = time.monotonic()
        while not self._over(time.monotonic()):
            now = time.monotonic()
            self._send(now)
            for output in self._job.poll():
                if self._working is None:
                    self._working, self._slowness = now, max(1.0, (now - begun) / USUAL_START_S)
                outcome = self._collected.take(output)
                self._latest = time.monotonic()  # an agent of the app's own may have taken its time
                if outcome is not None:
                    self._moved[outcome.case.content.workflow] = self._latest
            if self._working is None and now - begun > START_S:
                raise JobStalled(f"the job wrote nothing within {START_S:.0f} s")
            if now - reported > PROGRESS_S:
                reported = now
                good = sum(not item.differences() for item in self._outcomes.values())
                self._report(f"  {now - begun:3.0f} s: {good} of {len(self._outcomes)} as expected so far")
            time.sleep(0.01)
        return CaseResults(list(self._outcomes.values()), self._collected.unmatched)

    def _over(self, now: float) -> bool:
        if self._working is None or self._outbox or any(self._inputs.values()):
            return False
        if len(self._server.calls) > self._server.counts.total and now - self._latest < ASKING_S:
            return False
        good = not any(item.differences() for item in self._outcomes.values())
        return now - self._latest > self._slowness * (SURPLUS_S if good else QUIET_S)

    def _send(self, now: float) -> None:
        """Each case's next input when the one before has come to rest; events alike of two cases one by one."""
        for workflow, inputs in self._inputs.items():
            if inputs and self._at_rest(workflow, now):
                topic, raw = inputs.popleft()
                self._moved[workflow] = self._latest = now
                event = parsed(raw) if topic == "agent-messages" else None
                onward = OutgoingRecord(self._outcomes[workflow], event, raw, None)
                if event is None:
                    self._write(onward, topic)
                else:
                    self._outbox.append(onward)
        self._outbox += self._collected.onward
        self._collected.onward.clear()
        stuck = self._working is not None and now - self._latest > self._slowness * STUCK_S
        for _ in range(len(self._outbox)):
            onward = self._outbox.popleft()
            if self._may_go(onward) or stuck:
                self._latest = now
                self._write(onward, "agent-messages")
            else:
                self._outbox.append(onward)

    def _at_rest(self, workflow: str, now: float) -> bool:
        if workflow not in self._moved:
            return True
        if self._working is None:
            return False
        return now - max(self._working, self._moved[workflow]) > self._slowness * BETWEEN_S

    def _may_go(self, onward: OutgoingRecord) -> bool:
        """A failure is an occasion to decide anew about the event that its agent was given."""
        event = onward.event
        if event is None or onward.outcome is None:
            return True
        if event.type == FAILED_TYPE:
            event = self._collected.dispatched.get(event.causation_id or "", event)
        return self._script.claim(onward.outcome.case, event)

    def _write(self, onward: OutgoingRecord, topic: str) -> None:
        raw, key = onward.raw, onward.key
        request = _in_the_middle(self._job.app, onward.event)
        if request is not None:
            topic, ((key, raw),) = "control", request.records(self._job.settings.shards)
        offset = self._job.publish(topic, raw, key)
        if onward.outcome is not None:
            self._collected.came_from(f"{self._job.namespace}.{topic}", offset, onward.outcome)


def _inputs(case: Case) -> list[tuple[str, bytes]]:
    content = case.content
    inputs: list[tuple[str, bytes]] = []
    if content.input is not None:
        inputs += [(content.input.topic, _line(line)) for line in content.input.lines]
    for number, event in enumerate(content.events, 1):
        if isinstance(event, dict):
            base: dict[str, object] = {"specversion": "1.0", "id": f"{content.workflow}-{number}", "source": "tests"}
            event = {**base, "workflowid": content.workflow, **event}
        inputs.append(("agent-messages", _line(event)))
    return inputs


def _in_the_middle(app: App, event: Event | None) -> Control | None:
    """A case may begin in the middle of a workflow, which only an operator may."""
    if event is None or event.causation_id is not None or event.type in app.registry.file.starts:
        return None
    if event.type not in app.registry.contracts:
        return None
    again = event.again("tests/0/0", event.data)
    return Control.new("retry", "tests", "", "tests", workflow_id=event.workflow_id, event=again.object())


def _line(value: str | dict[str, object]) -> bytes:
    return (value if isinstance(value, str) else strictjson.dumps(value)).encode()
