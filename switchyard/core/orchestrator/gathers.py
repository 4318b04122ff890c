"""Gathers: several agents' answers to one event, put into one (ADR 6)."""

from __future__ import annotations

from switchyard.core.deadletter import Position
from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.messages import Publish
from switchyard.core.orchestrator.pending import LOG_AGAIN_MS, PendingDecisions
from switchyard.core.orchestrator.workflow import OpenGather, PendingDecision
from switchyard.core.registry import Gather, Registry
from switchyard.core.routing.consensus import AgentAnswer, gathered, is_met
from switchyard.core.routing.deciding import Verdict

MISSING = "missing"
INCOMPLETE = "gather-incomplete"


def verdict_in_branch(registry: Registry, waiting: PendingDecision, event: Event) -> Verdict | None:
    """What becomes of something in a branch of a gather; None where the branch goes on."""
    if waiting.branch is None:
        return None
    member = waiting.branch[1]
    if waiting.failed:
        failure = waiting.failed[-1]
        reason = f"{failure['agent']} failed: {failure['reason']}: {failure['message']}"
        return Verdict("gather", "guard", reason, code=MISSING)
    if waiting.rule is not None or event.type in registry.gathers:
        return None
    return Verdict("gather", "guard", f"the answer in the branch of {member}")


class Gathers:
    """The gathers of a turn's workflow."""

    def __init__(self, intake: PendingDecisions) -> None:
        self._intake = intake
        self._workflow = intake.workflow

    def take(self, record: Decision, event: Event, waiting: PendingDecision) -> None:
        """An answer in a branch, or that there is none, has become effective."""
        gather, member = waiting.branch or ["", ""]
        gathering = self._workflow.gathers.get(gather)
        if gathering is None or gathering.result is not None:
            return
        if record.code == MISSING:
            gathering.missing.setdefault(member, record.reason)
        else:
            gathering.answers.setdefault(member, [event.type, event.data])

    def review(self, gather: str) -> None:
        """Close a gather that has what its policy asks for, or whose branches have all ended."""
        gathering = self._workflow.gathers.get(gather)
        if gathering is None or gathering.result is not None:
            return
        for member in gathering.expected:
            if member not in gathering.answers and not self._alive(gather, member):
                gathering.missing.setdefault(member, "its branch ended without an answer")
        accounted = set(gathering.answers) | set(gathering.missing)
        if self._is_met(gathering) or accounted >= set(gathering.expected):
            self._close(gather, gathering, "the gather was complete before it answered")

    def overdue(self, gather: str) -> None:
        """The deadline of a gather has come: log that it closes with what it has."""
        gathering, opened = self._workflow.gathers.get(gather), self._workflow.open.get(gather)
        if gathering is None or opened is None or gathering.result is not None:
            return
        subject = f"gather/{gather}"
        place = Position(opened.topic, opened.partition, opened.offset)
        self._intake.wait(subject, opened.event, place, opened.hop - 1)
        self._intake.log(subject, Verdict("gather", "guard", "the deadline of the gather has come", code="deadline"))

    def expire(self, gather: str) -> None:
        """The record of the deadline has become effective."""
        gathering = self._workflow.gathers[gather]
        limit_s = self._policy(gathering).deadline
        self._close(gather, gathering, f"no answer within {limit_s:g} s")

    def publish(self, gather: str) -> None:
        """Write the result, now and again until it is read."""
        gathering = self._workflow.gathers.get(gather)
        if gathering is None or not gathering.result:
            return
        desk, name = self._intake.desk, self._workflow.id
        if desk.open:
            self._intake.effects.append(Publish(Event.parse(gathering.result)))
        desk.due.set("publish", name, gather, self._intake.now + LOG_AGAIN_MS if desk.open else 0)

    def _close(self, gather: str, gathering: OpenGather, unanswered: str) -> None:
        workflow, opened = self._workflow, self._workflow.open[gather]
        for member in gathering.expected:
            if member not in gathering.answers:
                gathering.missing.setdefault(member, unanswered)
        self._give_up_branches(gather)
        self._intake.due.clear("gather", workflow.id, gather)
        policy = self._policy(gathering)
        if policy.on_missing == "fail" and not self._is_met(gathering):
            gathering.result = ""
            subject = f"gather/{gather}/incomplete"
            place = Position(opened.topic, opened.partition, opened.offset)
            self._intake.wait(subject, opened.event, place, opened.hop - 1)
            absent = "; ".join(f"{agent}: {reason}" for agent, reason in gathering.missing.items())
            self._intake.log(subject, Verdict("dead-letter", "guard", f"missing: {absent}", code=INCOMPLETE))
            return
        answers = _given(gathering)
        data = gathered(policy, gathering.expected, answers, gathering.missing)
        event = Event.new(
            id=stable_hash("gathered", gather),
            source=f"switchyard/{self._intake.registry.app}",
            type=policy.result,
            workflow_id=workflow.id,
            data=data,
            causationid=gather,
            hops=opened.hop,
        )
        gathering.result = event.json()
        self.publish(gather)

    def _give_up_branches(self, gather: str) -> None:
        """What is still under way in its branches, in gathers inside it too, will be late."""
        workflow = self._workflow
        inside = {gather}
        for identity in workflow.gathers:  # an inner gather is opened after its outer one
            branch = workflow.open[identity].branch
            if branch is not None and branch[0] in inside:
                inside.add(identity)
        for identity, item in list(workflow.open.items()):
            if item.branch is not None and item.branch[0] in inside:
                self._intake.dispatches.close(identity, abandoned=True)
        for subject, waiting in list(workflow.waiting.items()):
            if waiting.branch is not None and waiting.branch[0] in inside:
                self._intake.give_up(subject)

    def _alive(self, gather: str, member: str) -> bool:
        branch, workflow = [gather, member], self._workflow
        opened = any(item.branch == branch for item in workflow.open.values())
        return opened or any(item.branch == branch for item in workflow.waiting.values())

    def _policy(self, gathering: OpenGather) -> Gather:
        return self._intake.registry.gathers.get(gathering.on) or Gather(on=gathering.on)

    def _is_met(self, gathering: OpenGather) -> bool:
        return is_met(self._policy(gathering), gathering.expected, _given(gathering))


def _given(gathering: OpenGather) -> dict[str, AgentAnswer]:
    return {agent: AgentAnswer(kind, data) for agent, (kind, data) in gathering.answers.items()}
